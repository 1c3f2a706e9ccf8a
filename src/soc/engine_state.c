/* The engine as bytes and back. Left out: the last windows kept for "32 around" (the store has
 * those that were near an anomaly), and what a container did in the moment before its workload was
 * known. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/state.h"
#include "soc/engine_internal.h"

#define ENGINE_MAGIC UINT64_C(0x3730656e69676e65) /* "engine07" */
#define COUNTS_MAX 65536
#define CALLS_MAX (WINDOW_CONTEXT_MAX + WINDOW_CALLS_MAX)

DEFINE_CLEANUP(engine_free, struct engine *)

static void info_state(struct container *c, struct state *s)
{
    state_u32(s, &c->number), state_u8(s, &c->state), state_bool(s, &c->wanted);
    state_bool(s, &c->attached), state_bool(s, &c->sandbox), state_u64(s, &c->cgroup_id);
    state_u64(s, &c->born_ns), state_u64(s, &c->gone_ns);
    char **strings[] = {&c->id,      &c->runtime,    &c->name,  &c->image,
                        &c->version, &c->namespace_, &c->pod,   &c->owner,
                        &c->command, &c->workload,   &c->reason};
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        state_string(s, strings[i]);
    uint32_t n = c->n_labels;
    state_count(s, &n, 2, CONTAINER_LABELS_MAX);
    if (!state_array(s, (void **)&c->labels, n, sizeof(*c->labels)))
        return;
    c->n_labels = n;
    for (uint32_t i = 0; i < n; i++)
        state_string(s, &c->labels[i].key), state_string(s, &c->labels[i].value);
}

/* Profiles are told by their place in the list; UINT32_MAX: none. */
static void profile_ref(struct engine *e, struct profile **p, struct state *s)
{
    uint32_t i = 0;
    while (state_saving(s) && i < e->n_profiles && e->profiles[i] != *p)
        i++;
    i = *p ? i : UINT32_MAX;
    state_u32(s, &i);
    if (state_saving(s))
        return;
    *p = i < e->n_profiles ? e->profiles[i] : NULL;
    if (!*p && i != UINT32_MAX)
        state_fail(s, -EBADMSG);
}

static void peaks_state(struct peaks *p, struct state *s)
{
    for (int c = 0; c < CHANNELS; c++) {
        state_f64(s, &p->value[c]), state_u8(s, &p->detector[c]);
        p->detector[c] %= PROFILE_DETECTORS_MAX;
    }
}

static void pairs_state(struct index *pairs, struct state *s)
{
    uint32_t n = pairs->n;
    state_count(s, &n, 8, UINT32_MAX / 16);
    for (uint32_t i = 0, at = 0; i < n && state_error(s) == 0; i++) {
        uint64_t key = 0;
        if (state_saving(s)) {
            while (pairs->values[at] == INDEX_NONE)
                at++;
            key = pairs->keys[at++];
        }
        state_u64(s, &key);
        if (!state_saving(s) && index_put(pairs, key, 1) < 0)
            state_fail(s, -ENOMEM);
    }
}

static void bin_state(struct engine_container *c, struct state *s)
{
    uint32_t n = c->bin.n_counts;
    state_u8(s, &c->bin.level);
    state_count(s, &n, 34, COUNTS_MAX);
    if (!state_array(s, (void **)&c->bin.counts, n, sizeof(*c->bin.counts)))
        return;
    if (!state_saving(s))
        c->bin_capacity = n ? n : 1;
    c->bin.n_counts = n;
    for (uint32_t i = 0; i < n; i++) {
        struct bin_count *x = &c->bin.counts[i];
        state_u64(s, &x->program), state_u64(s, &x->latency_ns), state_u32(s, &x->latency_calls);
        state_u32(s, &x->calls), state_u32(s, &x->errors), state_u16(s, &x->sysno);
        x->sysno %= SYSNO_COUNT;
    }
}

static void container_state(struct engine *e, struct engine_container *c, struct state *s)
{
    state_u64(s, &c->key), state_u64(s, &c->capture);
    info_state(&c->info, s);
    profile_ref(e, &c->profile, s);
    state_u8(s, &c->phase), state_u32(s, &c->start), state_u64(s, &c->start_ns);
    state_u64(s, &c->pair_ns), state_u64(s, &c->second), state_u64(s, &c->minute_at);
    state_u64(s, &c->alert), state_u64(s, &c->over_ns), state_u64(s, &c->gone_ns);
    state_u64(s, &c->joined_program), state_u64(s, &c->rates_ns);
    pairs_state(&c->pairs, s);
    bin_state(c, s);
    peaks_state(&c->peaks, s), peaks_state(&c->minute, s);
    for (int ch = 0; ch < CHANNELS; ch++) {
        state_bytes(s, c->why[ch], SCORE_WHY_MAX);
        c->why[ch][SCORE_WHY_MAX - 1] = 0;
    }
    if (c->phase >= PHASES)
        state_fail(s, -EBADMSG);
}

static void memory_state(struct engine_process *p, struct state *s)
{
    bool has = p->memory;
    state_bool(s, &has);
    if (!has)
        return;
    if (!state_saving(s))
        p->memory = calloc(1, sizeof(*p->memory));
    struct memory *m = p->memory;
    if (!m) {
        state_fail(s, -ENOMEM);
        return;
    }
    uint32_t n = m->n;
    state_count(s, &n, 16, MEMORY_KEYS);
    state_u32(s, &m->next);
    if (!state_saving(s)) {
        m->capacity = 16;
        while (m->capacity < n)
            m->capacity *= 2;
        if (!state_array(s, (void **)&m->item, m->capacity, sizeof(*m->item)))
            return;
    }
    m->n = n;
    for (uint32_t i = 0; i < n; i++) {
        state_u64(s, &m->item[i][0]), state_u64(s, &m->item[i][1]);
        if (!state_saving(s) && index_put(&m->slots, m->item[i][0], i) < 0)
            state_fail(s, -ENOMEM);
    }
    if (m->next != m->n % MEMORY_KEYS && (m->n < MEMORY_KEYS || m->next >= MEMORY_KEYS))
        state_fail(s, -EBADMSG);
}

static void process_state(struct engine_process *p, struct state *s)
{
    state_u64(s, &p->key), state_u64(s, &p->capture), state_u64(s, &p->start_ns);
    state_u64(s, &p->parent_start_ns), state_u64(s, &p->program), state_u64(s, &p->first_ns);
    state_u64(s, &p->last_ns), state_u64(s, &p->exit_ns), state_u64(s, &p->alert);
    state_u64(s, &p->joined_program);
    for (int k = 0; k < NOVELTY_KINDS; k++)
        state_u64(s, &p->kind_ns[k]), state_u64(s, &p->whole_ns[k]);
    state_u32(s, &p->container), state_u32(s, &p->tgid), state_u32(s, &p->parent_tgid);
    state_u32(s, &p->keep_after), state_u8(s, &p->flags);
    state_string(s, &p->arguments);
    memory_state(p, s);
}

static void text_state(struct engine_text *t, struct state *s)
{
    state_u64(s, &t->id), state_u64(s, &t->class_key), state_u64(s, &t->used);
    state_u8(s, &t->kind), state_u8(s, &t->access), state_u8(s, &t->zone);
    state_string(s, &t->text);
}

/* Detector names are static: they are told by their name and looked up again. */
static void detector_state(const char **name, struct state *s)
{
    char *copy = (char *)*name;
    state_string(s, &copy);
    if (state_saving(s))
        return;
    const struct detector *d = copy ? detector_find(copy) : NULL;
    *name = d ? d->name : "";
    if (copy && !d)
        state_fail(s, -EBADMSG);
    free(copy);
}

static void sequence_state(struct alert_sequence *x, struct state *s)
{
    state_f64(s, &x->time), state_u64(s, &x->start_ns), state_u32(s, &x->tgid);
    state_u32(s, &x->tid), state_f64(s, &x->value), state_u64(s, &x->capture);
    state_u64(s, &x->position), state_u64(s, &x->key), state_u8(s, &x->n_expected);
    state_string(s, &x->program);
    detector_state(&x->detector, s);
    if (x->n_expected > EXPECTED_MAX)
        state_fail(s, -EBADMSG), x->n_expected = 0;
    for (int i = 0; i < EXPECTED_MAX; i++) {
        double share = (double)x->expected[i].share;
        state_u16(s, &x->expected[i].sysno), state_f64(s, &share);
        x->expected[i].share = (float)share;
    }
    uint32_t n = x->n_calls;
    state_count(s, &n, 7, CALLS_MAX);
    if (!state_array(s, (void **)&x->calls, n, sizeof(*x->calls)))
        return;
    x->n_calls = n;
    for (uint32_t i = 0; i < n; i++) {
        struct alert_call *c = &x->calls[i];
        bool has = c->argument;
        state_u16(s, &c->sysno), state_u16(s, &c->ret);
        state_bool(s, &c->context), state_bool(s, &c->strange), state_bool(s, &has);
        c->sysno %= SYSNO_COUNT;
        if (has)
            state_string(s, &c->argument);
    }
}

static void alert_lists_state(struct alert *a, struct state *s)
{
    uint32_t n = a->n_processes;
    state_count(s, &n, 40, ALERT_PROCESSES_MAX);
    if (!state_array(s, (void **)&a->processes, ALERT_PROCESSES_MAX, sizeof(*a->processes)))
        return;
    a->n_processes = n;
    for (uint32_t i = 0; i < n; i++) {
        struct alert_process *p = &a->processes[i];
        state_u64(s, &p->start_ns), state_u64(s, &p->parent_start_ns), state_u32(s, &p->tgid);
        state_u32(s, &p->parent_tgid), state_f64(s, &p->first), state_f64(s, &p->last);
        state_bool(s, &p->strange), state_u8(s, &p->flags);
        state_string(s, &p->program), state_string(s, &p->arguments);
    }
    n = a->n_novelties;
    state_count(s, &n, 40, ALERT_NOVELTIES_MAX);
    if (!state_array(s, (void **)&a->novelties, ALERT_NOVELTIES_MAX, sizeof(*a->novelties)))
        return;
    a->n_novelties = n;
    for (uint32_t i = 0; i < n; i++) {
        struct alert_novelty *x = &a->novelties[i];
        state_u8(s, &x->kind), state_f64(s, &x->time), state_u64(s, &x->start_ns);
        state_u32(s, &x->tgid), state_u32(s, &x->count), state_u64(s, &x->key);
        state_f64(s, &x->strangeness), state_bool(s, &x->bold);
        state_string(s, &x->program), state_string(s, &x->text), state_string(s, &x->sentence);
        x->kind %= EVIDENCE_KINDS;
    }
    n = a->n_sequences;
    state_count(s, &n, 60, ALERT_SEQUENCES_MAX);
    if (!state_array(s, (void **)&a->sequences, ALERT_SEQUENCES_MAX, sizeof(*a->sequences)))
        return;
    a->n_sequences = n;
    for (uint32_t i = 0; i < n; i++)
        sequence_state(&a->sequences[i], s);
}

static void alert_body_state(struct alert *a, struct state *s)
{
    state_bytes(s, a->id, sizeof(a->id)), state_bytes(s, a->linked, sizeof(a->linked)),
        state_bytes(s, a->node, sizeof(a->node));
    a->id[sizeof(a->id) - 1] = 0;
    a->linked[sizeof(a->linked) - 1] = a->node[sizeof(a->node) - 1] = 0;
    state_f64(s, &a->score), state_bool(s, &a->provisional), state_bool(s, &a->held);
    state_bool(s, &a->open), state_u8(s, &a->phase), state_f64(s, &a->first);
    state_f64(s, &a->last), state_f64(s, &a->last_over), state_f64(s, &a->raised),
        state_f64(s, &a->latency_s);
    state_string(s, &a->workload);
    state_u64(s, &a->capture);
    info_state(&a->container, s);
    for (int c = 0; c < CHANNELS; c++) {
        state_f64(s, &a->channels[c].peak), state_f64(s, &a->channels[c].threshold);
        state_f64(s, &a->channels[c].share), state_bool(s, &a->channels[c].over);
    }
    state_count(s, &a->n_detectors, 9, ALERT_DETECTORS_MAX);
    for (uint32_t i = 0; i < a->n_detectors; i++)
        detector_state(&a->detectors[i].name, s), state_f64(s, &a->detectors[i].share);
    state_count(s, &a->n_keys, 8, ALERT_KEYS_MAX);
    for (uint32_t i = 0; i < a->n_keys; i++)
        state_u64(s, &a->keys[i]);
    state_u32(s, &a->replicas), state_u32(s, &a->repeats), state_u32(s, &a->profile_version);
    state_f64(s, &a->learnt_s), state_u64(s, &a->calls);
    alert_lists_state(a, s);
    if (a->phase >= PHASES)
        state_fail(s, -EBADMSG);
}

static void alert_state_state(struct engine *e, struct alert_state *a, struct state *s)
{
    alert_body_state(&a->alert, s);
    profile_ref(e, &a->profile, s);
    if (state_error(s) == 0 && !a->profile)
        state_fail(s, -EBADMSG);
    state_u64(s, &a->hash), state_u64(s, &a->opened_ns), state_u64(s, &a->last_ns);
    state_u64(s, &a->raised_ns);
    for (int i = 0; i < OPENING_KEYS; i++)
        state_u64(s, &a->opening[i]);
    state_count(s, &a->n_evidence, 16, ALERT_EVIDENCE_MAX);
    for (uint32_t i = 0; i < a->n_evidence; i++)
        state_u64(s, &a->evidence[i].key), state_f64(s, &a->evidence[i].value);
    state_count(s, &a->n_containers, 8, ALERT_CONTAINERS_MAX);
    for (uint32_t i = 0; i < a->n_containers; i++)
        state_u64(s, &a->containers[i]);
    for (int d = 0; d < PROFILE_DETECTORS_MAX; d++)
        state_f64(s, &a->detector_sum[d]);
    for (int c = 0; c < CHANNELS; c++)
        state_f64(s, &a->channel_sum[c]);
    state_f64(s, &a->told), state_u8(s, &a->verdict), state_u8(s, &a->change);
    if (a->change > 1 + ALERT_CLOSED)
        state_fail(s, -EBADMSG);
}

/* Its size, which is known afterwards, and its bytes. */
static void save_profile(const struct profile *p, struct buf *ret)
{
    size_t at = ret->size;
    buf_u64(ret, 0);
    profile_save(p, ret);
    uint64_t size = htole64(ret->size - at - sizeof(size));
    if (!ret->error)
        memcpy(ret->data + at, &size, sizeof(size));
}

static void profiles_state(struct engine *e, struct state *s)
{
    uint32_t n = e->n_profiles;
    state_count(s, &n, 8, e->options.profiles_max);
    for (uint32_t i = 0; i < n && state_error(s) == 0; i++) {
        if (state_saving(s)) {
            save_profile(e->profiles[i], s->out);
        } else {
            uint64_t size = reader_u64(s->in);
            const uint8_t *data = reader_bytes(s->in, size);
            int err =
                !data ? -EBADMSG : profile_load(data, size, &e->options.profile, &e->profiles[i]);
            if (err < 0)
                state_fail(s, err);
            else
                e->n_profiles++;
        }
        state_u64(s, &e->profile_told[i]);
    }
}

static void containers_state(struct engine *e, struct state *s)
{
    uint32_t n = e->n_containers;
    state_count(s, &n, 64, e->options.containers_max);
    if (!state_array(s, (void **)&e->containers, n, sizeof(*e->containers)))
        return;
    if (!state_saving(s))
        e->containers_capacity = n ? n : 1;
    for (uint32_t i = 0; i < n && state_error(s) == 0; i++) {
        if (!state_array(s, (void **)&e->containers[i], 1, sizeof(**e->containers)))
            return;
        e->n_containers = i + 1;
        container_state(e, e->containers[i], s);
        if (!state_saving(s) && index_put(&e->container_index, e->containers[i]->key, i) < 0)
            state_fail(s, -ENOMEM);
    }
}

static void tables_state(struct engine *e, struct state *s)
{
    uint32_t n = e->n_processes;
    state_count(s, &n, 64, e->options.processes_max);
    if (state_array(s, (void **)&e->processes, n, sizeof(*e->processes)) && !state_saving(s))
        e->processes_capacity = n ? n : 1;
    for (uint32_t i = 0; i < n && state_error(s) == 0; i++) {
        e->n_processes = i + 1;
        process_state(&e->processes[i], s);
        if (!state_saving(s) && index_put(&e->process_index, e->processes[i].key, i) < 0)
            state_fail(s, -ENOMEM);
    }
    n = e->n_texts;
    state_count(s, &n, 20, e->options.texts_max);
    if (state_array(s, (void **)&e->texts, n, sizeof(*e->texts)) && !state_saving(s))
        e->texts_capacity = n ? n : 1;
    for (uint32_t i = 0; i < n && state_error(s) == 0; i++) {
        e->n_texts = i + 1;
        text_state(&e->texts[i], s);
        if (!state_saving(s) && index_put(&e->text_index, e->texts[i].id, i) < 0)
            state_fail(s, -ENOMEM);
    }
}

static void engine_state(struct engine *e, struct state *s)
{
    state_magic(s, ENGINE_MAGIC);
    state_u64(s, &e->now_ns), state_u64(s, &e->wall_ns);
    struct engine_counters *k = &e->counters;
    uint64_t *counters[] = {&k->blocks,
                            &k->windows,
                            &k->calls,
                            &k->bins,
                            &k->execs,
                            &k->anomalies,
                            &k->suppressed,
                            &k->refused_containers,
                            &k->refused_processes,
                            &k->refused_texts,
                            &k->refused_profiles,
                            &k->refused_alerts,
                            &k->refused_learning,
                            &k->unknown_container};
    for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
        state_u64(s, counters[i]);
    state_count(s, &e->n_captures, 24, CAPTURES_MAX);
    for (uint32_t i = 0; i < e->n_captures; i++) {
        struct engine_capture *c = &e->captures[i];
        state_u64(s, &c->capture), state_u64(s, &c->offset_ns), state_u64(s, &c->until_ns);
        state_bytes(s, c->node, sizeof(c->node));
        c->node[sizeof(c->node) - 1] = 0;
    }
    profiles_state(e, s);
    containers_state(e, s);
    tables_state(e, s);
    uint32_t n = e->n_alerts;
    state_count(s, &n, 64, e->options.alerts_max);
    for (uint32_t i = 0; i < n && state_error(s) == 0; i++) {
        if (!state_array(s, (void **)&e->alerts[i], 1, sizeof(**e->alerts)))
            return;
        e->n_alerts = i + 1;
        alert_state_state(e, e->alerts[i], s);
    }
}

void engine_save(const struct engine *e, struct buf *ret)
{
    struct state s = {.out = ret};
    engine_state((struct engine *)e, &s); /* saving changes nothing */
}

int engine_load(const void *data, size_t size, const struct engine_options *options,
                struct engine **ret)
{
    CLEANUP(engine_freep) struct engine *e = NULL;
    int err = engine_new(options, &e);
    if (err < 0)
        return err;
    struct reader r;
    reader_init(&r, data, size);
    struct state s = {.in = &r};
    engine_state(e, &s);
    if (state_error(&s))
        return state_error(&s);
    if (reader_left(&r))
        return -EBADMSG;
    *ret = TAKE(e);
    return 0;
}
