#include "detect/evaluate.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/p_value.h"
#include "detect/tally.h"

const double evaluate_rates[EVALUATE_RATES] = {.01, .05, .10};
static const char *const protocol_names[] = {"strict", "half", "stream"};

#define STREAM_ASKED .05
#define STREAM_STEP .005      /* of adaptive conformal inference (Gibbs and Candes 2021) */
#define STREAM_WINDOW 1000    /* scores of normal traces that the stream is calibrated on */
#define STREAM_RECALIBRATE 50 /* traces */

const char *protocol_name(enum protocol p)
{
    return protocol_names[p];
}

int protocol_parse(const char *name, enum protocol *ret)
{
    for (unsigned i = 0; i < ARRAY_SIZE(protocol_names); i++) {
        if (strcmp(name, protocol_names[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -ENOENT;
}

/* ---- figures --------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double auc(double *normal, size_t n_normal, double *attack, size_t n_attack)
{
    qsort(normal, n_normal, sizeof(*normal), ascending);
    qsort(attack, n_attack, sizeof(*attack), ascending);
    double sum = 0;
    size_t below = 0, upto = 0;
    for (size_t i = 0; i < n_attack; i++) {
        while (below < n_normal && normal[below] < attack[i])
            below++;
        upto = MAX(upto, below);
        while (upto < n_normal && normal[upto] <= attack[i])
            upto++;
        sum += (double)(below + upto) / 2;
    }
    return n_normal && n_attack ? sum / (double)n_normal / (double)n_attack : NAN;
}

/* The lowest threshold at which at most share of the (sorted) normal scores alarm: score > it. */
static double threshold(const double *normal, size_t n, double share)
{
    size_t allowed = (size_t)(share * (double)n);
    return allowed < n ? normal[n - 1 - allowed] : -INFINITY;
}

static double share_above(const double *score, size_t n, double limit)
{
    size_t above = 0;
    for (size_t i = 0; i < n; i++)
        above += score[i] > limit;
    return n ? (double)above / (double)n : NAN;
}

/* The scores of one label, or one class of attacks, among the tested; each content once if dedup.
 */
static int select_scores(const struct traces *t, const double *score, bool attack, int class,
                         bool dedup, double *ret, size_t *ret_n)
{
    size_t n = 0;
    CLEANUP(tally_done) struct tally seen = {0};
    int err = tally_init(&seen, (size_t)1 << 24);
    for (size_t i = 0; i < t->n && err == 0; i++) {
        const struct trace *x = &t->trace[i];
        if (isnan(score[i]) || (x->set == TRACE_ATTACK) != attack ||
            (class >= 0 && x->class != class))
            continue;
        if (dedup && tally_get(&seen, x->content))
            continue;
        err = tally_add(&seen, x->content, 1);
        ret[n++] = score[i];
    }
    *ret_n = n;
    return err;
}

/* score and p of all traces, NAN where not tested. p may be NULL. */
static int figures(const struct traces *t, const double *score, const double *p,
                   struct evaluate_row *ret)
{
    CLEANUP(freep) double *normal = malloc(t->n * sizeof(*normal));
    CLEANUP(freep) double *attack = malloc(t->n * sizeof(*attack));
    size_t n = 0, a = 0;
    if (!normal || !attack)
        return -ENOMEM;
    int err = select_scores(t, score, false, -1, true, normal, &n);
    err = err ? err : select_scores(t, score, true, -1, true, attack, &a);
    ret->auc_dedup = auc(normal, n, attack, a);
    err = err ? err : select_scores(t, score, false, -1, false, normal, &n);
    err = err ? err : select_scores(t, score, true, -1, false, attack, &a);
    ret->auc = auc(normal, n, attack, a);
    for (int r = 0; r < EVALUATE_RATES; r++)
        ret->rate[r] = share_above(attack, a, threshold(normal, n, evaluate_rates[r]));
    for (size_t c = 0; c < t->n_classes && err == 0; c++) {
        err = select_scores(t, score, true, (int)c, false, attack, &a);
        ret->class[c].n = a;
        ret->class[c].auc = auc(normal, n, attack, a);
        for (int r = 0; r < EVALUATE_RATES; r++)
            ret->class[c].rate[r] = share_above(attack, a, threshold(normal, n, evaluate_rates[r]));
    }
    for (int r = 0; r < EVALUATE_RATES; r++) {
        size_t count[2] = {0}, alarms[2] = {0};
        for (size_t i = 0; p && i < t->n; i++) {
            bool is_attack = t->trace[i].set == TRACE_ATTACK;
            count[is_attack] += !isnan(p[i]);
            alarms[is_attack] += p[i] <= evaluate_rates[r];
        }
        ret->false_alarms[r] = count[0] ? (double)alarms[0] / (double)count[0] : NAN;
        ret->found[r] = count[1] ? (double)alarms[1] / (double)count[1] : NAN;
    }
    return err;
}

/* ---- running the detectors ------------------------------------------------------------------- */

enum use { USE_NONE, USE_TRAIN, USE_TEST };

struct run {
    const struct traces *t;
    const struct evaluate_options *o;
    uint8_t *use;       /* [t->n] enum use */
    uint8_t *fold;      /* [t->n] */
    size_t done, total; /* symbols, for the progress bar */
};

static struct symbols symbols_of(const struct trace *t)
{
    return (struct symbols){.symbol = t->symbol, .n = t->n, .begins = true};
}

static void progress(struct run *r, size_t symbols)
{
    r->done += symbols;
    if (r->o->progress)
        r->o->progress(r->o->progress_arg, MIN(r->done, r->total), r->total);
}

struct model {
    const struct trace_detector *detector;
    void *model;
};

static void model_done(struct model *m)
{
    if (m->model)
        m->detector->destroy(m->model);
}

/* Learns the training traces outside the fold (-1: all). */
static int fit(struct run *r, struct model *m, int fold)
{
    int err = m->detector->create(&m->model);
    for (size_t i = 0; i < r->t->n && err == 0; i++) {
        if (r->use[i] != USE_TRAIN || r->fold[i] == fold)
            continue;
        struct symbols s = symbols_of(&r->t->trace[i]);
        err = m->detector->learn(m->model, &s);
        progress(r, s.n);
    }
    return err;
}

/* Scores the traces of that use and fold (-1: all) into ret [t->n]. */
static int score_all(struct run *r, const struct model *m, enum use use, int fold, double *ret)
{
    int err = 0;
    for (size_t i = 0; i < r->t->n && err == 0; i++) {
        if (r->use[i] != use || (fold >= 0 && r->fold[i] != fold))
            continue;
        struct symbols s = symbols_of(&r->t->trace[i]);
        err = m->detector->score(m->model, &s, &ret[i]);
        progress(r, s.n);
    }
    return err;
}

/* Scores of the training traces, each by a model that has not learnt it. */
static int held_out(struct run *r, const struct trace_detector *d, double *ret)
{
    int err = 0;
    for (unsigned fold = 0; fold < r->o->folds && err == 0; fold++) {
        CLEANUP(model_done) struct model m = {.detector = d};
        err = fit(r, &m, (int)fold);
        err = err ? err : score_all(r, &m, USE_TRAIN, (int)fold, ret);
    }
    return err;
}

/* Calibrates on the scores of the training traces. */
static int calibrate(const struct run *r, const double *score, struct calibration *ret)
{
    CLEANUP(freep) double *x = malloc((r->t->n + 1) * sizeof(*x));
    size_t n = 0;
    if (!x)
        return -ENOMEM;
    for (size_t i = 0; i < r->t->n; i++) {
        if (r->use[i] == USE_TRAIN)
            x[n++] = score[i];
    }
    return calibration_init(ret, x, n);
}

static int p_values(const struct run *r, const double *score, double *ret)
{
    CLEANUP(calibration_done) struct calibration c = {0};
    int err = calibrate(r, score, &c);
    for (size_t i = 0; i < r->t->n && err == 0; i++)
        ret[i] = isnan(score[i]) ? NAN : calibration_p(&c, score[i]);
    return err;
}

/* The figures are of the tested traces only. */
static void hide_training(const struct run *r, double *score)
{
    for (size_t i = 0; i < r->t->n; i++) {
        if (r->use[i] != USE_TEST)
            score[i] = NAN;
    }
}

static double *new_scores(size_t n)
{
    double *x = malloc((n + 1) * sizeof(*x));
    for (size_t i = 0; x && i < n; i++)
        x[i] = NAN;
    return x;
}

static int add_row(struct run *r, const char *name, double *score, struct evaluation *e)
{
    CLEANUP(freep) double *p = new_scores(r->t->n);
    if (!p)
        return -ENOMEM;
    int err = p_values(r, score, p);
    hide_training(r, score);
    hide_training(r, p);
    e->rows[e->n_rows].name = name;
    return err ? err : figures(r->t, score, p, &e->rows[e->n_rows++]);
}

static int run_static(struct run *r, struct evaluation *e)
{
    const struct evaluate_options *o = r->o;
    CLEANUP(freep) double *sum = calloc(r->t->n, sizeof(*sum));
    CLEANUP(freep) double *p = new_scores(r->t->n);
    size_t n_combined = 0;
    if (!sum || !p)
        return -ENOMEM;
    for (size_t d = 0; d < o->n_detectors; d++) {
        CLEANUP(model_done) struct model m = {.detector = o->detectors[d]};
        int err = held_out(r, o->detectors[d], e->score[d]);
        err = err ? err : fit(r, &m, -1);
        err = err ? err : score_all(r, &m, USE_TEST, -1, e->score[d]);
        err = err ? err : p_values(r, e->score[d], p);
        for (size_t i = 0; i < r->t->n && o->combined[d]; i++)
            sum[i] -= log(p[i]);
        n_combined += o->combined[d];
        err = err ? err : add_row(r, o->detectors[d]->name, e->score[d], e);
        if (err < 0)
            return err;
    }
    return n_combined < 2 ? 0 : add_row(r, "combined", sum, e);
}

/* ---- the stream ------------------------------------------------------------------------------ */

struct stream {
    struct model m[EVALUATE_DETECTORS_MAX];
    struct calibration c[EVALUATE_DETECTORS_MAX + 1]; /* the last one is of the sums */
    double *recent[EVALUATE_DETECTORS_MAX + 1];       /* [STREAM_WINDOW + traces] normal scores */
    size_t n, n_recent;
    double alpha;
};

static void stream_done(struct stream *s)
{
    for (size_t d = 0; d <= s->n; d++) {
        if (d < s->n)
            model_done(&s->m[d]);
        calibration_done(&s->c[d]);
        free(s->recent[d]);
    }
}

static int stream_recalibrate(struct stream *s)
{
    size_t from = s->n_recent > STREAM_WINDOW ? s->n_recent - STREAM_WINDOW : 0;
    for (size_t d = 0; d < s->n; d++) {
        calibration_done(&s->c[d]);
        int err = calibration_init(&s->c[d], s->recent[d] + from, s->n_recent - from);
        if (err < 0)
            return err;
    }
    for (size_t i = from; i < s->n_recent; i++) {
        s->recent[s->n][i] = 0;
        for (size_t d = 0; d < s->n; d++)
            s->recent[s->n][i] -= log(calibration_p(&s->c[d], s->recent[d][i]));
    }
    calibration_done(&s->c[s->n]);
    return calibration_init(&s->c[s->n], s->recent[s->n] + from, s->n_recent - from);
}

/* Models of all training traces, calibrated on their held-out scores. */
static int stream_init(struct run *r, const struct trace_detector *const *d, size_t n,
                       struct stream *s)
{
    s->n = n;
    s->alpha = STREAM_ASKED;
    int err = 0;
    for (size_t k = 0; k <= n && err == 0; k++) {
        s->recent[k] = new_scores(2 * r->t->n);
        err = s->recent[k] ? 0 : -ENOMEM;
        if (err || k == n)
            break;
        CLEANUP(freep) double *score = new_scores(r->t->n);
        s->m[k].detector = d[k];
        err = score ? held_out(r, d[k], score) : -ENOMEM;
        err = err ? err : fit(r, &s->m[k], -1);
        s->n_recent = 0;
        for (size_t i = 0; i < r->t->n && err == 0; i++) {
            if (r->use[i] == USE_TRAIN)
                s->recent[k][s->n_recent++] = score[i];
        }
    }
    return err ? err : stream_recalibrate(s);
}

/* Scores one trace, and learns it unless it alarms rightly: false alarms are learnt by the
 * operator's verdict, and so are the attacks that nobody saw. */
static int stream_step(struct run *r, struct stream *s, size_t i, double *ret_score, double *ret_p)
{
    struct symbols x = symbols_of(&r->t->trace[i]);
    double sum = 0, score[EVALUATE_DETECTORS_MAX];
    int err = 0;
    for (size_t d = 0; d < s->n && err == 0; d++) {
        err = s->m[d].detector->score(s->m[d].model, &x, &score[d]);
        sum -= err ? 0 : log(calibration_p(&s->c[d], score[d]));
        progress(r, x.n);
    }
    *ret_score = s->n == 1 ? score[0] : sum;
    *ret_p = calibration_p(&s->c[s->n], sum);
    bool alarm = *ret_p <= s->alpha, attack = r->t->trace[i].set == TRACE_ATTACK;
    if (!(alarm && attack)) /* only false alarms count as errors */
        s->alpha = MAX(1e-4, s->alpha + STREAM_STEP * (STREAM_ASKED - alarm));
    *ret_p = alarm ? 0 : 1; /* the decision is what counts, at the alpha of the moment */
    bool learn = !(alarm && attack);
    for (size_t d = 0; d < s->n && learn && err == 0; d++) {
        s->recent[d][s->n_recent] = score[d];
        err = s->m[d].detector->learn(s->m[d].model, &x);
    }
    s->n_recent += learn;
    return err;
}

static int stream_row(struct run *r, const struct trace_detector *const *d, size_t n,
                      const size_t *order, size_t n_order, const char *name, double *score,
                      struct evaluation *e)
{
    CLEANUP(stream_done) struct stream s = {0};
    CLEANUP(freep) double *p = new_scores(r->t->n);
    int err = p ? stream_init(r, d, n, &s) : -ENOMEM;
    for (size_t k = 0; k < n_order && err == 0; k++) {
        double x, decision;
        err = stream_step(r, &s, order[k], &x, &decision);
        if (k >= n_order / 2)
            score[order[k]] = x, p[order[k]] = decision;
        if (err == 0 && k % STREAM_RECALIBRATE == STREAM_RECALIBRATE - 1)
            err = stream_recalibrate(&s);
    }
    struct evaluate_row *row = &e->rows[e->n_rows];
    row->name = name;
    err = err ? err : figures(r->t, score, p, row);
    /* Decisions were made for one asked rate only. */
    row->found[0] = row->false_alarms[0] = row->found[2] = row->false_alarms[2] = NAN;
    e->n_rows++;
    return err;
}

struct place {
    double time;
    unsigned long run;
    size_t at;
};

static int by_run(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->run != y->run)
        return x->run < y->run ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_time(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Of a trace in the folder "Hydra_FTP_3": 3. */
static unsigned long run_number(const struct trace *t)
{
    size_t folder = strcspn(t->name, "/"), digits = 0;
    while (digits < folder && isdigit((unsigned char)t->name[folder - 1 - digits]))
        digits++;
    return t->name[folder] ? strtoul(t->name + folder - digits, NULL, 10) : 0;
}

/* The normal traces as they are numbered, and evenly among them the attacks: the first runs of all
 * classes, then the second ones, and so on, the traces of a run one after the other. */
static int stream_order(const struct run *r, size_t *ret, size_t *ret_n)
{
    CLEANUP(freep) struct place *place = malloc((r->t->n + 1) * sizeof(*place));
    size_t n = 0;
    if (!place)
        return -ENOMEM;
    for (uint8_t set = TRACE_NORMAL; set <= TRACE_ATTACK; set++) {
        size_t from = n;
        for (size_t i = 0; i < r->t->n; i++) {
            const struct trace *t = &r->t->trace[i];
            if (r->use[i] == USE_TEST && t->set == set)
                place[n++] = (struct place){.run = run_number(t), .at = i};
        }
        qsort(place + from, n - from, sizeof(*place), by_run);
        for (size_t i = from; i < n; i++)
            place[i].time = ((double)(i - from) + .5) / (double)(n - from);
    }
    qsort(place, n, sizeof(*place), by_time);
    for (size_t i = 0; i < n; i++)
        ret[i] = place[i].at;
    *ret_n = n;
    return 0;
}

static int run_stream(struct run *r, struct evaluation *e)
{
    const struct evaluate_options *o = r->o;
    const struct trace_detector *together[EVALUATE_DETECTORS_MAX];
    size_t n = 0, n_order = 0;
    CLEANUP(freep) size_t *order = malloc((r->t->n + 1) * sizeof(*order));
    CLEANUP(freep) double *score = new_scores(r->t->n);
    int err = order && score ? stream_order(r, order, &n_order) : -ENOMEM;
    for (size_t d = 0; d < o->n_detectors && err == 0; d++) {
        if (o->combined[d])
            together[n++] = o->detectors[d];
        err = stream_row(r, &o->detectors[d], 1, order, n_order, o->detectors[d]->name, e->score[d],
                         e);
    }
    if (err || n < 2)
        return err;
    return stream_row(r, together, n, order, n_order, "combined", score, e);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Which trace is for what, by protocol; folds by content, so that copies stay together. */
static int assign(struct run *r, struct evaluation *e)
{
    size_t normal = 0, train_symbols = 0, test_symbols = 0;
    for (size_t i = 0; i < r->t->n; i++) {
        const struct trace *t = &r->t->trace[i];
        bool train = t->set == TRACE_TRAINING;
        if (t->set == TRACE_NORMAL && r->o->protocol == PROTOCOL_HALF)
            train = normal++ % 2 == 0;
        r->use[i] = train ? USE_TRAIN : USE_TEST;
        r->fold[i] = (uint8_t)(hash_mix(1, t->content) % r->o->folds);
        *(train ? &e->n_training : t->set == TRACE_ATTACK ? &e->n_attack : &e->n_normal) += 1;
        *(train ? &train_symbols : &test_symbols) += t->n;
    }
    size_t rounds = r->o->n_detectors;
    for (size_t d = 0; d < r->o->n_detectors && r->o->protocol == PROTOCOL_STREAM; d++)
        rounds += r->o->combined[d];
    r->total = rounds * (train_symbols * (r->o->folds + 1) + test_symbols);
    return e->n_training >= r->o->folds && e->n_normal && e->n_attack ? 0 : -EINVAL;
}

void evaluation_free(struct evaluation *e)
{
    for (size_t d = 0; d < EVALUATE_DETECTORS_MAX; d++)
        free(e->score[d]);
    free(e);
}

DEFINE_CLEANUP(evaluation_free, struct evaluation *)

int evaluate(const struct traces *t, const struct evaluate_options *o, struct evaluation **ret)
{
    if (o->n_detectors < 1 || o->n_detectors > EVALUATE_DETECTORS_MAX || o->folds < 2 ||
        o->folds > UINT8_MAX)
        return -EINVAL;
    CLEANUP(evaluation_freep) struct evaluation *e = calloc(1, sizeof(*e));
    CLEANUP(freep) uint8_t *use = calloc(t->n + 1, sizeof(*use));
    CLEANUP(freep) uint8_t *fold = calloc(t->n + 1, sizeof(*fold));
    if (!e || !use || !fold)
        return -ENOMEM;
    struct run r = {.t = t, .o = o, .use = use, .fold = fold};
    int err = assign(&r, e);
    for (size_t d = 0; d < o->n_detectors && err == 0; d++) {
        e->score[d] = new_scores(t->n);
        err = e->score[d] ? 0 : -ENOMEM;
    }
    if (err == 0)
        err = o->protocol == PROTOCOL_STREAM ? run_stream(&r, e) : run_static(&r, e);
    if (err < 0)
        return err;
    *ret = TAKE(e);
    return 0;
}
