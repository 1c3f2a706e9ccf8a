/* How a profile learns: at once while a phase is learnt, afterwards by the hour
 * (docs/ALERTS.md, "Learning goes on").
 *
 * A content is learnt in powers of two: the 1st, 2nd, 4th, ... time it is seen, with the weight of
 * those since. So a busy workload costs a look-up per window, and counts are right within a factor
 * of two. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "detect/profile_internal.h"
#include "features/arguments.h"

/* Parts of the sample that a time block or start may add while its phase is learnt, an hour later
 * on, and as much again if it is new: what waits a day to be merged is half of the sample at most.
 */
#define QUOTA_PARTS 8
#define QUOTA_PARTS_READY 100

uint32_t profile_block(struct profile *p)
{
    uint32_t block = profile_s(p, p->now_ns) / p->block_s;
    while (block >= CONTENT_BLOCKS) { /* blocks get twice as long; pairs of them become one */
        p->block_s *= 2;
        block /= 2;
        for (uint32_t i = 0; i < p->contents.n; i++) {
            uint16_t *mask = &p->contents.items[i].mask[PHASE_STEADY], folded = 0;
            for (int b = 0; b < CONTENT_BLOCKS; b++)
                folded |= (uint16_t)((*mask >> b & 1) << b / 2);
            *mask = folded;
        }
        for (uint32_t i = 0; i < p->bins[PHASE_STEADY].n; i++)
            p->bins[PHASE_STEADY].items[i].block /= 2;
    }
    return block;
}

static uint32_t block_of(struct profile *p, const struct profile_place *at)
{
    return at->phase == PHASE_STEADY ? profile_block(p) : at->start % CONTENT_BLOCKS;
}

static void touch(struct profile *p, uint64_t now_ns)
{
    if (!p->epoch_ns)
        p->epoch_ns = now_ns;
    p->now_ns = MAX(p->now_ns, now_ns);
}

uint32_t profile_start(struct profile *p, uint64_t now_ns)
{
    touch(p, now_ns);
    p->changes++;
    return p->starts_begun++;
}

void profile_start_done(struct profile *p, uint32_t start, uint64_t now_ns)
{
    (void)start;
    touch(p, now_ns);
    p->starts_done++;
    p->changes++;
    if (p->limits[PHASE_STEADY].ready)
        calibration_request(p);
}

void profile_learn(struct profile *p, enum phase phase, const struct sample *s, uint32_t weight)
{
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (detector_sees(p->detector[d], s->kind) &&
            p->detector[d]->learn(p->model[phase][d], s, weight) < 0)
            p->refused++;
    }
}

void profile_prepare(struct profile *p, enum phase phase)
{
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (p->detector[d]->prepare)
            p->detector[d]->prepare(p->model[phase][d]);
    }
}

/* Leaves of these kinds only the items that the other score has too, at the lower strangeness. */
static void intersect(struct score *a, const struct score *b, unsigned kinds)
{
    uint32_t n = 0;
    double sum = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        if (!(kinds & 1u << a->items[i].kind)) {
            a->items[n] = a->items[i];
            sum += a->items[n++].strangeness;
            continue;
        }
        for (uint32_t j = 0; j < b->n; j++) {
            if (a->items[i].key != b->items[j].key)
                continue;
            a->items[n] = a->items[i];
            a->items[n].strangeness = MIN(a->items[i].strangeness, b->items[j].strangeness);
            sum += a->items[n++].strangeness;
            break;
        }
    }
    a->n = n;
    a->value = sum / a->per;
}

static bool knows(const struct score *startup, const struct evidence *x)
{
    for (uint32_t j = 0; j < startup->n; j++) {
        const struct evidence *y = &startup->items[j];
        if (x->key == y->key ||
            (y->program == x->program &&
             (y->kind == EVIDENCE_PROGRAM ||
              (x->kind == EVIDENCE_ERRNO && y->kind == EVIDENCE_PAIR && x->sysno == y->sysno))))
            return false;
    }
    return true;
}

/* What start-up knows of a program's calls, errors and everyday arguments is half as strange: it
 * does not open an alert. */
static void halve_known(struct score *a, const struct score *startup)
{
    for (uint32_t i = 0; i < a->n; i++) {
        struct evidence *x = &a->items[i];
        bool may = x->kind == EVIDENCE_PAIR || x->kind == EVIDENCE_ERRNO ||
                   (x->kind == EVIDENCE_ARGUMENT && !argument_class_is_bold(x->detail));
        if (may && knows(startup, x))
            x->strangeness /= 2;
    }
}

/* Sequences that start-up taught are no news in steady running (a server that starts a thread
 * late), calls are half a news. Programs and arguments are: a start runs shells and reads secrets
 * that steady running has no business with (measured: docs/DETECTORS.md). */
void profile_score(const struct profile *p, enum phase phase, void *const *model, uint32_t d,
                   const struct sample *s, struct score *ret)
{
    const struct detector *detector = p->detector[d];
    detector->score(model[d], s, ret);
    if (s->kind == SAMPLE_BIN || ret->n == 0)
        return;
    struct score other;
    detector->score(p->model[phase == PHASE_STEADY ? PHASE_STARTUP : PHASE_STEADY][d], s, &other);
    intersect(ret, &other, phase == PHASE_STEADY ? 1u << EVIDENCE_NGRAM : UINT32_MAX);
    if (phase == PHASE_STEADY)
        halve_known(ret, &other);
}

/* New programs, edges and pairs put readiness off. */
static void count_new(struct profile *p, const struct score *score, uint64_t now_ns)
{
    for (uint32_t i = 0; i < score->n; i++) {
        uint8_t kind = score->items[i].kind;
        p->ngrams += kind == EVIDENCE_NGRAM;
        p->programs += kind == EVIDENCE_PROGRAM;
        p->pairs += kind == EVIDENCE_PAIR;
        if (kind != EVIDENCE_PROGRAM && kind != EVIDENCE_EDGE &&
            (kind != EVIDENCE_PAIR || syscall_is_noise(score->items[i].sysno)))
            continue;
        p->last_new_active_s = p->active_s;
        p->last_new_ns = now_ns;
        p->last_new_kind = kind;
    }
}

static void learn_counts(struct profile *p, enum phase phase, struct content *c,
                         const struct sample *s)
{
    uint32_t seen = c->count[phase];
    if (seen & (seen - 1) || seen <= c->learnt[phase])
        return;
    profile_learn(p, phase, s, seen - c->learnt[phase]);
    c->learnt[phase] = seen;
}

static void mark(struct profile *p, const struct profile_place *at, struct content *c)
{
    uint32_t now_s = profile_s(p, at->now_ns);
    if (!c->mask[at->phase])
        c->first_s[at->phase] = now_s;
    c->mask[at->phase] |= (uint16_t)(1u << block_of(p, at));
    c->count[at->phase] += c->count[at->phase] < UINT32_MAX / 2;
    c->last_s = now_s;
}

/* What is new is let in before what is merely different. */
static bool has_room(struct profile *p, const struct profile_place *at, bool is_new)
{
    bool ready = p->limits[at->phase].ready;
    uint32_t now_s = profile_s(p, at->now_ns), share = p->contents.n_max / QUOTA_PARTS;
    uint32_t of = at->phase == PHASE_STEADY ? now_s / p->block_s : at->start;
    if (ready)
        of = now_s / PROFILE_HOUR_S, share = p->contents.n_max / QUOTA_PARTS_READY;
    if (p->quota[at->phase].of != of)
        p->quota[at->phase].of = of, p->quota[at->phase].used = 0;
    return p->contents.n < p->contents.n_max && p->quota[at->phase].used < share * (is_new ? 2 : 1);
}

/* is_new: it shows a program, pair, ... that the phase does not know. asked: a person decides on
 * it, whatever the room for what is learnt by itself. */
static int add_content(struct profile *p, const struct profile_place *at, const struct sample *s,
                       uint64_t hash, bool is_new, bool asked, struct content **ret)
{
    if (!asked && !has_room(p, at, is_new))
        return -ENOSPC;
    int err = contents_add(&p->contents, hash, s, ret);
    if (err < 0)
        return err;
    (*ret)->marks = is_new ? CONTENT_NEW : 0;
    p->quota[at->phase].used += !asked;
    return 0;
}

static bool content_known(const struct content *c, enum phase phase)
{
    return c && !c->delta && (c->mask[PHASE_STEADY] || c->mask[phase]);
}

void profile_see(struct profile *p, const struct profile_place *at, const struct sample *s,
                 struct profile_view *ret)
{
    touch(p, at->now_ns);
    p->seen_ns = p->now_ns;
    bool learning = !p->limits[at->phase].ready;
    ret->hash = content_hash(s);
    ret->learning = learning;
    struct content *c = contents_find(&p->contents, ret->hash);
    bool is_new = false;
    ret->known = content_known(c, at->phase);
    if (s->kind == SAMPLE_WINDOW && learning)
        p->windows++, p->calls += s->window->n_calls;
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        ret->score[d].n = 0, ret->score[d].value = 0;
        if (!ret->known && detector_sees(p->detector[d], s->kind))
            profile_score(p, at->phase, p->model[at->phase], d, s, &ret->score[d]);
        is_new |= p->detector[d]->channel == CHANNEL_NOVELTY && ret->score[d].n;
        if (learning)
            count_new(p, &ret->score[d], at->now_ns);
    }
    ret->first = !c && has_room(p, at, is_new);
    if (!learning) {
        if (ret->known)
            mark(p, at, c);
        return;
    }
    if (!c && add_content(p, at, s, ret->hash, is_new, false, &c) < 0) {
        profile_learn(p, at->phase, s, 1); /* full: still learnt, no longer held out */
        return;
    }
    if (c->delta)
        return; /* held for a verdict: not learnt behind its back */
    mark(p, at, c);
    learn_counts(p, at->phase, c, s);
}

static void taint(struct delta *d, uint64_t alert)
{
    uint32_t i = 0;
    while (i < TAINTS && d->taint[i] && d->taint[i] != alert)
        i++;
    if (i < TAINTS)
        d->taint[i] = alert;
    else
        d->taint[TAINTS - 1] = TAINT_MANY;
}

static bool is_tainted(const struct delta *d)
{
    uint64_t any = 0;
    for (int i = 0; i < TAINTS; i++)
        any |= d->taint[i];
    return any;
}

static struct delta *find_delta(struct profile *p, uint64_t container, uint64_t alert,
                                uint32_t hour_s)
{
    for (uint32_t i = 0; i < p->n_deltas; i++) {
        struct delta *d = &p->deltas[i];
        if (d->alert == alert && (alert || (d->container == container && d->from_s == hour_s)))
            return d;
    }
    if (p->n_deltas == PROFILE_DELTAS_MAX)
        return NULL;
    struct delta *d = &p->deltas[p->n_deltas++];
    *d = (struct delta){
        .id = p->delta_next++, .container = container, .alert = alert, .from_s = hour_s};
    for (size_t i = 0; i < ARRAY_SIZE(p->near) && !alert; i++) {
        if (p->near[i].container == container && p->near[i].alert &&
            p->near[i].now_ns + PROFILE_HOUR_S * NS_PER_S > p->now_ns)
            taint(d, p->near[i].alert);
    }
    return d;
}

static bool shows_new(const struct profile *p, enum phase phase, const struct sample *s)
{
    struct score score = {.n = 0};
    for (uint32_t d = 0; d < p->n_detectors && !score.n; d++) {
        if (p->detector[d]->channel == CHANNEL_NOVELTY && detector_sees(p->detector[d], s->kind))
            profile_score(p, phase, p->model[phase], d, s, &score);
    }
    return score.n;
}

static void wait_in(struct profile *p, const struct profile_place *at, const struct sample *s,
                    uint64_t hash, uint64_t alert)
{
    struct content *c = contents_find(&p->contents, hash);
    if (content_known(c, at->phase))
        return;
    uint32_t now_s = profile_s(p, at->now_ns);
    uint32_t hour_s = alert ? now_s : now_s - now_s % PROFILE_HOUR_S;
    struct delta *d = find_delta(p, at->container, alert, hour_s);
    int err = c ? 0 : add_content(p, at, s, hash, shows_new(p, at->phase, s), alert, &c);
    if (!d || err < 0) {
        p->refused++;
        return;
    }
    if (!c->delta || alert)
        c->delta = d->id; /* an alert's claim is the stronger one */
    mark(p, at, c);
}

void profile_pend(struct profile *p, const struct profile_place *at, const struct sample *s,
                  uint64_t hash)
{
    wait_in(p, at, s, hash, 0);
}

void profile_hold(struct profile *p, const struct profile_place *at, const struct sample *s,
                  uint64_t hash, uint64_t alert)
{
    wait_in(p, at, s, hash, alert);
}

/* Half of the bins go when the sample is full; from then on every second one is taken. */
static void thin_bins(struct bin_sample *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        if (hash_mix(b->stride, i) % 2)
            free(b->items[i].counts);
        else
            b->items[n++] = b->items[i];
    }
    b->n = n;
    b->stride *= 2;
}

/* Which bins are taken goes by hashes: in step with the containers' order in a second, or with what
 * comes once a minute, some would never be. */
static void keep_bin(struct profile *p, const struct profile_place *at, const struct bin *bin,
                     uint32_t delta)
{
    struct bin_sample *b = &p->bins[at->phase];
    if (hash_mix(b->stride, b->skipped++) % b->stride)
        return;
    if (b->n == PROFILE_BINS_MAX)
        thin_bins(b);
    struct bin_item item = {.second_s = profile_s(p, at->now_ns),
                            .delta = delta,
                            .n_counts = bin->n_counts,
                            .block = (uint16_t)block_of(p, at)};
    item.counts = malloc((bin->n_counts + 1) * sizeof(*item.counts));
    if (!item.counts)
        return;
    if (bin->n_counts)
        memcpy(item.counts, bin->counts, bin->n_counts * sizeof(*item.counts));
    b->items[b->n++] = item;
}

static void count_second(struct profile *p, const struct profile_place *at, uint32_t active_calls)
{
    uint64_t second = at->now_ns / NS_PER_S;
    if (second > p->observed_second)
        p->observed_second = second, p->observed_s++;
    if (active_calls >= p->options.active_calls && second > p->active_second) {
        p->active_second = second;
        p->active_s++;
    }
    const struct profile_options *o = &p->options;
    bool learnt =
        p->active_s >= o->ready_active_s && p->active_s - p->last_new_active_s >= o->ready_quiet_s;
    bool forced = o->ready_after_s > 0 && profile_s(p, at->now_ns) >= o->ready_after_s;
    if (!p->limits[PHASE_STEADY].ready && (learnt || forced))
        calibration_request(p);
}

void profile_second(struct profile *p, const struct profile_place *at, const struct bin *b,
                    uint32_t active_calls, struct score *ret)
{
    touch(p, at->now_ns);
    p->seen_ns = p->now_ns;
    struct sample s = {.kind = SAMPLE_BIN, .bin = b};
    p->bins[at->phase].seen++;
    bool learning = !p->limits[at->phase].ready;
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        ret[d].n = 0, ret[d].value = 0;
        if (detector_sees(p->detector[d], SAMPLE_BIN) && !learning)
            profile_score(p, at->phase, p->model[at->phase], d, &s, &ret[d]);
    }
    if (learning) {
        profile_learn(p, at->phase, &s, 1);
        keep_bin(p, at, b, 0);
    } else if (hash_mix(0, at->now_ns / NS_PER_S) % PROFILE_BINS_STRIDE == 0) {
        uint32_t now_s = profile_s(p, at->now_ns);
        struct delta *d = find_delta(p, at->container, 0, now_s - now_s % PROFILE_HOUR_S);
        if (d)
            keep_bin(p, at, b, d->id);
    }
    if (at->phase == PHASE_STEADY)
        count_second(p, at, active_calls);
}

/* Takes a delta's contents and bins into the model, or drops them; how many there were. */
static uint32_t settle(struct profile *p, const struct delta *d, bool learn)
{
    uint32_t n = 0, id = d->id;
    struct content_room room;
    for (uint32_t i = 0; i < p->contents.n; i++) {
        struct content *c = &p->contents.items[i];
        if (c->delta != id)
            continue;
        n++;
        c->delta = 0;
        c->marks |= d->alert ? CONTENT_JUDGED : 0;
        struct sample s = content_sample(c, &room);
        for (int phase = 0; phase < PHASES; phase++) {
            if (!learn)
                c->count[phase] = 0, c->mask[phase] = 0;
            else if (c->count[phase] > c->learnt[phase]) {
                profile_learn(p, phase, &s, c->count[phase] - c->learnt[phase]);
                c->learnt[phase] = c->count[phase];
            }
        }
    }
    for (int phase = 0; phase < PHASES; phase++) {
        struct bin_sample *b = &p->bins[phase];
        uint32_t kept = 0;
        for (uint32_t i = 0; i < b->n; i++) {
            struct bin_item *item = &b->items[i];
            struct bin bin = {.n_counts = item->n_counts, .counts = item->counts};
            struct sample s = {.kind = SAMPLE_BIN, .bin = &bin};
            n += item->delta == id;
            if (item->delta == id && !learn) {
                free(item->counts);
                continue;
            }
            if (item->delta == id)
                profile_learn(p, phase, &s, PROFILE_BINS_STRIDE);
            item->delta = item->delta == id ? 0 : item->delta;
            b->items[kept++] = *item;
        }
        b->n = kept;
    }
    if (!learn)
        contents_sweep(&p->contents);
    return n;
}

static bool delta_due(const struct profile *p, const struct delta *d, uint32_t now_s)
{
    uint32_t ready_s = profile_s(p, p->ready_ns[PHASE_STEADY]);
    uint32_t wait_s = now_s - MIN(ready_s, now_s) < PROFILE_DAY_S ? PROFILE_HOUR_S : PROFILE_DAY_S;
    return !d->alert && now_s >= d->from_s + PROFILE_HOUR_S + wait_s;
}

static void judge_state(struct profile *p, uint64_t now_ns)
{
    uint32_t recent = 0;
    for (uint32_t i = 0; i < MIN(p->alerts, ARRAY_SIZE(p->raised_ns)); i++)
        recent += p->raised_ns[i] + PROFILE_DAY_S * NS_PER_S > now_ns;
    uint8_t state = PROFILE_READY;
    if (profile_idle_s(p, now_ns) > PROFILE_RETIRED_S)
        state = PROFILE_RETIRED;
    else if (!p->limits[PHASE_STEADY].ready)
        state = PROFILE_LEARNING;
    else if (recent > MIN(MAX(5.0, 5 * p->options.alerts_per_day), ARRAY_SIZE(p->raised_ns) - 1.0))
        state = PROFILE_DRIFTING;
    p->changes += state != p->state;
    p->state = state;
}

void profile_tick(struct profile *p, uint64_t now_ns)
{
    touch(p, now_ns);
    calibration_follow(p, now_ns);
    uint64_t minute = now_ns / NS_PER_S / 10; /* reasons name times: worth telling now and then */
    if (minute == p->reason_minute)
        return;
    p->reason_minute = minute;
    p->changes++;
    judge_state(p, now_ns);
    uint32_t now_s = profile_s(p, now_ns), merged = 0, n = 0;
    for (uint32_t i = 0; i < p->n_deltas; i++) {
        struct delta d = p->deltas[i];
        bool learn = !is_tainted(&d);
        if (!delta_due(p, &d, now_s))
            p->deltas[n++] = d;
        else
            merged += settle(p, &d, learn) * learn;
    }
    p->n_deltas = n;
    contents_evict(&p->contents);
    if (merged)
        calibration_again(p);
}

void profile_alerted(struct profile *p, uint64_t container, uint64_t alert, uint64_t now_ns,
                     bool raised)
{
    for (uint32_t i = 0; i < p->n_deltas; i++) {
        struct delta *d = &p->deltas[i];
        if (!d->alert && d->container == container)
            taint(d, alert); /* all that still wait began at most a day ago */
    }
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_SIZE(p->near); i++) {
        if (p->near[i].alert == alert && p->near[i].container == container) {
            at = i;
            break;
        }
        at = p->near[i].now_ns < p->near[at].now_ns ? i : at;
    }
    p->near[at].now_ns = now_ns, p->near[at].container = container, p->near[at].alert = alert;
    if (!raised)
        return;
    p->raised_ns[p->alerts++ % ARRAY_SIZE(p->raised_ns)] = now_ns;
    p->changes++;
}

uint32_t profile_verdict(struct profile *p, uint64_t alert, bool benign, uint64_t now_ns)
{
    touch(p, now_ns);
    uint32_t settled = 0, n = 0;
    for (uint32_t i = 0; i < p->n_deltas; i++) {
        struct delta d = p->deltas[i];
        for (int k = 0; k < TAINTS && benign; k++)
            d.taint[k] = d.taint[k] == alert ? 0 : d.taint[k];
        if (d.alert == alert)
            settled += settle(p, &d, benign);
        else
            p->deltas[n++] = d;
    }
    p->n_deltas = n;
    for (size_t i = 0; i < ARRAY_SIZE(p->near) && benign; i++) {
        if (p->near[i].alert == alert)
            p->near[i].alert = p->near[i].now_ns = 0;
    }
    if (settled && benign)
        calibration_again(p);
    p->changes++;
    return settled;
}
