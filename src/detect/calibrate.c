/* Thresholds from held-out normal time: k-fold by time block (steady) or by start (start-up). Each
 * fold's models are trained on the contents of the others; what only that fold has is scored with
 * them: what other folds have too is normal by definition. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/profile_internal.h"
#include "features/arguments.h"

#define MARGIN 1.25         /* provisional thresholds above the highest held-out peak */
#define MARGIN_SQUARED 1.12 /* further, where the score is a squared distance */
#define MARGIN_AFTER_S 900  /* of held-out time; it grows by a quarter each time that is halved */
#define MISS (1. / 16)      /* one miss, in the shortest window that is not made longer */
#define CEILING .95       /* a peak above this share of the largest score: the detector is blind */
#define MINUTES_MAX 20160 /* two weeks of minutes with a peak each */
#define STARTS_TO_VARY 8  /* fewer starts tell nothing about how sequences and rates vary */
#define GPD_AFTER_S PROFILE_DAY_S

/* Highest held-out value of each detector per minute. */
struct held_out {
    float *peak; /* [minutes][n_detectors] */
    uint32_t minutes, n_detectors;
};

static void held_out_done(struct held_out *h)
{
    free(h->peak);
}

static void held_out_add(struct held_out *h, uint32_t second, uint32_t d, double value)
{
    float *at = &h->peak[(second / 60) % h->minutes * h->n_detectors + d];
    *at = MAX(*at, (float)value);
}

static void models_destroy(const struct profile *p, void **model)
{
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (model[d])
            p->detector[d]->destroy(model[d]);
        model[d] = NULL;
    }
}

/* Novelty is judged by kinds (clean_kinds), everything else by values. */
static bool by_value(const struct profile *p, uint32_t d)
{
    return p->detector[d]->channel != CHANNEL_NOVELTY;
}

static bool in_phase(const struct content *c, enum phase phase)
{
    return !c->delta && c->mask[phase] && (phase == PHASE_STEADY || !c->mask[PHASE_STEADY]);
}

/* Blocks or starts of a fold, as bits: every n-th. */
static uint16_t fold_mask(uint32_t fold, uint32_t folds)
{
    uint16_t mask = 0;
    for (uint32_t b = fold; b < CONTENT_BLOCKS; b += folds)
        mask |= (uint16_t)(1u << b);
    return mask;
}

static int train_fold(const struct profile *p, enum phase phase, uint16_t fold, void **model)
{
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (by_value(p, d) && p->detector[d]->create(&model[d]) < 0)
            return -1;
    }
    struct content_room room;
    for (uint32_t i = 0; i < p->contents.n; i++) {
        const struct content *c = &p->contents.items[i];
        if (!in_phase(c, phase) || !(c->mask[phase] & ~fold))
            continue;
        struct sample s = content_sample(c, &room);
        for (uint32_t d = 0; d < p->n_detectors; d++) {
            if (model[d] && detector_sees(p->detector[d], s.kind))
                p->detector[d]->learn(model[d], &s, MAX(c->learnt[phase], 1u));
        }
    }
    for (uint32_t i = 0; i < p->bins[phase].n; i++) {
        const struct bin_item *b = &p->bins[phase].items[i];
        struct bin bin = {.n_counts = b->n_counts, .counts = b->counts};
        struct sample s = {.kind = SAMPLE_BIN, .bin = &bin};
        for (uint32_t d = 0; d < p->n_detectors && !b->delta && !(fold >> b->block & 1); d++) {
            if (model[d] && detector_sees(p->detector[d], SAMPLE_BIN))
                p->detector[d]->learn(model[d], &s, 1);
        }
    }
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (model[d] && p->detector[d]->prepare)
            p->detector[d]->prepare(model[d]);
    }
    return 0;
}

static void score_fold(const struct profile *p, enum phase phase, uint16_t fold, void **model,
                       struct held_out *h)
{
    struct score score;
    struct content_room room;
    for (uint32_t i = 0; i < p->contents.n; i++) {
        const struct content *c = &p->contents.items[i];
        if (!in_phase(c, phase) || (c->mask[phase] & ~fold))
            continue;
        struct sample s = content_sample(c, &room);
        for (uint32_t d = 0; d < p->n_detectors; d++) {
            if (!model[d] || !detector_sees(p->detector[d], s.kind))
                continue;
            profile_score(p, phase, model, d, &s, &score);
            held_out_add(h, c->first_s[phase], d, score.value);
        }
    }
    for (uint32_t i = 0; i < p->bins[phase].n; i++) {
        const struct bin_item *b = &p->bins[phase].items[i];
        struct bin bin = {.n_counts = b->n_counts, .counts = b->counts};
        struct sample s = {.kind = SAMPLE_BIN, .bin = &bin};
        for (uint32_t d = 0; d < p->n_detectors && !b->delta && (fold >> b->block & 1); d++) {
            if (!model[d] || !detector_sees(p->detector[d], SAMPLE_BIN))
                continue;
            p->detector[d]->score(model[d], &s, &score);
            held_out_add(h, b->second_s, d, score.value);
        }
    }
}

/* The less was held out, the further above its peak lies what normal time will still show. Starts
 * are few: each further one tells less that is new. */
static double margin_of(const struct profile *p, enum phase phase)
{
    if (phase == PHASE_STARTUP)
        return MARGIN * (1 + 1.0 / MAX(p->starts_done, 1u));
    double halvings = log2(MARGIN_AFTER_S / (double)MAX(p->observed_s, 1u));
    return MARGIN * (1 + .25 * MAX(halvings, 0));
}

/* Raw value that stands for 1: a margin and a miss above the highest peak, below the ceiling. */
static double base_of(const struct detector *d, double peak, double margin)
{
    if (peak > CEILING * d->score_max)
        return INFINITY;
    double times = d->squared ? MARGIN_SQUARED * margin : margin;
    double base = MAX(times * peak, peak + MISS);
    return base < d->score_max ? base : (peak + d->score_max) / 2;
}

/* Bins of one fold alone are judged by nothing: blocks double, and after hours that were not learnt
 * the first one may have all that is kept. Then the limits of before stay. */
static bool judges_bins(const struct profile *p, enum phase phase, uint32_t folds)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < p->bins[phase].n; i++) {
        const struct bin_item *b = &p->bins[phase].items[i];
        seen |= b->delta ? 0 : 1u << b->block % MAX(folds, 1u);
    }
    return seen & (seen - 1);
}

static void set_bases(const struct profile *p, enum phase phase, const struct held_out *h,
                      bool with_bins, struct limits *l)
{
    double margin = margin_of(p, phase);
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (p->detector[d]->channel == CHANNEL_FREQUENCY && !with_bins)
            continue;
        double peak = 0;
        for (uint32_t m = 0; m < h->minutes; m++)
            peak = MAX(peak, h->peak[m * h->n_detectors + d]);
        l->base[d] = by_value(p, d) ? base_of(p->detector[d], peak, margin) : 1;
    }
}

/* Days of the workload that were held out. Of bins only a sample is: their peaks come as often as
 * this share of the time lets them. */
static double held_out_days(const struct profile *p, enum phase phase, enum channel c)
{
    const struct bin_sample *b = &p->bins[phase];
    double days = MAX(p->observed_s, 1u) / (double)PROFILE_DAY_S;
    if (c != CHANNEL_FREQUENCY)
        return days;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->n; i++)
        kept += !b->items[i].delta;
    return days * MAX(kept, 1u) / MAX(b->seen, 1u);
}

/* Peaks of the channel in units of the bases, one per minute, the highest ones kept. */
static void set_tail(const struct profile *p, enum phase phase, const struct held_out *h,
                     enum channel c, const double *base, struct tail *t)
{
    *t = (struct tail){.days = held_out_days(p, phase, c)};
    uint32_t lowest = 0;
    for (uint32_t m = 0; m < h->minutes; m++) {
        double peak = 0;
        for (uint32_t d = 0; d < p->n_detectors; d++) {
            if (p->detector[d]->channel == c && by_value(p, d))
                peak = MAX(peak, h->peak[m * h->n_detectors + d] / base[d]);
        }
        if (peak <= 0)
            continue;
        if (t->n < TAIL_PEAKS_MAX) {
            t->peak[t->n++] = peak;
        } else if (peak > t->peak[lowest]) {
            t->peak[lowest] = peak;
        } else {
            continue;
        }
        for (uint32_t i = 0; t->n == TAIL_PEAKS_MAX && i < t->n; i++)
            lowest = t->peak[i] < t->peak[lowest] ? i : lowest;
    }
    tail_fit(t);
}

static bool channel_sees(const struct profile *p, const struct limits *l, enum channel c)
{
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (p->detector[d]->channel == c && isfinite(l->base[d]))
            return true;
    }
    return false;
}

static void set_thresholds(const struct profile *p, enum phase phase, struct limits *l)
{
    for (int c = 0; c < CHANNELS; c++) {
        l->theta[c] = channel_sees(p, l, c) ? 1 : 0;
        if (c != CHANNEL_NOVELTY && phase == PHASE_STARTUP && p->starts_done < STARTS_TO_VARY)
            l->theta[c] = 0;
        l->extend[c] = c == CHANNEL_NOVELTY ? .5 : 1 / margin_of(p, phase);
        double asked = p->options.alerts_per_day * p->options.share[c];
        if (c == CHANNEL_NOVELTY || phase == PHASE_STARTUP || p->observed_s < GPD_AFTER_S ||
            !l->theta[c] || l->tail[c].n < 10)
            continue;
        l->theta[c] = tail_threshold(&l->tail[c], asked);
        l->extend[c] = tail_threshold(&l->tail[c], 10 * asked) / l->theta[c];
    }
}

/* One key of novelty and the blocks that have it. */
struct keys {
    struct index index;
    uint16_t *mask; /* [n] */
    uint8_t *kind;
    uint32_t n, capacity;
    bool failed;
};

static void keys_done(struct keys *k)
{
    index_done(&k->index);
    free(k->mask);
    free(k->kind);
}

static void keys_add(struct keys *k, uint8_t kind, uint64_t key, uint16_t mask)
{
    key = hash_mix(key, kind);
    uint32_t i = index_get(&k->index, key);
    if (i != INDEX_NONE) {
        k->mask[i] |= mask;
        return;
    }
    if (k->n == k->capacity) {
        uint32_t more = k->capacity ? 2 * k->capacity : 1024;
        uint16_t *masks = realloc(k->mask, more * sizeof(*masks));
        k->mask = masks ? masks : k->mask;
        uint8_t *kinds = realloc(k->kind, more);
        k->kind = kinds ? kinds : k->kind;
        k->failed |= !masks || !kinds;
        if (k->failed)
            return;
        k->capacity = more;
    }
    k->failed |= index_put(&k->index, key, k->n) < 0;
    if (k->failed)
        return;
    k->mask[k->n] = mask;
    k->kind[k->n++] = kind;
}

static void window_keys(struct keys *k, const struct profile *p, const struct sample *s,
                        uint16_t mask)
{
    const struct window *w = s->window;
    bool cold = profile_program_calls(p, w->program) < p->options.novelty_min_calls;
    keys_add(k, EVIDENCE_PROGRAM, w->program, mask);
    for (unsigned i = 0; i < w->n_calls; i++) {
        uint64_t class = s->argument_class[i];
        bool bold = argument_class_is_bold(class);
        if (class && (bold || !cold))
            keys_add(k, bold ? KIND_BOLD : EVIDENCE_ARGUMENT, hash_mix(w->program, class), mask);
        if (cold)
            continue;
        uint64_t pair = hash_mix(w->program, w->sysno[i]);
        if (profile_call_counts(w->sysno[i], 0))
            keys_add(k, EVIDENCE_PAIR, pair, mask);
        if (ret_is_error(w->ret[i]) && profile_call_counts(w->sysno[i], w->ret[i]))
            keys_add(k, EVIDENCE_ERRNO, hash_mix(pair, w->ret[i]), mask);
    }
}

/* Blocks or starts that count as having seen it. What steady running knows is not new in a start;
 * what a verdict taught says when a person looked, not how often normal time shows it. */
static uint16_t seen_in(const struct content *c, enum phase phase)
{
    bool always = phase == PHASE_STARTUP && c->mask[PHASE_STEADY];
    always |= c->mask[phase] && c->marks & CONTENT_JUDGED;
    return always ? UINT16_MAX : c->mask[phase];
}

/* A kind opens an alert alone if leaving each block out in turn shows no first sight of that kind:
 * then no key of it is of one block only. */
static uint32_t clean_kinds(struct profile *p, enum phase phase)
{
    CLEANUP(keys_done) struct keys k = {0};
    struct content_room room;
    for (uint32_t i = 0; i < p->contents.n && !k.failed; i++) {
        const struct content *c = &p->contents.items[i];
        uint16_t mask = seen_in(c, phase);
        if (c->delta || !mask)
            continue;
        struct sample s = content_sample(c, &room);
        if (s.kind == SAMPLE_WINDOW)
            window_keys(&k, p, &s, mask);
        else
            keys_add(&k, EVIDENCE_EDGE, hash_mix(c->parent, c->program), mask);
    }
    uint32_t clean = k.failed ? 0 : UINT32_MAX, programs = 0, pairs = 0;
    for (uint32_t i = 0; i < k.n; i++) {
        programs += k.kind[i] == EVIDENCE_PROGRAM;
        pairs += k.kind[i] == EVIDENCE_PAIR;
        if (!(k.mask[i] & (k.mask[i] - 1)))
            clean &= ~(1u << k.kind[i]);
    }
    if (phase == PHASE_STEADY)
        p->programs = programs, p->pairs = pairs;
    return clean;
}

int profile_calibrate(struct profile *p, enum phase phase)
{
    CLEANUP(held_out_done) struct held_out h = {.n_detectors = p->n_detectors};
    h.minutes = MIN(profile_s(p, p->now_ns) / 60 + 1, (uint32_t)MINUTES_MAX);
    h.peak = calloc((size_t)h.minutes * p->n_detectors, sizeof(*h.peak));
    void *model[PROFILE_DETECTORS_MAX] = {NULL};
    uint32_t folds = phase == PHASE_STEADY ? PROFILE_FOLDS : MIN(p->starts_done, PROFILE_FOLDS);
    for (uint32_t f = 0; f < folds && h.peak; f++) {
        uint16_t fold = fold_mask(f, folds);
        if (train_fold(p, phase, fold, model) == 0)
            score_fold(p, phase, fold, model, &h);
        models_destroy(p, model);
    }
    if (!h.peak)
        return -ENOMEM;
    struct limits *l = &p->limits[phase];
    bool with_bins = !l->ready || judges_bins(p, phase, folds);
    set_bases(p, phase, &h, with_bins, l);
    for (int c = 0; c < CHANNELS; c++) {
        if (c != CHANNEL_FREQUENCY || with_bins)
            set_tail(p, phase, &h, c, l->base, &l->tail[c]);
    }
    set_thresholds(p, phase, l);
    l->clean = clean_kinds(p, phase);
    l->ready = true;
    return 0;
}
