/* Windows kept: groups of one container and reason, as bytes of transport/codec. */
#include "store/sqlite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "transport/codec.h"

#define GROUP_MAX 256
#define BYTES_MAX (16u << 20)

/* Is it kept already, with this reason or a better one? */
static bool is_kept(struct sqlite_store *s, int64_t capture, const struct store_window *w)
{
    bool kept = false;
    if (sq_run(s, SQ_ID_GET, "ii", capture, (int64_t)w->window->id.position) == SQLITE_ROW)
        kept = sqlite3_column_int(sq_row(s, SQ_ID_GET), 1) >= w->reason;
    sq_reset(s, SQ_ID_GET);
    return kept;
}

static void write_group(struct sqlite_store *s, const struct store_window *const *group, size_t n)
{
    const struct window *first = group[0]->window;
    CLEANUP(freep) struct window *windows = calloc(n, sizeof(*windows));
    if (!windows) {
        s->rc = SQLITE_NOMEM;
        return;
    }
    double from = INFINITY, until = -INFINITY, base = group[0]->time - first->first_ns / 1e9;
    int64_t calls = 0;
    for (size_t i = 0; i < n; i++) {
        windows[i] = *group[i]->window;
        from = MIN(from, windows[i].first_ns / 1e9 + base);
        until = MAX(until, windows[i].last_ns / 1e9 + base);
        calls += windows[i].n_calls;
    }
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, BYTES_MAX);
    if (codec_encode_windows(windows, n, &bytes) < 0 || bytes.error) {
        s->rc = SQLITE_TOOBIG;
        return;
    }
    int64_t source = sq_source(s, first->id.capture, first->container, true);
    sq_run(s, SQ_KEPT_ADD, "idddiiib", source, from, until, base, (int64_t)group[0]->reason,
           (int64_t)n, calls, bytes.data, bytes.size);
    int64_t id = sqlite3_last_insert_rowid(s->db);
    int64_t capture = sq_capture(s, first->id.capture, true);
    for (size_t i = 0; i < n; i++)
        sq_run(s, SQ_ID_PUT, "iii", capture, (int64_t)windows[i].id.position, id);
}

static int compare(const void *a, const void *b)
{
    const struct store_window *x = *(const struct store_window *const *)a;
    const struct store_window *y = *(const struct store_window *const *)b;
    const struct window *v = x->window, *w = y->window;
    if (v->id.capture != w->id.capture)
        return v->id.capture < w->id.capture ? -1 : 1;
    if (v->container != w->container)
        return v->container < w->container ? -1 : 1;
    if (x->reason != y->reason)
        return x->reason - y->reason;
    if (v->first_ns != w->first_ns)
        return v->first_ns < w->first_ns ? -1 : 1;
    return v->id.position < w->id.position ? -1 : v->id.position > w->id.position;
}

static bool same_group(const struct store_window *a, const struct store_window *b)
{
    return a->window->id.capture == b->window->id.capture &&
           a->window->container == b->window->container && a->reason == b->reason;
}

/* The same window twice in one batch is neighbours after sorting. */
static size_t without_twins(const struct store_window **order, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || compare(&order[kept - 1], &order[i]) != 0)
            order[kept++] = order[i];
    }
    return kept;
}

void sq_windows_write(struct sqlite_store *s, const struct store_batch *batch)
{
    if (batch->n_windows == 0 || s->rc)
        return;
    CLEANUP(freep)
    const struct store_window **order = calloc(batch->n_windows, sizeof(struct store_window *));
    if (!order) {
        s->rc = SQLITE_NOMEM;
        return;
    }
    size_t n = 0;
    for (uint32_t i = 0; i < batch->n_windows && !s->rc; i++) {
        const struct store_window *w = &batch->windows[i];
        if (!is_kept(s, sq_capture(s, w->window->id.capture, true), w))
            order[n++] = w;
    }
    qsort(order, n, sizeof(struct store_window *), compare);
    n = without_twins(order, n);
    for (size_t at = 0, end; at < n && !s->rc; at = end) {
        for (end = at + 1; end < n && end - at < GROUP_MAX; end++) {
            if (!same_group(order[at], order[end]))
                break;
        }
        write_group(s, order + at, end - at);
    }
}

/* A window that was kept again for a better reason counts in that group only. */
bool sq_window_counts(struct sqlite_store *s, const struct window *w, int64_t group)
{
    bool here = false;
    int64_t capture = sq_capture(s, w->id.capture, false);
    if (sq_run(s, SQ_ID_GET, "ii", capture, (int64_t)w->id.position) == SQLITE_ROW)
        here = sqlite3_column_int64(sq_row(s, SQ_ID_GET), 0) == group;
    sq_reset(s, SQ_ID_GET);
    return here;
}

static bool is_selected(const struct store_selection *sel, const struct window *w, double time)
{
    return (!sel->tgid ||
            (w->tgid == sel->tgid && (!sel->start_ns || w->start_ns == sel->start_ns))) &&
           (sel->from <= 0 || time >= sel->from) && (sel->until <= 0 || time < sel->until);
}

static void append_group(struct sqlite_store *s, const struct store_selection *sel,
                         sqlite3_stmt *row, struct store_rows *ret, uint32_t *capacity)
{
    CLEANUP(freep) struct window *windows = NULL;
    size_t n = 0;
    if (codec_decode_windows(sqlite3_column_blob(row, 3), (size_t)sqlite3_column_bytes(row, 3),
                             &windows, &n) < 0) {
        s->rc = SQLITE_CORRUPT;
        return;
    }
    for (size_t i = 0; i < n && !s->rc; i++) {
        double time = windows[i].first_ns / 1e9 + sqlite3_column_double(row, 1);
        if (!is_selected(sel, &windows[i], time) ||
            !sq_window_counts(s, &windows[i], sqlite3_column_int64(row, 0)))
            continue;
        if (ret->n == *capacity) {
            *capacity = *capacity ? *capacity * 2 : 64;
            void *more = realloc(ret->windows, *capacity * sizeof(*ret->windows));
            if (!more) {
                s->rc = SQLITE_NOMEM;
                return;
            }
            ret->windows = more;
        }
        ret->windows[ret->n++] = (struct store_kept){
            .window = windows[i], .time = time, .reason = (uint8_t)sqlite3_column_int(row, 2)};
    }
}

static int by_time(const void *a, const void *b)
{
    const struct store_kept *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    const uint64_t p = x->window.id.position, q = y->window.id.position;
    return p < q ? -1 : p > q;
}

/* Groups overlap in time (a slow process's windows span hours), so all that touch the span are read
 * before the limit cuts. */
int sq_read_windows(struct sqlite_store *s, const struct store_selection *sel,
                    struct store_rows *ret)
{
    CLEANUP(buf_done) struct buf sql;
    buf_init(&sql, 4096);
    buf_printf(&sql, "SELECT id, base, reason, data FROM kept WHERE reason >= %u",
               (unsigned)sel->reason_min);
    sq_selection_sql(sel, NULL, &sql);
    buf_printf(&sql, " AND (?2 IS NULL OR last >= ?2) AND (?3 IS NULL OR first < ?3)"
                     " ORDER BY first LIMIT 100000");
    buf_u8(&sql, 0);
    CLEANUP(sq_finalizep) sqlite3_stmt *row = sq_prepare(s, (const char *)sql.data, "");
    sq_selection_bind(s, row, sel);
    const uint32_t limit = sel->limit ? sel->limit : 1000;
    uint32_t capacity = 0;
    while (sq_step(s, row) && ret->n < 16 * limit)
        append_group(s, sel, row, ret, &capacity);
    if (ret->n > 1)
        qsort(ret->windows, ret->n, sizeof(*ret->windows), by_time);
    ret->more = ret->n > limit;
    ret->n = MIN(ret->n, limit);
    return 0;
}
