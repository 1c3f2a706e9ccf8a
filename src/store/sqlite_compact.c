/* Small groups of windows into larger ones. The normal sample arrives a window at a time, and a
 * group of one costs 7 bytes a call, a hundred of them together under 3. */
#include "store/sqlite.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "transport/codec.h"

#define SMALL 32      /* windows; a group with fewer is small, as the index kept_small has it */
#define GROUPS_MIN 16 /* worth the writing */
#define WINDOWS_MAX 256
#define SPAN_MAX_S 3600.0 /* so that reading a minute does not decode a day */
#define BASE_MAX_S .01    /* wall clocks of groups put together differ by no more */
#define BYTES_MAX (16u << 20)

struct merged {
    struct window *windows; /* [WINDOWS_MAX] */
    size_t n;
    int64_t groups[WINDOWS_MAX], n_groups, calls;
    double first, last, base;
};

static void merged_done(struct merged *m)
{
    free(m->windows);
}

/* Windows that count in another group by now are left behind. */
static void take_group(struct sqlite_store *s, sqlite3_stmt *row, struct merged *m)
{
    CLEANUP(freep) struct window *windows = NULL;
    size_t n = 0;
    const int64_t group = sqlite3_column_int64(row, 0);
    if (codec_decode_windows(sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4),
                             &windows, &n) < 0 ||
        n > SMALL) {
        s->rc = SQLITE_CORRUPT;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!sq_window_counts(s, &windows[i], group))
            continue;
        m->windows[m->n++] = windows[i];
        m->calls += windows[i].n_calls;
    }
    m->groups[m->n_groups++] = group;
    m->last = MAX(m->last, sqlite3_column_double(row, 2));
}

static bool fits(const struct merged *m, sqlite3_stmt *row)
{
    return m->n + SMALL <= WINDOWS_MAX && m->n_groups < WINDOWS_MAX &&
           sqlite3_column_double(row, 2) - m->first <= SPAN_MAX_S &&
           fabs(sqlite3_column_double(row, 3) - m->base) <= BASE_MAX_S;
}

static void gather(struct sqlite_store *s, int64_t source, int reason, double after,
                   struct merged *m)
{
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = sq_prepare(s,
                                   "SELECT id, first, last, base, data FROM kept WHERE source = ?"
                                   " AND reason = ? AND first >= ? AND windows < 32 ORDER BY first",
                                   "iid", source, (int64_t)reason, after);
    while (sq_step(s, row)) {
        if (m->n_groups == 0) {
            m->first = sqlite3_column_double(row, 1);
            m->last = m->first;
            m->base = sqlite3_column_double(row, 3);
        }
        if (!fits(m, row))
            return;
        take_group(s, row, m);
    }
}

static void write_merged(struct sqlite_store *s, int64_t source, int reason, const struct merged *m)
{
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, BYTES_MAX);
    if (m->n && (codec_encode_windows(m->windows, m->n, &bytes) < 0 || bytes.error)) {
        s->rc = SQLITE_TOOBIG;
        return;
    }
    for (int64_t i = 0; i < m->n_groups; i++)
        sq_run(s, SQ_KEPT_REMOVE, "i", m->groups[i]);
    if (m->n == 0)
        return;
    sq_run(s, SQ_KEPT_ADD, "idddiiib", source, m->first, m->last, m->base, (int64_t)reason,
           (int64_t)m->n, m->calls, bytes.data, bytes.size);
    int64_t id = sqlite3_last_insert_rowid(s->db);
    int64_t capture = m->n ? sq_capture(s, m->windows[0].id.capture, true) : 0;
    for (size_t i = 0; i < m->n; i++)
        sq_run(s, SQ_ID_PUT, "iii", capture, (int64_t)m->windows[i].id.position, id);
}

/* One source and reason from a time on; the time to go on from, INFINITY at the end. */
static double compact_once(struct sqlite_store *s, int64_t source, int reason, double after)
{
    CLEANUP(merged_done) struct merged m = {.windows = calloc(WINDOWS_MAX, sizeof(struct window))};
    if (!m.windows) {
        s->rc = SQLITE_NOMEM;
        return INFINITY;
    }
    gather(s, source, reason, after, &m);
    if (s->rc || m.n_groups == 0)
        return INFINITY;
    if (m.n_groups >= GROUPS_MIN)
        write_merged(s, source, reason, &m);
    return nextafter(m.last > m.first ? m.last : m.first, INFINITY);
}

struct candidate {
    int64_t source;
    int reason;
};

static size_t find_candidates(struct sqlite_store *s, struct candidate *ret, size_t max)
{
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = sq_prepare(s,
                                   "SELECT source, reason FROM kept WHERE windows < 32 GROUP BY"
                                   " source, reason HAVING count(*) >= ? LIMIT ?",
                                   "ii", (int64_t)GROUPS_MIN, (int64_t)max);
    size_t n = 0;
    while (n < max && sq_step(s, row)) {
        ret[n++] = (struct candidate){.source = sqlite3_column_int64(row, 0),
                                      .reason = sqlite3_column_int(row, 1)};
    }
    return n;
}

int sq_compact(struct sqlite_store *s)
{
    struct candidate candidates[256];
    sq_begin(s, "BEGIN");
    size_t n = find_candidates(s, candidates, ARRAY_SIZE(candidates));
    int r = sq_end(s, "compact windows of");
    for (size_t i = 0; i < n && r == 0; i++) {
        double after = -INFINITY;
        while (r == 0 && after < INFINITY) {
            sq_begin(s, "BEGIN IMMEDIATE");
            after = compact_once(s, candidates[i].source, candidates[i].reason, after);
            r = sq_end(s, "compact windows of");
        }
    }
    return r;
}
