/* A profile as bytes and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/profile_internal.h"

#define PROFILE_MAGIC UINT64_C(0x3330656c69666f72) /* "rofile03" */
#define MODEL_MAX (UINT64_C(1) << 30)
#define COUNTS_MAX (1 << 20)

DEFINE_CLEANUP(profile_free, struct profile *)

static void tail_state(struct tail *t, struct state *s)
{
    state_f64(s, &t->days), state_f64(s, &t->u), state_f64(s, &t->xi), state_f64(s, &t->beta);
    state_u32(s, &t->n_excess);
    state_count(s, &t->n, 8, TAIL_PEAKS_MAX);
    for (uint32_t i = 0; i < t->n; i++)
        state_f64(s, &t->peak[i]);
    if (t->n_excess > t->n)
        state_fail(s, -EBADMSG);
}

static void limits_state(struct limits *l, struct state *s)
{
    state_bool(s, &l->ready);
    state_u32(s, &l->clean);
    for (int i = 0; i < PROFILE_DETECTORS_MAX; i++)
        state_f64(s, &l->base[i]);
    for (int c = 0; c < CHANNELS; c++) {
        state_f64(s, &l->theta[c]), state_f64(s, &l->extend[c]);
        tail_state(&l->tail[c], s);
    }
}

static void bins_state(struct bin_sample *b, struct state *s)
{
    state_u32(s, &b->stride), state_u32(s, &b->skipped), state_u64(s, &b->seen);
    if (!b->stride)
        state_fail(s, -EBADMSG);
    uint32_t n = b->n;
    state_count(s, &n, 14, PROFILE_BINS_MAX);
    for (uint32_t i = 0; i < n && state_error(s) == 0; i++) {
        struct bin_item *item = &b->items[i];
        state_u32(s, &item->second_s), state_u32(s, &item->delta), state_u16(s, &item->block);
        state_count(s, &item->n_counts, 34, COUNTS_MAX);
        if (item->block >= CONTENT_BLOCKS)
            state_fail(s, -EBADMSG);
        if (!state_array(s, (void **)&item->counts, item->n_counts, sizeof(*item->counts)))
            return;
        b->n = i + 1;
        for (uint32_t j = 0; j < item->n_counts; j++) {
            struct bin_count *c = &item->counts[j];
            state_u64(s, &c->program), state_u64(s, &c->latency_ns);
            state_u32(s, &c->latency_calls), state_u32(s, &c->calls), state_u32(s, &c->errors);
            state_u16(s, &c->sysno);
            c->sysno %= SYSNO_COUNT;
        }
    }
}

static void deltas_state(struct profile *p, struct state *s)
{
    state_u32(s, &p->delta_next);
    state_count(s, &p->n_deltas, 24 + 8 * TAINTS, PROFILE_DELTAS_MAX);
    for (uint32_t i = 0; i < p->n_deltas; i++) {
        struct delta *d = &p->deltas[i];
        state_u32(s, &d->id), state_u32(s, &d->from_s);
        state_u64(s, &d->container), state_u64(s, &d->alert);
        for (int k = 0; k < TAINTS; k++)
            state_u64(s, &d->taint[k]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(p->near); i++) {
        state_u64(s, &p->near[i].now_ns), state_u64(s, &p->near[i].container);
        state_u64(s, &p->near[i].alert);
    }
}

static void counters_state(struct profile *p, struct state *s)
{
    state_u64(s, &p->epoch_ns), state_u64(s, &p->now_ns), state_u64(s, &p->seen_ns);
    state_u64(s, &p->active_second), state_u64(s, &p->observed_second);
    state_u32(s, &p->active_s), state_u32(s, &p->observed_s), state_u32(s, &p->last_new_active_s);
    state_u64(s, &p->last_new_ns), state_u8(s, &p->last_new_kind), state_u32(s, &p->block_s);
    state_u32(s, &p->starts_begun), state_u32(s, &p->starts_done);
    for (int i = 0; i < PHASES; i++) {
        state_u64(s, &p->ready_ns[i]);
        state_u32(s, &p->quota[i].of), state_u32(s, &p->quota[i].used);
    }
    state_u32(s, &p->version);
    state_u64(s, &p->windows), state_u64(s, &p->calls), state_u64(s, &p->programs);
    state_u64(s, &p->pairs), state_u64(s, &p->ngrams), state_u64(s, &p->refused);
    state_u64(s, &p->alerts), state_u64(s, &p->changes), state_u64(s, &p->reason_minute);
    for (size_t i = 0; i < ARRAY_SIZE(p->raised_ns); i++)
        state_u64(s, &p->raised_ns[i]);
    state_u8(s, &p->state);
    if (p->state > PROFILE_RETIRED || !p->block_s)
        state_fail(s, -EBADMSG);
}

void profile_save_core(const struct profile *p, struct buf *ret)
{
    struct state s = {.out = ret};
    struct profile *q = (struct profile *)p; /* saving changes nothing */
    state_magic(&s, PROFILE_MAGIC);
    state_string(&s, &q->workload);
    counters_state(q, &s);
    deltas_state(q, &s);
    contents_state(&q->contents, &s);
    buf_u32(ret, p->n_detectors);
    struct buf model;
    buf_init(&model, MODEL_MAX);
    for (int phase = 0; phase < PHASES; phase++) {
        limits_state(&q->limits[phase], &s);
        bins_state(&q->bins[phase], &s);
        for (uint32_t d = 0; d < p->n_detectors; d++) {
            buf_clear(&model);
            p->detector[d]->save(p->model[phase][d], &model);
            buf_string(ret, p->detector[d]->name);
            buf_u64(ret, model.size);
            buf_append(ret, model.data, model.size);
            if (model.error && !ret->error)
                ret->error = model.error;
        }
    }
    buf_done(&model);
}

void profile_save(const struct profile *p, struct buf *ret)
{
    struct state s = {.out = ret};
    profile_save_core(p, ret);
    calibration_state((struct profile *)p, &s); /* saving changes nothing */
}

static int load_model(struct profile *p, int phase, uint32_t d, struct reader *r)
{
    CLEANUP(freep) char *name = reader_string(r, 64);
    uint64_t size = reader_u64(r);
    const uint8_t *data = size <= MODEL_MAX ? reader_bytes(r, size) : NULL;
    if (!name || !data || strcmp(name, p->detector[d]->name) != 0)
        return -EBADMSG;
    void *model = NULL;
    int err = p->detector[d]->load(data, size, &model);
    if (err < 0)
        return err;
    p->detector[d]->destroy(p->model[phase][d]);
    p->model[phase][d] = model;
    return 0;
}

int profile_load_core(struct reader *r, const struct profile_options *options, struct profile **ret)
{
    struct state s = {.in = r};
    state_magic(&s, PROFILE_MAGIC);
    CLEANUP(freep) char *workload = NULL;
    state_string(&s, &workload);
    if (state_error(&s))
        return state_error(&s);
    CLEANUP(profile_freep) struct profile *p = NULL;
    int err = profile_new(workload, options, &p);
    if (err < 0)
        return err;
    counters_state(p, &s);
    deltas_state(p, &s);
    contents_state(&p->contents, &s);
    if (state_error(&s) == 0 && reader_u32(r) != p->n_detectors)
        return -EBADMSG; /* other detectors than now: it has to be learnt again */
    for (int phase = 0; phase < PHASES && state_error(&s) == 0; phase++) {
        limits_state(&p->limits[phase], &s);
        bins_state(&p->bins[phase], &s);
        for (uint32_t d = 0; d < p->n_detectors && state_error(&s) == 0; d++) {
            err = load_model(p, phase, d, r);
            if (err < 0)
                return err;
        }
    }
    if (state_error(&s))
        return state_error(&s);
    *ret = TAKE(p);
    return 0;
}

int profile_load(const void *data, size_t size, const struct profile_options *options,
                 struct profile **ret)
{
    CLEANUP(profile_freep) struct profile *p = NULL;
    struct reader r;
    reader_init(&r, data, size);
    struct state s = {.in = &r};
    int err = profile_load_core(&r, options, &p);
    if (err < 0)
        return err;
    calibration_state(p, &s);
    if (state_error(&s))
        return state_error(&s);
    if (reader_left(&r))
        return -EBADMSG;
    *ret = TAKE(p);
    return 0;
}
