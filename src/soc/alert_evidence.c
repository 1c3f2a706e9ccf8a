/* Fills an alert with what a person needs: processes, strange sequences, first sights. Everything
 * is capped; what is weakest gives way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "features/arguments.h"
#include "soc/engine_internal.h"
#include "soc/explain.h"

#define MARK_SHARE .5 /* calls as strange as this share of the strangest one are marked */

static void sequence_done(struct alert_sequence *s)
{
    for (uint32_t i = 0; i < s->n_calls; i++)
        free(s->calls[i].argument);
    free(s->calls);
    free(s->program);
}

void alert_free(struct alert *a)
{
    for (uint32_t i = 0; i < a->n_processes; i++) {
        free(a->processes[i].program);
        free(a->processes[i].arguments);
    }
    for (uint32_t i = 0; i < a->n_sequences; i++)
        sequence_done(&a->sequences[i]);
    for (uint32_t i = 0; i < a->n_novelties; i++) {
        free(a->novelties[i].program);
        free(a->novelties[i].text);
        free(a->novelties[i].sentence);
    }
    free(a->processes), free(a->sequences), free(a->novelties);
    free(a->workload);
    container_done(&a->container);
    free(a);
}

static const char *program_text(const struct engine *e, uint64_t id)
{
    const struct engine_text *t = id ? text_find(e, id) : NULL;
    return t ? t->text : "unknown program";
}

static double wall_of(const struct engine *e, uint64_t engine_ns)
{
    return engine_wall(e, engine_ns - e->capture->offset_ns);
}

/* Where the process stands in the list; its parents come before it. */
static struct alert_process *place_process(struct engine *e, struct alert *a,
                                           const struct engine_process *p, int depth)
{
    for (uint32_t i = 0; i < a->n_processes; i++) {
        if (a->processes[i].tgid == p->tgid && a->processes[i].start_ns == p->start_ns)
            return &a->processes[i];
    }
    const struct engine_process *parent = process_parent(e, p);
    if (parent && parent->container == p->container && depth < 16)
        place_process(e, a, parent, depth + 1);
    if (!a->processes)
        a->processes = calloc(ALERT_PROCESSES_MAX, sizeof(*a->processes));
    if (!a->processes || a->n_processes == ALERT_PROCESSES_MAX)
        return NULL;
    struct alert_process *x = &a->processes[a->n_processes];
    *x = (struct alert_process){
        .start_ns = p->start_ns, .tgid = p->tgid, .first = wall_of(e, p->first_ns)};
    if (parent && parent->container == p->container)
        x->parent_tgid = p->parent_tgid, x->parent_start_ns = p->parent_start_ns;
    x->program = strdup("");
    x->arguments = strdup("");
    if (!x->program || !x->arguments) {
        free(x->program);
        free(x->arguments);
        return NULL;
    }
    a->n_processes++;
    return x;
}

static void set_text(char **at, const char *text)
{
    if (strcmp(*at, text) == 0)
        return;
    char *copy = strdup(text);
    if (!copy)
        return;
    free(*at);
    *at = copy;
}

void alert_add_process(struct engine *e, struct alert_state *a, struct engine_process *p,
                       bool strange)
{
    struct alert_process *x = place_process(e, &a->alert, p, 0);
    for (uint32_t i = 0; i < a->alert.n_processes; i++) {
        struct alert_process *y = &a->alert.processes[i];
        struct engine_process *q = process_find(e, a->alert.capture, y->tgid, y->start_ns);
        if (!q || (*y->program && q != p))
            continue;
        set_text(&y->program, program_text(e, q->program));
        set_text(&y->arguments, q->arguments ? q->arguments : "");
        y->last = wall_of(e, q->last_ns);
        y->flags |= q->flags;
    }
    if (x)
        x->strange |= strange;
    alert_changed(a);
}

static char *argument_text(const struct engine *e, const struct window *w, unsigned i)
{
    const struct engine_text *t =
        w->flag[i] & CALL_NO_TEXT || !w->argument[i] ? NULL : text_find(e, w->argument[i]);
    if (!t)
        return NULL;
    const char *access = text_access_name(t->access);
    char *text = NULL;
    if (asprintf(&text, "%s%s%s", access, *access ? " " : "", t->text) < 0)
        return NULL;
    return text;
}

/* Marks the calls at fault, and finds what normally comes instead of the strangest. */
static void mark_calls(const struct engine *e, const struct finding *f, struct alert_sequence *x)
{
    const struct window *w = f->window;
    double best_all = 0;
    for (uint32_t d = 0; d < profile_detectors(f->container->profile); d++) {
        const struct score *s = &e->view.score[d];
        double most = 0;
        for (uint32_t i = 0; i < s->n; i++)
            most = s->items[i].strangeness > most ? s->items[i].strangeness : most;
        for (uint32_t i = 0; i < s->n; i++) {
            const struct evidence *item = &s->items[i];
            if (item->last < 0 || item->last >= w->n_calls || item->kind == EVIDENCE_PROGRAM ||
                item->strangeness < MARK_SHARE * most)
                continue;
            x->calls[w->n_context + item->last].strange = true;
            if (!item->n_expected || item->strangeness <= best_all)
                continue;
            best_all = item->strangeness;
            x->n_expected = item->n_expected;
            for (unsigned k = 0; k < item->n_expected; k++)
                x->expected[k] =
                    (struct alert_expected){item->expected[k].sysno, item->expected[k].share};
        }
    }
}

static uint64_t strongest_key(const struct engine *e, const struct finding *f)
{
    uint64_t key = 0;
    double most = -1;
    for (uint32_t d = 0; d < profile_detectors(f->container->profile); d++) {
        const struct score *s = &e->view.score[d];
        for (uint32_t i = 0; i < s->n; i++) {
            double value = finding_item_value(f, s, i, d);
            if (value > most)
                most = value, key = s->items[i].key;
        }
    }
    return key;
}

static bool fill_sequence(const struct engine *e, const struct finding *f, struct alert_sequence *x)
{
    const struct window *w = f->window;
    uint8_t best = f->value[CHANNEL_SEQUENCE] >= f->value[CHANNEL_NOVELTY]
                       ? f->detector[CHANNEL_SEQUENCE]
                       : f->detector[CHANNEL_NOVELTY];
    *x = (struct alert_sequence){
        .time = engine_wall(e, w->first_ns),
        .start_ns = w->start_ns,
        .tgid = w->tgid,
        .tid = w->tid,
        .value = MAX(f->value[CHANNEL_SEQUENCE], f->value[CHANNEL_NOVELTY]),
        .detector = profile_detector(f->container->profile, best)->name,
        .key = strongest_key(e, f),
        .capture = w->id.capture,
        .position = w->id.position,
        .program = strdup(program_text(e, w->program)),
        .calls = calloc((size_t)w->n_context + w->n_calls, sizeof(*x->calls)),
    };
    if (!x->program || !x->calls) {
        free(x->program);
        free(x->calls);
        return false;
    }
    for (unsigned i = 0; i < w->n_context; i++)
        x->calls[x->n_calls++] = (struct alert_call){.sysno = w->context[i], .context = true};
    for (unsigned i = 0; i < w->n_calls; i++)
        x->calls[x->n_calls++] = (struct alert_call){
            .sysno = w->sysno[i], .ret = w->ret[i], .argument = argument_text(e, w, i)};
    mark_calls(e, f, x);
    return true;
}

/* Keeps the strangest ALERT_SEQUENCES_MAX, in time order. */
static void add_sequence(const struct engine *e, struct alert *a, const struct finding *f)
{
    if (!a->sequences)
        a->sequences = calloc(ALERT_SEQUENCES_MAX, sizeof(*a->sequences));
    struct alert_sequence x;
    if (!a->sequences || !fill_sequence(e, f, &x))
        return;
    if (a->n_sequences == ALERT_SEQUENCES_MAX) {
        uint32_t weakest = 0;
        for (uint32_t i = 1; i < a->n_sequences; i++)
            weakest = a->sequences[i].value < a->sequences[weakest].value ? i : weakest;
        if (a->sequences[weakest].value >= x.value) {
            sequence_done(&x);
            return;
        }
        sequence_done(&a->sequences[weakest]);
        a->n_sequences--;
        memmove(&a->sequences[weakest], &a->sequences[weakest + 1],
                (a->n_sequences - weakest) * sizeof(x));
    }
    uint32_t at = a->n_sequences;
    while (at > 0 && a->sequences[at - 1].time > x.time)
        at--;
    memmove(&a->sequences[at + 1], &a->sequences[at], (a->n_sequences - at) * sizeof(x));
    a->sequences[at] = x;
    a->n_sequences++;
}

static struct explain_context explain_context_of(const struct engine *e, const struct finding *f,
                                                 const struct evidence *x)
{
    const struct profile *profile = f->container->profile;
    struct explain_context c = {.program = program_text(e, x->program),
                                .learnt_s = profile_learnt_s(profile)};
    if (x->kind == EVIDENCE_EDGE)
        c.parent = program_text(e, x->detail);
    else if (x->kind == EVIDENCE_PROGRAM && f->exec)
        c.parent = program_text(e, f->exec->parent_program);
    else if (x->kind == EVIDENCE_PROGRAM && f->process && process_parent(e, f->process))
        c.parent = program_text(e, process_parent(e, f->process)->program);
    uint64_t children[EXPLAIN_CHILDREN];
    if (x->kind == EVIDENCE_EDGE)
        c.n_children = profile_children(profile, x->detail, EXPLAIN_CHILDREN, children);
    for (uint32_t i = 0; i < c.n_children; i++)
        c.children[i] = program_text(e, children[i]);
    if (x->kind == EVIDENCE_ARGUMENT && f->window && x->last >= 0 && x->last < f->window->n_calls) {
        const struct engine_text *t = text_find(e, f->window->argument[x->last]);
        if (t)
            c.text = t->text, c.access = t->access, c.text_kind = t->kind, c.zone = t->zone;
    }
    return c;
}

void finding_why(const struct engine *e, const struct finding *f, enum channel c,
                 char ret[SCORE_WHY_MAX])
{
    const struct score *s = &e->view.score[f->detector[c]];
    const struct evidence *best = s->items;
    for (uint32_t i = 1; i < s->n; i++)
        best = s->items[i].strangeness > best->strangeness ? &s->items[i] : best;
    CLEANUP(freep) char *text = NULL, *sentence = NULL;
    if (s->n > 0) {
        struct explain_context context = explain_context_of(e, f, best);
        explain_evidence(best, &context, &text, &sentence);
    }
    memset(ret, 0, SCORE_WHY_MAX);
    snprintf(ret, SCORE_WHY_MAX, "%s", sentence ? sentence : "");
}

/* Takes n over. When the list is full the one that says least goes, of these the latest. */
static void put_novelty(struct alert *a, struct alert_novelty *n)
{
    if (a->n_novelties < ALERT_NOVELTIES_MAX) {
        a->novelties[a->n_novelties++] = *n;
        return;
    }
    uint32_t least = 0;
    for (uint32_t i = 1; i < a->n_novelties; i++) {
        if (explain_weight(&a->novelties[i]) <= explain_weight(&a->novelties[least]))
            least = i;
    }
    struct alert_novelty *gone = n;
    if (explain_weight(&a->novelties[least]) < explain_weight(n))
        gone = &a->novelties[least];
    free(gone->program), free(gone->text), free(gone->sentence);
    if (gone == n)
        return;
    memmove(gone, gone + 1, (size_t)(a->novelties + a->n_novelties - gone - 1) * sizeof(*gone));
    a->novelties[a->n_novelties - 1] = *n; /* in time order */
}

static void add_novelty(const struct engine *e, struct alert_state *a, const struct finding *f,
                        const struct evidence *x)
{
    struct alert *alert = &a->alert;
    for (uint32_t i = 0; i < alert->n_novelties; i++) {
        if (alert->novelties[i].key == x->key) {
            alert->novelties[i].count++;
            return;
        }
    }
    if (!alert->novelties)
        alert->novelties = calloc(ALERT_NOVELTIES_MAX, sizeof(*alert->novelties));
    if (!alert->novelties)
        return;
    struct explain_context context = explain_context_of(e, f, x);
    struct alert_novelty n = {.kind = x->kind,
                              .time = engine_wall(e, f->mono_ns),
                              .count = 1,
                              .key = x->key,
                              .strangeness = x->strangeness,
                              .bold = x->kind == EVIDENCE_ARGUMENT &&
                                      context.text_kind != TEXT_FLAG &&
                                      argument_class_is_bold(x->detail)};
    if (f->process)
        n.tgid = f->process->tgid, n.start_ns = f->process->start_ns;
    n.program = strdup(context.program);
    explain_evidence(x, &context, &n.text, &n.sentence);
    if (!n.program || !n.text || !n.sentence) {
        free(n.program), free(n.text), free(n.sentence);
        return;
    }
    put_novelty(alert, &n);
}

void alert_add_evidence(struct engine *e, struct alert_state *a, const struct finding *f, bool mark)
{
    bool calls = false;
    for (uint32_t d = 0; d < profile_detectors(a->profile); d++) {
        const struct score *s = &e->view.score[d];
        bool novel = profile_detector(a->profile, d)->channel != CHANNEL_SEQUENCE;
        for (uint32_t i = 0; i < s->n; i++) {
            calls |= s->items[i].kind != EVIDENCE_PROGRAM;
            /* A frequency's items are all syscalls of the second: the first few say it. */
            bool tell = novel && (f->process || (f->value[CHANNEL_FREQUENCY] >= 1 && i < 3));
            if (tell && (mark || !f->process))
                add_novelty(e, a, f, &s->items[i]);
        }
    }
    if (f->process && mark)
        alert_add_process(e, a, f->process, true);
    if (!f->window || !mark)
        return;
    a->alert.calls += f->window->n_calls;
    if (calls)
        add_sequence(e, &a->alert, f);
}
