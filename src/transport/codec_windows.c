/* Windows as columns.
 *
 * What makes them small: a window names its thread by an index into a table of the threads at hand;
 * the context of a window that directly follows another of its thread is derived from that one;
 * results and arguments stand grouped by syscall, where they are nearly constant, and flags as
 * runs. docs/FORMAT.md has the layout; encode and decode below follow it line by line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "transport/codec.h"
#include "transport/codec_tables.h"

static int compare_count(const void *a, const void *b, void *count)
{
    uint32_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;
    const uint32_t *c = count;
    return c[x] != c[y] ? (c[x] < c[y] ? 1 : -1) : (int)x - (int)y;
}

static void alphabet_write(struct alphabet *a, uint32_t values_max, struct buf *out)
{
    for (uint32_t v = 0; v < values_max; v++) {
        if (a->count[v])
            a->values[a->n++] = (uint16_t)v;
    }
    qsort_r(a->values, a->n, sizeof(*a->values), compare_count, a->count);
    buf_varint(out, a->n);
    for (uint32_t i = 0; i < a->n; i++) {
        a->index[a->values[i]] = (uint16_t)i;
        buf_varint(out, a->values[i]);
    }
}

static bool same_process(const struct window *a, const struct window *b)
{
    return a->tgid == b->tgid && a->start_ns == b->start_ns && a->program == b->program &&
           a->container == b->container && a->id.capture == b->id.capture;
}

static bool same_thread(const struct window *a, const struct window *b)
{
    return a->tid == b->tid && a->generation == b->generation && same_process(a, b);
}

/* Index of w's row in a table whose keys are hashes: a hash that stands for another row is mixed
 * once more, so equal hashes never make two rows one. */
static uint32_t row_of(struct dict *keys, uint32_t *rows, const struct window *windows, uint32_t i,
                       uint64_t hash, bool (*same)(const struct window *, const struct window *))
{
    for (;; hash = hash_mix(hash, 1)) {
        bool added;
        uint32_t at = dict_add(keys, hash, &added);
        if (keys->error)
            return 0;
        if (added)
            rows[at] = i;
        if (added || same(&windows[rows[at]], &windows[i]))
            return at;
    }
}

/* Numbers threads and processes, counts calls and checks the windows. */
static int survey(const struct window *windows, size_t n, struct tables *t)
{
    uint32_t calls = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct window *w = &windows[i];
        if (w->n_calls < 1 || w->n_calls > WINDOW_CALLS_MAX || w->n_context > WINDOW_CONTEXT_MAX)
            return -EINVAL;
        for (int k = 0; k < w->n_calls; k++) {
            if (w->sysno[k] >= SYSNOS || w->ret[k] >= RETS)
                return -EINVAL;
            t->sysnos.count[w->sysno[k]]++;
            t->rets.count[w->ret[k]]++;
        }
        for (int k = 0; k < w->n_context; k++) {
            if (w->context[k] >= SYSNOS)
                return -EINVAL;
            t->sysnos.count[w->context[k]] += !t->sysnos.count[w->context[k]];
        }
        calls += w->n_calls;
        uint64_t hash = hash_mix(hash_mix(hash_mix(w->program, w->tgid), w->start_ns),
                                 w->container ^ w->id.capture);
        uint32_t p = row_of(&t->process_keys, t->process_row, windows, i, hash, same_process);
        hash = hash_mix(hash, (uint64_t)w->generation << 32 | w->tid);
        t->thread[i] = row_of(&t->thread_keys, t->thread_row, windows, i, hash, same_thread);
        t->process_of[t->thread[i]] = p;
        dict_add(&t->captures, w->id.capture, NULL);
        dict_add(&t->cpus, w->id.position >> 48, NULL);
    }
    t->processes = t->process_keys.n;
    t->threads = t->thread_keys.n;
    if (t->process_keys.error || t->thread_keys.error || t->captures.error || t->cpus.error)
        return -ENOMEM;
    return codec_tables_calls(t, calls);
}

static bool derives(const struct window *prev, const struct window *w)
{
    uint16_t context[WINDOW_CONTEXT_MAX];
    return codec_derive(prev, context) == w->n_context &&
           memcmp(context, w->context, w->n_context * sizeof(*context)) == 0;
}

static struct row row_from(const struct window *w)
{
    return (struct row){w->id.capture, w->start_ns, w->program,   w->container,
                        w->tgid,       w->tid,      w->generation};
}

static void list_write(struct buf *out, const struct dict *d, bool fixed)
{
    buf_varint(out, d->n);
    for (uint32_t i = 0; i < d->n; i++) {
        if (fixed)
            buf_u64(out, d->values[i]);
        else
            buf_varint(out, d->values[i]);
    }
}

static void write_tables(struct codec_io *io, const struct window *windows, struct tables *t)
{
    list_write(io->out, &t->captures, true);
    list_write(io->out, &t->cpus, false);
    buf_varint(io->out, t->processes);
    uint64_t start_ns = 0;
    for (uint32_t i = 0; i < t->processes; i++) {
        struct row w = row_from(&windows[t->process_row[i]]);
        codec_process_row(io, &w, &t->captures, &start_ns);
    }
    buf_varint(io->out, t->threads);
    for (uint32_t i = 0; i < t->threads; i++) {
        struct row w = row_from(&windows[t->thread_row[i]]);
        if (t->processes > 1)
            buf_varint(io->out, t->process_of[i]);
        codec_thread_row(io, &w);
    }
}

static bool follows(const struct window *windows, struct tables *t, uint32_t i)
{
    uint32_t last = t->last[t->thread[i]];
    return last != NONE && derives(&windows[last], &windows[i]);
}

#define STATE(w, derived) ((uint64_t)(w)->flags << 9 | (uint64_t)(w)->level << 1 | (derived))

/* The columns of PART_WINDOWS after the tables. */
static void write_columns(struct codec_io *io, const struct window *windows, uint32_t n,
                          struct tables *t)
{
    if (t->threads > 1) {
        for (uint32_t i = 0; i < n; i++)
            buf_varint(io->out, t->thread[i]);
    }
    memset(t->last, 0xff, t->threads * sizeof(*t->last));
    for (uint32_t i = 0; i < n; i++) {
        bool derived = follows(windows, t, i);
        buf_varint(io->out, STATE(&windows[i], derived));
        t->last[t->thread[i]] = i;
    }
    for (uint32_t i = 0; i < n; i++)
        buf_u8(io->out, windows[i].n_calls);
    if (t->cpus.n > 1) {
        for (uint32_t i = 0; i < n; i++)
            buf_varint(io->out, dict_add(&t->cpus, windows[i].id.position >> 48, NULL));
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t position = windows[i].id.position << 16 >> 16;
        uint64_t *last = &t->position[dict_add(&t->cpus, windows[i].id.position >> 48, NULL)];
        codec_delta(io, position, *last);
        *last = position;
    }
    memset(t->last, 0xff, t->threads * sizeof(*t->last));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *last = &t->last[t->thread[i]];
        uint64_t base = *last != NONE ? windows[*last].last_ns : i ? windows[i - 1].first_ns : 0;
        codec_delta(io, windows[i].first_ns, base);
        *last = i;
    }
    for (uint32_t i = 0; i < n; i++)
        codec_delta(io, windows[i].last_ns, windows[i].first_ns);
}

static void write_calls(struct buf *out, const struct window *windows, uint32_t n, struct tables *t)
{
    const uint16_t *index = t->sysnos.index;
    memset(t->last, 0xff, t->threads * sizeof(*t->last));
    for (uint32_t i = 0; i < n; i++) {
        const struct window *w = &windows[i];
        if (!follows(windows, t, i)) {
            buf_u8(out, w->n_context);
            for (int k = 0; k < w->n_context; k++)
                buf_varint(out, index[w->context[k]]);
        }
        for (int k = 0; k < w->n_calls; k++) {
            t->start[index[w->sysno[k]] + 1]++;
            buf_varint(out, index[w->sysno[k]]);
        }
        t->last[t->thread[i]] = i;
    }
    for (uint32_t s = 0; s < t->sysnos.n; s++)
        t->start[s + 1] += t->start[s];
}

/* Sorts results, flags and arguments by syscall; start[s] then is the end of s's. */
static void group(const struct window *windows, uint32_t n, struct tables *t)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct window *w = &windows[i];
        for (int k = 0; k < w->n_calls; k++) {
            uint32_t at = t->start[t->sysnos.index[w->sysno[k]]]++;
            t->ret[at] = w->ret[k];
            t->flag[at] = (uint16_t)(w->flag[k] << 1 | (w->argument[k] != 0));
            t->argument[at] = w->argument[k];
        }
    }
}

static void write_arguments(struct codec_io *io, struct tables *t)
{
    for (uint32_t at = 0, run; at < t->calls; at += run) {
        for (run = 1; at + run < t->calls && t->flag[at + run] == t->flag[at]; run++)
            ;
        buf_varint(io->out, t->flag[at]);
        buf_varint(io->out, run);
    }
    for (uint32_t at = 0; at < t->calls; at++) {
        if (t->flag[at] & 1)
            codec_id(io, t->argument[at]);
    }
}

int codec_windows_encode(const struct window *windows, size_t n, struct dict *ids,
                         struct buf *const parts[PARTS])
{
    if (n > CODEC_WINDOWS_MAX)
        return -EFBIG;
    CLEANUP(codec_tables_freep) struct tables *t = NULL;
    int r = codec_tables_new(n, &t);
    if (r == 0)
        r = survey(windows, n, t);
    if (r < 0)
        return r;
    struct codec_io io = {.out = parts[PART_WINDOWS], .ids = ids};
    buf_varint(io.out, n);
    write_tables(&io, windows, t);
    write_columns(&io, windows, (uint32_t)n, t);
    alphabet_write(&t->sysnos, SYSNOS, parts[PART_CALLS]);
    write_calls(parts[PART_CALLS], windows, (uint32_t)n, t);
    group(windows, (uint32_t)n, t);
    alphabet_write(&t->rets, RETS, parts[PART_RETS]);
    for (uint32_t at = 0; at < t->calls; at++)
        buf_varint(parts[PART_RETS], t->rets.index[t->ret[at]]);
    io.out = parts[PART_ARGUMENTS];
    write_arguments(&io, t);
    for (int i = 0; i < PARTS && r == 0; i++)
        r = parts[i]->error;
    return r ? r : ids->error;
}
