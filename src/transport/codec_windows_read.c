/* The reading half of codec_windows.c, in the same order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/codec_tables.h"

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
    struct row *processes = codec_rows(io, NULL, &t->processes, sizeof(*processes), 4, windows_n);
    uint64_t start_ns = 0;
    for (uint32_t i = 0; i < t->processes && !io->in->error; i++)
        codec_process_row(io, &processes[i], &t->captures, &start_ns);
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
        codec_thread_row(io, &threads[i]);
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
        uint64_t base = from[i] != NONE ? windows[from[i]].last_ns
                        : i             ? windows[i - 1].first_ns
                                        : 0;
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
        uint8_t n_context = derived ? codec_derive(&windows[*last], w->context) : reader_u8(io->in);
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
    CLEANUP(codec_tables_freep) struct tables *t = NULL;
    int r = io.in->error ? io.in->error : codec_tables_new(n, &t);
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
    r = codec_tables_calls(t, calls);
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
