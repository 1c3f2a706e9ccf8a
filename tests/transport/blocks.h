/* Made-up blocks, the same for the same seed, and their comparison: for tests of codec and spool.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/block.h"

static inline uint64_t random_next(uint64_t *state)
{
    /* splitmix64, Steele et al. 2014 */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
    return random_next(state) % n;
}

/* Mostly small, sometimes any value at all. */
static inline uint64_t random_any(uint64_t *state)
{
    return random_next(state) >> random_below(state, 64);
}

static inline char *random_string(uint64_t *state, size_t size_max)
{
    size_t n = random_below(state, random_below(state, 20) ? 20 : size_max);
    char *s = calloc(n + 1, 1);
    for (size_t i = 0; i < n; i++)
        s[i] = (char)(1 + random_below(state, 255));
    return s;
}

static inline void random_window(uint64_t *state, const struct block *b, struct window *w)
{
    bool again = w > b->windows && random_below(state, 3);
    if (again) { /* the next window of a thread seen before, mostly with the context that follows */
        const struct window *prev = &b->windows[random_below(state, (uint64_t)(w - b->windows))];
        *w = *prev;
        int calls = MIN(prev->n_calls, WINDOW_CONTEXT_MAX);
        int left = MIN(prev->n_context, WINDOW_CONTEXT_MAX - calls);
        memmove(w->context, prev->context + prev->n_context - left, (size_t)left * 2);
        memcpy(w->context + left, prev->sysno + prev->n_calls - calls, (size_t)calls * 2);
        w->n_context = (uint8_t)(left + calls);
        w->first_ns = prev->last_ns + random_below(state, 1000000);
        w->id.position += random_below(state, 200);
        if (random_below(state, 4) == 0)
            w->n_context /= 2;
    } else {
        w->id.capture = random_below(state, 10) ? b->capture : random_next(state);
        w->id.position = random_below(state, 3) << 48 | (random_any(state) << 16 >> 16);
        w->first_ns = random_any(state);
        w->program = random_below(state, 5) * UINT64_C(0x123456789abcdef);
        w->start_ns = random_any(state);
        w->tgid = (uint32_t)random_any(state);
        w->tid = w->tgid + (uint32_t)random_below(state, 4);
        w->generation = (uint32_t)random_any(state);
        w->container = (uint32_t)random_any(state);
        w->n_context = (uint8_t)random_below(state, WINDOW_CONTEXT_MAX + 1);
        for (int i = 0; i < w->n_context; i++)
            w->context[i] = (uint16_t)random_below(state, 400);
    }
    w->level = (uint8_t)random_below(state, 3);
    w->flags = (uint8_t)random_below(state, random_below(state, 9) ? 2 : 256);
    w->last_ns = w->first_ns + random_any(state);
    w->n_calls = (uint8_t)(1 + random_below(state, WINDOW_CALLS_MAX));
    for (int i = 0; i < w->n_calls; i++) {
        bool wide = random_below(state, 20) == 0;
        w->sysno[i] = (uint16_t)random_below(state, wide ? SYSNO_COUNT : 6);
        w->ret[i] = (uint16_t)random_below(state, wide ? 512 : 3);
        w->flag[i] = (uint8_t)random_below(state, wide ? 256 : 2);
        w->argument[i] = w->flag[i] & 1 ? random_below(state, 50) << 40 : 0;
    }
}

static inline void random_rows(uint64_t *state, struct block *b)
{
    for (uint32_t i = 0; i < b->n_bins; i++) {
        struct bin *bin = &b->bins[i];
        *bin = (struct bin){.container = (uint32_t)random_any(state),
                            .second = random_any(state),
                            .level = (uint8_t)random_below(state, 3),
                            .n_counts = (uint32_t)random_below(state, 30)};
        bin->counts = calloc(bin->n_counts + 1, sizeof(*bin->counts));
        for (uint32_t k = 0; k < bin->n_counts; k++)
            bin->counts[k] = (struct bin_count){
                random_any(state),           random_any(state),
                (uint32_t)random_any(state), (uint32_t)random_any(state),
                (uint32_t)random_any(state), (uint16_t)random_below(state, SYSNO_COUNT)};
    }
    for (uint32_t i = 0; i < b->n_texts; i++)
        b->texts[i] = (struct text){random_any(state), (uint32_t)random_any(state),
                                    (uint8_t)random_below(state, 4),
                                    (uint8_t)random_below(state, 11), random_string(state, 60)};
    for (uint32_t i = 0; i < b->n_processes; i++) {
        struct process *p = &b->processes[i];
        *p = (struct process){random_any(state),
                              random_any(state),
                              random_any(state),
                              random_any(state),
                              random_any(state),
                              (uint32_t)random_any(state),
                              (uint32_t)random_any(state),
                              (uint32_t)random_any(state),
                              (uint32_t)random_any(state),
                              -(int32_t)random_below(state, 256),
                              (uint8_t)random_below(state, 4),
                              (uint8_t)random_below(state, 32),
                              random_string(state, 200),
                              random_string(state, 200)};
    }
    for (uint32_t i = 0; i < b->n_gaps; i++)
        b->gaps[i] = (struct gap){random_any(state),
                                  random_any(state),
                                  random_any(state),
                                  (uint32_t)random_any(state),
                                  (uint16_t)random_next(state),
                                  (uint8_t)random_below(state, DROP_REASONS)};
    for (uint32_t i = 0; i < b->n_blinds; i++)
        b->blinds[i] =
            (struct blind){random_any(state), random_any(state), random_string(state, 100)};
    for (uint32_t i = 0; i < b->n_ledger; i++) {
        b->ledger[i] = (struct ledger_count){
            (uint32_t)random_any(state), random_any(state), random_any(state), {0}};
        for (int k = 0; k < DROP_REASONS; k++)
            b->ledger[i].dropped[k] = random_any(state);
    }
    for (uint32_t i = 0; i < b->n_checkpoint; i++)
        b->checkpoint[i] =
            (struct checkpoint_cpu){(uint16_t)random_next(state),
                                    random_any(state),
                                    {random_next(state), random_next(state), random_next(state)}};
    for (uint32_t i = 0; i < b->n_threads; i++) {
        struct thread_state *t = &b->threads[i];
        *t = (struct thread_state){random_any(state),
                                   random_any(state),
                                   (uint32_t)random_any(state),
                                   (uint32_t)random_any(state),
                                   (uint32_t)random_any(state),
                                   (uint32_t)random_any(state),
                                   (uint8_t)random_below(state, WINDOW_CONTEXT_MAX + 1),
                                   {0}};
        for (int k = 0; k < t->n_context; k++)
            t->context[k] = (uint16_t)random_next(state);
    }
}

static inline void random_container(uint64_t *state, struct container *c)
{
    *c = (struct container){.number = (uint32_t)random_any(state),
                            .state = (uint8_t)random_below(state, 3),
                            .wanted = random_next(state) & 1,
                            .attached = random_next(state) & 1,
                            .sandbox = random_next(state) & 1,
                            .cgroup_id = random_any(state),
                            .born_ns = random_any(state),
                            .gone_ns = random_any(state),
                            .n_labels = (uint32_t)random_below(state, 4)};
    char **strings[] = {&c->id,      &c->runtime,    &c->name,  &c->image,
                        &c->version, &c->namespace_, &c->pod,   &c->owner,
                        &c->command, &c->workload,   &c->reason};
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        *strings[i] = random_string(state, 60);
    c->labels = calloc(c->n_labels + 1, sizeof(*c->labels));
    for (uint32_t i = 0; i < c->n_labels; i++) {
        c->labels[i].key = random_string(state, 60);
        c->labels[i].value = random_string(state, 60);
    }
}

/* About windows windows, and at most that many of every kind of row. */
static inline struct block *random_block(uint64_t seed, uint32_t windows)
{
    uint64_t s = seed, *state = &s;
    struct block *b = calloc(1, sizeof(*b));
    for (int i = 0; i < 16; i++)
        b->boot[i] = (uint8_t)random_next(state);
    snprintf(b->node, sizeof(b->node), "node-%u", (unsigned)random_below(state, 100));
    b->capture = random_next(state);
    b->sequence = random_any(state);
    b->mono_ns = random_any(state);
    b->wall_ns = random_any(state);
    b->from_ns = random_any(state);
    b->until_ns = b->from_ns + 250000000;
    b->level = (uint8_t)random_below(state, 3);
    b->snapshot = random_next(state) & 1;
    b->epoch = (uint32_t)random_any(state);
    b->refused_texts = random_any(state);
    uint32_t rows = windows < 8 ? windows : 8;
#define ROWS(field, most)                                                                          \
    b->n_##field = (uint32_t)random_below(state, (most) + 1);                                      \
    b->field = calloc(b->n_##field + 1, sizeof(*b->field))
    ROWS(windows, windows);
    ROWS(bins, rows);
    ROWS(texts, rows);
    ROWS(processes, rows);
    ROWS(containers, rows);
    ROWS(gaps, rows);
    ROWS(blinds, rows);
    ROWS(ledger, rows);
    ROWS(checkpoint, rows);
    ROWS(threads, rows);
#undef ROWS
    for (uint32_t i = 0; i < b->n_windows; i++)
        random_window(state, b, &b->windows[i]);
    random_rows(state, b);
    for (uint32_t i = 0; i < b->n_containers; i++)
        random_container(state, &b->containers[i]);
    return b;
}

static inline bool window_equal(const struct window *a, const struct window *b)
{
    if (a->id.capture != b->id.capture || a->id.position != b->id.position ||
        a->first_ns != b->first_ns || a->last_ns != b->last_ns || a->program != b->program ||
        a->start_ns != b->start_ns || a->tgid != b->tgid || a->tid != b->tid ||
        a->generation != b->generation || a->container != b->container || a->level != b->level ||
        a->flags != b->flags || a->n_context != b->n_context || a->n_calls != b->n_calls)
        return false;
    size_t n = a->n_calls;
    return memcmp(a->context, b->context, a->n_context * 2u) == 0 &&
           memcmp(a->sysno, b->sysno, n * 2) == 0 && memcmp(a->ret, b->ret, n * 2) == 0 &&
           memcmp(a->flag, b->flag, n) == 0 && memcmp(a->argument, b->argument, n * 8) == 0;
}

static inline bool string_equal(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static inline bool container_equal(const struct container *a, const struct container *b)
{
    bool same = a->number == b->number && a->state == b->state && a->wanted == b->wanted &&
                a->attached == b->attached && a->sandbox == b->sandbox &&
                a->cgroup_id == b->cgroup_id && a->born_ns == b->born_ns &&
                a->gone_ns == b->gone_ns && a->n_labels == b->n_labels &&
                string_equal(a->id, b->id) && string_equal(a->runtime, b->runtime) &&
                string_equal(a->name, b->name) && string_equal(a->image, b->image) &&
                string_equal(a->version, b->version) &&
                string_equal(a->namespace_, b->namespace_) && string_equal(a->pod, b->pod) &&
                string_equal(a->owner, b->owner) && string_equal(a->command, b->command) &&
                string_equal(a->workload, b->workload) && string_equal(a->reason, b->reason);
    for (uint32_t i = 0; same && i < a->n_labels; i++)
        same = string_equal(a->labels[i].key, b->labels[i].key) &&
               string_equal(a->labels[i].value, b->labels[i].value);
    return same;
}

static inline bool bin_equal(const struct bin *a, const struct bin *b)
{
    bool same = a->container == b->container && a->second == b->second && a->level == b->level &&
                a->n_counts == b->n_counts;
    for (uint32_t i = 0; same && i < a->n_counts; i++) {
        const struct bin_count *x = &a->counts[i], *y = &b->counts[i];
        same = x->program == y->program && x->sysno == y->sysno && x->calls == y->calls &&
               x->errors == y->errors && x->latency_ns == y->latency_ns &&
               x->latency_calls == y->latency_calls;
    }
    return same;
}

static inline bool process_equal(const struct process *a, const struct process *b)
{
    return a->time_ns == b->time_ns && a->start_ns == b->start_ns &&
           a->parent_start_ns == b->parent_start_ns && a->program == b->program &&
           a->parent_program == b->parent_program && a->container == b->container &&
           a->tgid == b->tgid && a->parent_tgid == b->parent_tgid && a->tid == b->tid &&
           a->exit_code == b->exit_code && a->event == b->event && a->flags == b->flags &&
           string_equal(a->path, b->path) && string_equal(a->arguments, b->arguments);
}

static inline bool losses_equal(const struct block *a, const struct block *b)
{
    bool same = a->n_gaps == b->n_gaps && a->n_blinds == b->n_blinds && a->n_ledger == b->n_ledger;
    for (uint32_t i = 0; same && i < a->n_gaps; i++) {
        const struct gap *x = &a->gaps[i], *y = &b->gaps[i];
        same = x->first_ns == y->first_ns && x->last_ns == y->last_ns && x->calls == y->calls &&
               x->container == y->container && x->cpu == y->cpu && x->reason == y->reason;
    }
    for (uint32_t i = 0; same && i < a->n_blinds; i++)
        same = a->blinds[i].first_ns == b->blinds[i].first_ns &&
               a->blinds[i].last_ns == b->blinds[i].last_ns &&
               string_equal(a->blinds[i].reason, b->blinds[i].reason);
    for (uint32_t i = 0; same && i < a->n_ledger; i++) {
        const struct ledger_count *x = &a->ledger[i], *y = &b->ledger[i];
        same = x->container == y->container && x->seen == y->seen && x->delivered == y->delivered &&
               memcmp(x->dropped, y->dropped, sizeof(x->dropped)) == 0;
    }
    return same;
}

static inline bool resume_equal(const struct block *a, const struct block *b)
{
    bool same = a->n_checkpoint == b->n_checkpoint && a->n_threads == b->n_threads;
    for (uint32_t i = 0; same && i < a->n_checkpoint; i++) {
        const struct checkpoint_cpu *x = &a->checkpoint[i], *y = &b->checkpoint[i];
        same = x->cpu == y->cpu && x->position == y->position &&
               memcmp(x->context, y->context, sizeof(x->context)) == 0;
    }
    for (uint32_t i = 0; same && i < a->n_threads; i++) {
        const struct thread_state *x = &a->threads[i], *y = &b->threads[i];
        same = x->start_ns == y->start_ns && x->program == y->program &&
               x->container == y->container && x->tgid == y->tgid && x->tid == y->tid &&
               x->generation == y->generation && x->n_context == y->n_context &&
               memcmp(x->context, y->context, x->n_context * 2u) == 0;
    }
    return same;
}

static inline bool block_equal(const struct block *a, const struct block *b)
{
    bool same =
        memcmp(a->spool, b->spool, 16) == 0 && a->sequence == b->sequence &&
        a->capture == b->capture && memcmp(a->boot, b->boot, 16) == 0 &&
        strcmp(a->node, b->node) == 0 && a->mono_ns == b->mono_ns && a->wall_ns == b->wall_ns &&
        a->from_ns == b->from_ns && a->until_ns == b->until_ns && a->level == b->level &&
        a->snapshot == b->snapshot && a->epoch == b->epoch &&
        a->refused_texts == b->refused_texts && a->refused_containers == b->refused_containers &&
        a->refused_processes == b->refused_processes && a->n_windows == b->n_windows &&
        a->n_bins == b->n_bins && a->n_texts == b->n_texts && a->n_processes == b->n_processes &&
        a->n_containers == b->n_containers && losses_equal(a, b) && resume_equal(a, b);
    for (uint32_t i = 0; same && i < a->n_windows; i++)
        same = window_equal(&a->windows[i], &b->windows[i]);
    for (uint32_t i = 0; same && i < a->n_bins; i++)
        same = bin_equal(&a->bins[i], &b->bins[i]);
    for (uint32_t i = 0; same && i < a->n_texts; i++)
        same = a->texts[i].id == b->texts[i].id && a->texts[i].kind == b->texts[i].kind &&
               a->texts[i].container == b->texts[i].container &&
               a->texts[i].access == b->texts[i].access &&
               string_equal(a->texts[i].text, b->texts[i].text);
    for (uint32_t i = 0; same && i < a->n_processes; i++)
        same = process_equal(&a->processes[i], &b->processes[i]);
    for (uint32_t i = 0; same && i < a->n_containers; i++)
        same = container_equal(&a->containers[i], &b->containers[i]);
    return same;
}
