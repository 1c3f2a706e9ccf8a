/* vigia eval adfa-ld DIR: whole-trace detectors on the ADFA Linux data set. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/eval.h"
#include "detect/evaluate.h"
#include "features/adfa.h"

DEFINE_CLEANUP(traces_free, struct traces *)
DEFINE_CLEANUP(evaluation_free, struct evaluation *)

struct options {
    struct command_common common;
    struct evaluate_options evaluate;
    const char *directory, *scores;
};

static const struct argp_option argp_options[] = {
    {"detector", 'D', "NAME", 0, "Only this one (again for more); then all named are combined", 0},
    {"protocol", 'p', "NAME", 0, "strict (default), half or stream", 0},
    {"scores", 's', "FILE.csv", 0, "Write the score of each tested trace", 0},
    {0},
};

static void add_detector(struct options *o, const char *name, struct argp_state *state)
{
    struct evaluate_options *e = &o->evaluate;
    const struct trace_detector *d = trace_detector_find(name);
    if (!d) {
        for (const struct trace_detector *const *t = trace_detector_table; *t; t++)
            fprintf(stderr, "  %-14s %s\n", (*t)->name, (*t)->summary);
        argp_error(state, "there is no detector '%s' for whole traces; those there are stand above",
                   name);
    }
    for (size_t i = 0; i < e->n_detectors; i++) {
        if (e->detectors[i] == d)
            return;
    }
    if (e->n_detectors == EVALUATE_DETECTORS_MAX)
        argp_error(state, "at most %d detectors at once", EVALUATE_DETECTORS_MAX);
    e->combined[e->n_detectors] = true;
    e->detectors[e->n_detectors++] = d;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case 'D':
        add_detector(o, arg, state);
        return 0;
    case 'p':
        if (protocol_parse(arg, &o->evaluate.protocol) < 0)
            argp_error(state, "there is no protocol '%s': strict, half or stream", arg);
        return 0;
    case 's':
        o->scores = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "too many arguments");
        o->directory = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->directory)
            argp_error(state, "say where the unpacked data set is");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    argp_options,
    parse,
    "DIR",
    "Measure the whole-trace detectors on ADFA-LD."
    "\v"
    "DIR holds Training_Data_Master, Validation_Data_Master and\n"
    "Attack_Data_Master.\n\n"
    "Protocols:\n"
    "  strict  learn the training traces, test all others\n"
    "  half    learn every second normal validation trace as well\n"
    "  stream  all others in turn, attacks spread among them; each is scored,\n"
    "          then learnt unless it alarmed rightly; figures of the second half\n\n"
    "Figures:\n"
    "  AUC      chance that an attack scores above a normal trace; 'dedup'\n"
    "           counts copies once\n"
    "  at x %   attacks found with the threshold at which x % of the tested\n"
    "           normal traces alarm\n"
    "  asked x  attacks found / false alarms got when x % were asked for, with\n"
    "           thresholds from held-out training traces: what one gets in use\n\n"
    "Detectors: stide, ngram, ngram-ungated, adaptive, jaccard. Without\n"
    "--detector the row 'combined' is of adaptive and jaccard.\n\n"
    "Example: vigia eval adfa-ld -D adaptive -D jaccard /data/adfa-ld",
    command_common_child,
    NULL,
    NULL};

/* ---- output ---------------------------------------------------------------------------------- */

static void progress(void *arg, size_t done, size_t total)
{
    int *shown = arg, percent = total ? (int)(100 * done / total) : 100;
    if (percent == *shown)
        return;
    *shown = percent;
    static const char bar[] = "########################################";
    fprintf(stderr, "\r[%-40.*s] %3d %%", percent * 40 / 100, bar, percent);
}

static json_t *number(double x)
{
    return isnan(x) ? json_null() : json_real(x);
}

static json_t *rates(const double *rate)
{
    json_t *o = json_object();
    for (int r = 0; r < EVALUATE_RATES; r++) {
        char key[16];
        snprintf(key, sizeof(key), "%.2f", evaluate_rates[r]);
        json_object_set_new(o, key, number(rate[r]));
    }
    return o;
}

static json_t *row_json(const struct evaluate_row *row, const struct traces *t)
{
    json_t *classes = json_object();
    for (size_t c = 0; c < t->n_classes; c++) {
        const struct evaluate_class *x = &row->class[c];
        json_object_set_new(classes, t->class_name[c],
                            json_pack("{s:I, s:o, s:o}", "traces", (json_int_t)x->n, "auc",
                                      number(x->auc), "rates", rates(x->rate)));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:{s:o, s:o}, s:o}", "name", row->name, "auc",
                     number(row->auc), "auc_dedup", number(row->auc_dedup), "rates",
                     rates(row->rate), "calibrated", "found", rates(row->found), "false_alarms",
                     rates(row->false_alarms), "classes", classes);
}

static int print_json(const struct options *o, const struct traces *t, const struct evaluation *e)
{
    CLEANUP(json_decrefp)
    json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:I, s:[]}", "dataset", "adfa-ld", "protocol",
                             protocol_name(o->evaluate.protocol), "training",
                             (json_int_t)e->n_training, "normal", (json_int_t)e->n_normal,
                             "attacks", (json_int_t)e->n_attack, "detectors");
    for (size_t r = 0; root && r < e->n_rows; r++)
        json_array_append_new(json_object_get(root, "detectors"), row_json(&e->rows[r], t));
    if (!root || json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) < 0)
        return -ENOMEM;
    putchar('\n');
    return 0;
}

static void print_share(double x)
{
    if (isnan(x))
        printf("    -");
    else
        printf("%5.1f", 100 * x);
}

static void print_auc(double x)
{
    if (isnan(x))
        printf(" %16s", "-"); /* no trace of the class was tested */
    else
        printf(" %16.3f", x);
}

static void print_table(const struct options *o, const struct traces *t, const struct evaluation *e)
{
    printf("ADFA-LD, protocol %s: %zu traces learnt, %zu normal and %zu attack traces tested\n\n",
           protocol_name(o->evaluate.protocol), e->n_training, e->n_normal, e->n_attack);
    printf("                            %% found at         %% found / false alarms, asked\n"
           "detector         AUC  dedup   1 %%  5 %% 10 %%      1 %%         5 %%        10 %%\n");
    for (size_t r = 0; r < e->n_rows; r++) {
        const struct evaluate_row *x = &e->rows[r];
        printf("%-14s %.3f  %.3f ", x->name, x->auc, x->auc_dedup);
        for (int k = 0; k < EVALUATE_RATES; k++)
            print_share(x->rate[k]);
        for (int k = 0; k < EVALUATE_RATES; k++) {
            printf("  ");
            print_share(x->found[k]);
            printf(" /");
            print_share(x->false_alarms[k]);
        }
        putchar('\n');
    }
    printf("\nAUC by class of attack\n%-14s", "");
    for (size_t c = 0; c < t->n_classes; c++)
        printf(" %16s", t->class_name[c]);
    putchar('\n');
    for (size_t r = 0; r < e->n_rows; r++) {
        printf("%-14s", e->rows[r].name);
        for (size_t c = 0; c < t->n_classes; c++)
            print_auc(e->rows[r].class[c].auc);
        putchar('\n');
    }
}

static int write_scores(const struct options *o, const struct traces *t, const struct evaluation *e)
{
    CLEANUP(fclosep) FILE *f = fopen(o->scores, "we");
    if (!f) {
        log_error("cannot write the scores to %s: %s", o->scores, strerror(errno));
        return -errno;
    }
    fprintf(f, "name,label,len");
    for (size_t d = 0; d < o->evaluate.n_detectors; d++)
        fprintf(f, ",%s", o->evaluate.detectors[d]->column);
    fputc('\n', f);
    for (size_t i = 0; i < t->n; i++) {
        const struct trace *x = &t->trace[i];
        if (isnan(e->score[0][i]))
            continue;
        fprintf(f, "%s,%d,%u", x->name, x->set == TRACE_ATTACK, x->n);
        for (size_t d = 0; d < o->evaluate.n_detectors; d++)
            fprintf(f, ",%.9g", e->score[d][i]);
        fputc('\n', f);
    }
    if (fflush(f) != 0 || ferror(f)) {
        log_error("cannot write the scores to %s: %s", o->scores, strerror(errno));
        return -EIO;
    }
    return 0;
}

static void all_detectors(struct evaluate_options *e)
{
    for (const struct trace_detector *const *d = trace_detector_table; *d; d++) {
        e->combined[e->n_detectors] = (*d)->combined;
        e->detectors[e->n_detectors++] = *d;
    }
}

static int run(int argc, char **argv)
{
    int shown = -1, err;
    struct options o = {.evaluate = {.folds = 10, .progress_arg = &shown}};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (o.evaluate.n_detectors == 0)
        all_detectors(&o.evaluate);
    if (isatty(STDERR_FILENO))
        o.evaluate.progress = progress;
    CLEANUP(traces_freep) struct traces *t = NULL;
    if (adfa_load(o.directory, &t) < 0)
        return EXIT_FAILED;
    CLEANUP(evaluation_freep) struct evaluation *e = NULL;
    err = evaluate(t, &o.evaluate, &e);
    if (o.evaluate.progress)
        fputs("\r\033[K", stderr);
    if (err < 0) {
        log_error("cannot evaluate %s: %s", o.directory, strerror(-err));
        return EXIT_FAILED;
    }
    if (o.scores && write_scores(&o, t, e) < 0)
        return EXIT_FAILED;
    if (!o.common.json)
        print_table(&o, t, e);
    else if (print_json(&o, t, e) < 0)
        return EXIT_FAILED;
    return EXIT_OK;
}

extern const struct eval_dataset eval_adfa;
const struct eval_dataset eval_adfa = {
    .name = "adfa-ld",
    .summary = "Linux system call traces of 2013, six classes of attacks",
    .run = run,
};
