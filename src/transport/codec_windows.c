/* Windows as columns.
 *
 * What makes them small: a window names its thread by an index into a table of the threads at hand;
 * the context of a window that directly follows another of its thread is derived from that one;
 * results and arguments stand grouped by syscall, where they are nearly constant, and flags as runs.
 * docs/FORMAT.md has the layout; encode and decode below follow it line by line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "transport/codec.h"
#include "transport/codec_internal.h"

#define SYSNOS 4096
#define RETS 512
#define NONE UINT32_MAX

/* Values of a small range numbered by how often they occur, the commonest first. */
struct alphabet {
    uint32_t n;
    uint16_t values[SYSNOS], index[SYSNOS]; /* of value */
    uint32_t count[SYSNOS];                 /* of value when writing, of index when reading */
};

/* The tables that both directions build up. */
struct tables {
    struct alphabet sysnos, rets;
    struct dict captures, cpus, process_keys, thread_keys;
    uint32_t *process_of;  /* [threads] */
    uint32_t *process_row; /* [processes] window that first showed it */
    uint32_t *thread_row;  /* [threads] */
    uint32_t *last;        /* [threads] its last window so far, or NONE */
    uint32_t *thread;      /* [windows] */
    uint32_t *start;       /* [sysnos + 1] where the results of a syscall begin */
    uint64_t *position;    /* [cpus] last position */
    uint16_t *ret;         /* [calls] grouped by syscall */
    uint16_t *flag;        /* [calls] grouped: flags << 1 | has an argument */
    uint64_t *argument;    /* [calls] grouped */
    uint32_t calls, processes, threads;
};

static void tables_done(struct tables *t)
{
    dict_done(&t->captures);
    dict_done(&t->cpus);
    dict_done(&t->process_keys);
    dict_done(&t->thread_keys);
    free(t->process_of);
    free(t->process_row);
    free(t->thread_row);
    free(t->last);
    free(t->thread);
    free(t->start);
    free(t->position);
    free(t->ret);
    free(t->flag);
    free(t->argument);
}

static void tables_freep(struct tables **t)
{
    if (*t)
        tables_done(*t);
    free(*t);
}

/* Arrays by the number of windows, threads and CPUs never exceed that of windows. */
static int tables_new(size_t n, struct tables **ret)
{
    CLEANUP(tables_freep) struct tables *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    n = n ? n : 1;
    t->process_of = calloc(n, sizeof(*t->process_of));
    t->process_row = calloc(n, sizeof(*t->process_row));
    t->thread_row = calloc(n, sizeof(*t->thread_row));
    t->last = calloc(n, sizeof(*t->last));
    t->thread = calloc(n, sizeof(*t->thread));
    t->position = calloc(n, sizeof(*t->position));
    t->start = calloc(SYSNOS + 1, sizeof(*t->start));
    if (!t->process_of || !t->process_row || !t->thread_row || !t->last || !t->thread ||
        !t->position || !t->start)
        return -ENOMEM;
    *ret = TAKE(t);
    return 0;
}

static int tables_calls(struct tables *t, uint32_t calls)
{
    size_t n = calls ? calls : 1;
    t->calls = calls;
    t->ret = calloc(n, sizeof(*t->ret));
    t->flag = calloc(n, sizeof(*t->flag));
    t->argument = calloc(n, sizeof(*t->argument));
    return t->ret && t->flag && t->argument ? 0 : -ENOMEM;
}

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

static void alphabet_read(struct alphabet *a, uint32_t values_max, struct codec_io *io)
{
    uint64_t n = reader_varint(io->in);
    if (n > values_max || n > reader_left(io->in)) {
        codec_bad(io);
        return;
    }
    for (; a->n < n; a->n++) {
        uint64_t v = reader_varint(io->in);
        if (v >= values_max) {
            codec_bad(io);
            return;
        }
        a->values[a->n] = (uint16_t)v;
    }
}

static uint32_t alphabet_next(const struct alphabet *a, struct codec_io *io)
{
    uint64_t i = reader_varint(io->in);
    if (i < a->n)
        return (uint32_t)i;
    codec_bad(io);
    return NONE;
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
    return tables_calls(t, calls);
}

/* The context that a window has if it directly follows prev in its thread. */
static uint8_t derive(const struct window *prev, uint16_t context[WINDOW_CONTEXT_MAX])
{
    int from_calls = MIN(prev->n_calls, WINDOW_CONTEXT_MAX);
    int from_context = MIN(prev->n_context, WINDOW_CONTEXT_MAX - from_calls);
    memcpy(context, prev->context + prev->n_context - from_context,
           (size_t)from_context * sizeof(*context));
    memcpy(context + from_context, prev->sysno + prev->n_calls - from_calls,
           (size_t)from_calls * sizeof(*context));
    return (uint8_t)(from_context + from_calls);
}

static bool derives(const struct window *prev, const struct window *w)
{
    uint16_t context[WINDOW_CONTEXT_MAX];
    return derive(prev, context) == w->n_context &&
           memcmp(context, w->context, w->n_context * sizeof(*context)) == 0;
}

/* A row of the tables: what the windows of one process, and of one thread, have in common. */
struct row {
    uint64_t capture, start_ns, program;
    uint32_t container, tgid, tid, generation;
};

static struct row row_from(const struct window *w)
{
    return (struct row){w->id.capture, w->start_ns, w->program,   w->container,
                        w->tgid,       w->tid,      w->generation};
}

static void row_to(const struct row *row, struct window *w)
{
    w->id.capture = row->capture;
    w->start_ns = row->start_ns;
    w->program = row->program;
    w->container = row->container;
    w->tgid = row->tgid;
    w->tid = row->tid;
    w->generation = row->generation;
}

static void process_row(struct codec_io *io, struct row *w, struct dict *captures,
                        uint64_t *start_ns)
{
    if (captures->n > 1) {
        uint64_t at = codec_varint(io, io->out ? dict_add(captures, w->capture, NULL) : 0);
        if (io->in && at >= captures->n) {
            codec_bad(io);
            at = 0;
        }
        w->capture = captures->values[at];
    } else if (captures->n) {
        w->capture = captures->values[0];
    }
    CODEC_FIELD(io, w->container);
    CODEC_FIELD(io, w->tgid);
    CODEC_DELTA(io, w->start_ns, *start_ns);
    CODEC_ID(io, w->program);
    *start_ns = w->start_ns;
}

static void thread_row(struct codec_io *io, struct row *w)
{
    uint64_t tid = codec_delta(io, w->tid, w->tgid);
    w->tid = (uint32_t)tid;
    if (io->in && tid > UINT32_MAX)
        codec_bad(io);
    CODEC_FIELD(io, w->generation);
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
        process_row(io, &w, &t->captures, &start_ns);
    }
    buf_varint(io->out, t->threads);
    for (uint32_t i = 0; i < t->threads; i++) {
        struct row w = row_from(&windows[t->thread_row[i]]);
        if (t->processes > 1)
            buf_varint(io->out, t->process_of[i]);
        thread_row(io, &w);
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

static void write_calls(struct buf *out, const struct window *windows, uint32_t n,
                        struct tables *t)
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
    CLEANUP(tables_freep) struct tables *t = NULL;
    int r = tables_new(n, &t);
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

static void list_read(struct codec_io *io, struct dict *d, bool fixed, uint32_t rows_max)
{
    d->values = codec_rows(io, NULL, &d->n, sizeof(*d->values), fixed ? 8 : 1, rows_max);
    for (uint32_t i = 0; i < d->n; i++)
        d->values[i] = fixed ? reader_u64(io->in) : reader_varint(io->in);
}

/* The table of threads, each row with its process's fields. */
static struct row *read_tables(struct codec_io *io, struct tables *t, uint32_t windows_n)
{
    list_read(io, &t->captures, true, windows_n);
    list_read(io, &t->cpus, false, windows_n);
    if ((!t->captures.n || !t->cpus.n) && windows_n)
        codec_bad(io);
    CLEANUP(freep)
    struct row *processes =
        codec_rows(io, NULL, &t->processes, sizeof(*processes), 4, windows_n);
    uint64_t start_ns = 0;
    for (uint32_t i = 0; i < t->processes && !io->in->error; i++)
        process_row(io, &processes[i], &t->captures, &start_ns);
    CLEANUP(freep)
    struct row *threads = codec_rows(io, NULL, &t->threads, sizeof(*threads), 2, windows_n);
    if (windows_n && (!t->processes || !t->threads))
        codec_bad(io);
    for (uint32_t i = 0; i < t->threads && !io->in->error; i++) {
        uint64_t p = t->processes > 1 ? reader_varint(io->in) : 0;
        if (p >= t->processes) {
            codec_bad(io);
            break;
        }
        threads[i] = processes[p];
        thread_row(io, &threads[i]);
    }
    return TAKE(threads);
}

/* An index column below n; absent when there is nothing to choose. */
static uint32_t read_index(struct codec_io *io, uint32_t n)
{
    uint64_t i = n > 1 ? reader_varint(io->in) : 0;
    if (i < n)
        return (uint32_t)i;
    codec_bad(io);
    return 0;
}

/* The derived bit stays in n_context (0xff) until read_calls sees it. */
#define DERIVED 0xff

static void read_columns(struct codec_io *io, struct window *windows, uint32_t n,
                         const struct row *threads, struct tables *t)
{
    for (uint32_t i = 0; i < n && !io->in->error; i++) {
        t->thread[i] = read_index(io, t->threads);
        row_to(&threads[t->thread[i]], &windows[i]);
    }
    for (uint32_t i = 0; i < n && !io->in->error; i++) {
        uint64_t state = reader_varint(io->in);
        windows[i].level = (uint8_t)(state >> 1);
        windows[i].flags = (uint8_t)(state >> 9);
        windows[i].n_context = state & 1 ? DERIVED : 0;
        if (state >> 17)
            codec_bad(io);
    }
    for (uint32_t i = 0; i < n && !io->in->error; i++) {
        windows[i].n_calls = reader_u8(io->in);
        if (windows[i].n_calls < 1 || windows[i].n_calls > WINDOW_CALLS_MAX)
            codec_bad(io);
    }
    for (uint32_t i = 0; i < n && !io->in->error; i++)
        windows[i].id.position = read_index(io, t->cpus.n);
    for (uint32_t i = 0; i < n && !io->in->error; i++) {
        uint64_t *last = &t->position[windows[i].id.position];
        uint64_t cpu = t->cpus.values[windows[i].id.position];
        *last = codec_delta(io, 0, *last);
        if (*last >> 48 || cpu >> 16)
            codec_bad(io);
        windows[i].id.position = cpu << 48 | *last;
    }
    uint32_t *from = t->process_row; /* of each window: the window that its time is relative to */
    memset(t->last, 0xff, n * sizeof(*t->last));
    for (uint32_t i = 0; i < n && !io->in->error; i++) {
        from[i] = t->last[t->thread[i]];
        t->last[t->thread[i]] = i;
    }
    /* first_ns - base first, since the column of last_ns comes after it */
    for (uint32_t i = 0; i < n && !io->in->error; i++)
        windows[i].first_ns = codec_delta(io, 0, 0);
    for (uint32_t i = 0; i < n && !io->in->error; i++) {
        uint64_t base = from[i] != NONE ? windows[from[i]].last_ns : i ? windows[i - 1].first_ns : 0;
        windows[i].first_ns += base;
        CODEC_DELTA(io, windows[i].last_ns, windows[i].first_ns);
    }
}

static void read_calls(struct codec_io *io, struct window *windows, uint32_t n, struct tables *t)
{
    const struct alphabet *a = &t->sysnos;
    memset(t->last, 0xff, n * sizeof(*t->last));
    for (uint32_t i = 0; i < n && !io->in->error; i++) {
        struct window *w = &windows[i];
        uint32_t *last = &t->last[t->thread[i]];
        bool derived = w->n_context == DERIVED;
        w->n_context = 0;
        if (derived && *last == NONE) {
            codec_bad(io);
            return;
        }
        uint8_t n_context = derived ? derive(&windows[*last], w->context) : reader_u8(io->in);
        if (n_context > WINDOW_CONTEXT_MAX) {
            codec_bad(io);
            return;
        }
        w->n_context = n_context;
        for (int k = 0; k < n_context && !derived && !io->in->error; k++) {
            uint32_t s = alphabet_next(a, io);
            w->context[k] = s == NONE ? 0 : a->values[s];
        }
        for (int k = 0; k < w->n_calls && !io->in->error; k++) {
            uint32_t s = alphabet_next(a, io);
            if (s == NONE)
                return;
            w->ret[k] = (uint16_t)s; /* for spread(), which puts the result in its place */
            w->sysno[k] = a->values[s];
            t->start[s + 1]++;
        }
        *last = i;
    }
    for (uint32_t s = 0; s < a->n; s++)
        t->start[s + 1] += t->start[s];
}

static void read_grouped(struct codec_io *rets, struct codec_io *arguments, struct tables *t)
{
    alphabet_read(&t->rets, RETS, rets);
    for (uint32_t at = 0; at < t->calls && !rets->in->error; at++) {
        uint32_t i = alphabet_next(&t->rets, rets);
        t->ret[at] = i == NONE ? 0 : t->rets.values[i];
    }
    struct codec_io *io = arguments;
    for (uint32_t at = 0; at < t->calls && !io->in->error;) {
        uint64_t flag = reader_varint(io->in), run = reader_varint(io->in);
        if (flag > 0x1ff || run == 0 || run > t->calls - at) {
            codec_bad(io);
            return;
        }
        while (run--)
            t->flag[at++] = (uint16_t)flag;
    }
    for (uint32_t at = 0; at < t->calls && !io->in->error; at++) {
        if (t->flag[at] & 1 && (t->argument[at] = codec_id(io, 0)) == 0)
            codec_bad(io);
    }
}

static void spread(struct window *windows, uint32_t n, struct tables *t)
{
    for (uint32_t i = 0; i < n; i++) {
        struct window *w = &windows[i];
        for (int k = 0; k < w->n_calls; k++) {
            uint32_t at = t->start[w->ret[k]]++;
            w->ret[k] = t->ret[at];
            w->flag[k] = (uint8_t)(t->flag[at] >> 1);
            w->argument[k] = t->argument[at];
        }
    }
}

int codec_windows_decode(struct reader *const parts[PARTS], struct dict *ids, struct window **ret,
                         uint32_t *ret_n)
{
    struct codec_io io = {.in = parts[PART_WINDOWS], .ids = ids};
    struct codec_io calls_io = {.in = parts[PART_CALLS], .ids = ids};
    struct codec_io rets_io = {.in = parts[PART_RETS], .ids = ids};
    struct codec_io arguments_io = {.in = parts[PART_ARGUMENTS], .ids = ids};
    uint32_t n = 0;
    CLEANUP(freep)
    struct window *windows = codec_rows(&io, NULL, &n, sizeof(*windows), 5, CODEC_WINDOWS_MAX);
    CLEANUP(tables_freep) struct tables *t = NULL;
    int r = io.in->error ? io.in->error : tables_new(n, &t);
    if (r < 0)
        return r;
    CLEANUP(freep) struct row *threads = read_tables(&io, t, n);
    if (!io.in->error && n)
        read_columns(&io, windows, n, threads, t);
    if (io.in->error)
        return io.in->error;
    uint32_t calls = 0;
    for (uint32_t i = 0; i < n; i++)
        calls += windows[i].n_calls;
    r = tables_calls(t, calls);
    if (r < 0)
        return r;
    alphabet_read(&t->sysnos, SYSNOS, &calls_io);
    read_calls(&calls_io, windows, n, t);
    if (!calls_io.in->error)
        read_grouped(&rets_io, &arguments_io, t);
    for (int i = 0; i < PARTS; i++) {
        if (parts[i]->error)
            return parts[i]->error;
    }
    spread(windows, n, t);
    *ret = TAKE(windows);
    *ret_n = n;
    return 0;
}
