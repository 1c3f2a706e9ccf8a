/* Counts of bins as bytes: varints, about four bytes an entry. */
#include "store/sqlite.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum { HAS_ERRORS = 1, HAS_LATENCY = 2, FLAG_BITS = 2 };

#define COUNTS_MAX (1u << 20) /* (program, syscall) pairs in one row */
#define BYTES_MAX (32u << 20)

void sq_counts_done(struct sq_counts *c)
{
    free(c->items);
    *c = (struct sq_counts){0};
}

void sq_counts_add(struct sq_counts *c, const struct sq_count *count)
{
    if (c->error)
        return;
    if (c->n == c->capacity) {
        uint32_t capacity = c->capacity ? c->capacity * 2 : 64;
        void *items = c->n < COUNTS_MAX ? realloc(c->items, capacity * sizeof(*c->items)) : NULL;
        if (!items) {
            c->error = -ENOMEM;
            return;
        }
        c->items = items;
        c->capacity = capacity;
    }
    c->items[c->n++] = *count;
}

static int compare(const void *a, const void *b)
{
    const struct sq_count *x = a, *y = b;
    if (x->program != y->program)
        return x->program < y->program ? -1 : 1;
    return (int)x->sysno - (int)y->sysno;
}

void sq_counts_sort(struct sq_counts *c)
{
    if (c->n < 2)
        return;
    qsort(c->items, c->n, sizeof(*c->items), compare);
    uint32_t last = 0;
    for (uint32_t i = 1; i < c->n; i++) {
        struct sq_count *to = &c->items[last], *from = &c->items[i];
        if (compare(to, from) != 0) {
            c->items[++last] = *from;
            continue;
        }
        to->calls += from->calls;
        to->errors += from->errors;
        to->latency_ns += from->latency_ns;
        to->latency_calls += from->latency_calls;
    }
    c->n = last + 1;
}

void sq_counts_encode(const struct sq_counts *c, struct buf *ret)
{
    buf_init(ret, BYTES_MAX);
    buf_varint(ret, c->n);
    int64_t program = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct sq_count *k = &c->items[i];
        unsigned flags = (k->errors ? HAS_ERRORS : 0) | (k->latency_calls ? HAS_LATENCY : 0);
        buf_varint(ret, (uint64_t)(k->program - program) << FLAG_BITS | flags);
        buf_varint(ret, k->sysno);
        buf_varint(ret, k->calls);
        if (flags & HAS_ERRORS)
            buf_varint(ret, k->errors);
        if (flags & HAS_LATENCY) {
            buf_varint(ret, k->latency_calls);
            buf_varint(ret, k->latency_ns);
        }
        program = k->program;
    }
}

void sq_counts_decode(struct sq_counts *c, const void *data, size_t size)
{
    struct reader r;
    reader_init(&r, data, size);
    uint64_t n = reader_varint(&r);
    int64_t program = 0;
    for (uint64_t i = 0; i < n && !r.error; i++) {
        uint64_t head = reader_varint(&r);
        program += (int64_t)(head >> FLAG_BITS);
        struct sq_count k = {.program = program};
        k.sysno = (uint16_t)reader_varint(&r);
        k.calls = reader_varint(&r);
        if (head & HAS_ERRORS)
            k.errors = reader_varint(&r);
        if (head & HAS_LATENCY) {
            k.latency_calls = reader_varint(&r);
            k.latency_ns = reader_varint(&r);
        }
        if (!r.error)
            sq_counts_add(c, &k);
    }
    if (r.error && !c->error)
        c->error = r.error;
}

void sq_bin_add(struct sqlite_store *s, int64_t source, int step, int64_t time, int level,
                struct sq_counts *counts)
{
    if (sq_run(s, SQ_BIN_GET, "iii", source, (int64_t)step, time) == SQLITE_ROW) {
        sqlite3_stmt *row = sq_row(s, SQ_BIN_GET);
        const void *data = sqlite3_column_blob(row, 0);
        sq_counts_decode(counts, data, (size_t)sqlite3_column_bytes(row, 0));
        level = MAX(level, sqlite3_column_int(row, 1));
        sq_reset(s, SQ_BIN_GET);
    }
    sq_counts_sort(counts);
    struct sq_count sum = {0};
    for (uint32_t i = 0; i < counts->n; i++) {
        sum.calls += counts->items[i].calls;
        sum.errors += counts->items[i].errors;
        sum.latency_ns += counts->items[i].latency_ns;
        sum.latency_calls += counts->items[i].latency_calls;
    }
    CLEANUP(buf_done) struct buf bytes;
    sq_counts_encode(counts, &bytes);
    if (!s->rc && (counts->error || bytes.error))
        s->rc = counts->error == -EBADMSG ? SQLITE_CORRUPT : SQLITE_NOMEM;
    sq_run(s, SQ_BIN_PUT, "iiiiiiiib", source, (int64_t)step, time, (int64_t)sum.calls,
           (int64_t)sum.errors, (int64_t)sum.latency_ns, (int64_t)sum.latency_calls, (int64_t)level,
           bytes.data, bytes.size);
}
