/* Typed reading: series, shares, scores, sizes. */
#include "store/sqlite.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"

#define POINTS_AIM 400
#define POINTS_MAX 100000

void sq_selection_sql(const struct store_selection *sel, const char *time_column, struct buf *ret)
{
    if (sel->container)
        buf_printf(ret, " AND source IN (SELECT sources.id FROM sources JOIN captures"
                        " ON captures.id = sources.capture WHERE captures.capture = ?1"
                        " AND container = ?4)");
    else if (sel->workload)
        buf_printf(ret, " AND source IN (SELECT id FROM sources WHERE workload = ?1)");
    if (time_column)
        buf_printf(ret, " AND (?2 IS NULL OR %s >= ?2) AND (?3 IS NULL OR %s < ?3)", time_column,
                   time_column);
}

void sq_selection_bind(struct sqlite_store *s, sqlite3_stmt *statement,
                       const struct store_selection *sel)
{
    if (!statement)
        return;
    uint64_t capture = 0;
    uint32_t number = UINT32_MAX;
    if (sel->container) {
        if (store_container_parse(sel->container, &capture, &number) < 0)
            log_debug("read from %s: \"%s\" is no key of a container", s->path, sel->container);
        sqlite3_bind_int64(statement, 1, (int64_t)capture);
        sqlite3_bind_int64(statement, 4, number);
    } else if (sel->workload) {
        sqlite3_bind_text(statement, 1, sel->workload, -1, SQLITE_STATIC);
    }
    if (sel->from > 0)
        sqlite3_bind_double(statement, 2, sel->from);
    if (sel->until > 0)
        sqlite3_bind_double(statement, 3, sel->until);
}

static sqlite3_stmt *selected(struct sqlite_store *s, const char *head,
                              const struct store_selection *sel, const char *tail)
{
    CLEANUP(buf_done) struct buf sql;
    buf_init(&sql, 8192);
    buf_printf(&sql, "%s WHERE 1", head);
    sq_selection_sql(sel, "time", &sql);
    buf_printf(&sql, "%s", tail);
    buf_u8(&sql, 0);
    sqlite3_stmt *statement = sq_prepare(s, (const char *)sql.data, "");
    sq_selection_bind(s, statement, sel);
    return statement;
}

/* Span of what there is: open ends of the selection become the first and last row. */
static void find_span(struct sqlite_store *s, const struct store_selection *sel, double *from,
                      double *until)
{
    *from = sel->from;
    *until = sel->until;
    if (sel->from > 0 && sel->until > 0)
        return;
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = selected(s, "SELECT min(time), max(time) FROM bins", sel, "");
    if (!sq_step(s, row))
        return;
    if (*from <= 0)
        *from = sqlite3_column_double(row, 0);
    if (*until <= 0)
        *until = sqlite3_column_double(row, 1) + 1;
}

static double choose_step(double span)
{
    static const double steps[] = {1, 10, 60, 600, 3600, 86400};
    size_t i = 0;
    while (i + 1 < ARRAY_SIZE(steps) && span / steps[i] > POINTS_AIM)
        i++;
    return steps[i];
}

static struct store_point *point_at(struct sqlite_store *s, struct store_rows *ret,
                                    uint32_t *capacity, double time)
{
    if (ret->n && ret->points[ret->n - 1].time == time)
        return &ret->points[ret->n - 1];
    if (ret->n == *capacity) {
        uint32_t more = *capacity ? *capacity * 2 : 512;
        void *points = realloc(ret->points, more * sizeof(*ret->points));
        if (!points) {
            s->rc = SQLITE_NOMEM;
            return NULL;
        }
        ret->points = points;
        *capacity = more;
    }
    struct store_point *p = &ret->points[ret->n++];
    *p = (struct store_point){.time = time};
    for (int c = 0; c < STORE_CHANNELS; c++)
        p->score[c] = p->threshold[c] = NAN;
    return p;
}

static void read_bin_points(struct sqlite_store *s, const struct store_selection *sel,
                            struct store_rows *ret, uint32_t *capacity)
{
    char head[256];
    snprintf(head, sizeof(head),
             "SELECT CAST(time / %.0f AS INTEGER) * %.0f AS at, sum(calls), sum(errors),"
             " sum(latency_ns), sum(latency_calls) FROM bins",
             ret->step_s, ret->step_s);
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = selected(s, head, sel, " GROUP BY at ORDER BY at");
    while (ret->n < POINTS_MAX && sq_step(s, row)) {
        struct store_point *p = point_at(s, ret, capacity, sqlite3_column_double(row, 0));
        if (!p)
            return;
        p->calls = (uint64_t)sqlite3_column_int64(row, 1);
        p->errors = (uint64_t)sqlite3_column_int64(row, 2);
        p->latency_ns = (uint64_t)sqlite3_column_int64(row, 3);
        p->latency_calls = (uint64_t)sqlite3_column_int64(row, 4);
    }
}

static int by_time(const void *a, const void *b)
{
    const struct store_point *x = a, *y = b;
    return (x->time > y->time) - (x->time < y->time);
}

/* Scores lie on the same steps as bins, or between them where a container had scores and no bins.
 */
static void read_score_points(struct sqlite_store *s, const struct store_selection *sel,
                              struct store_rows *ret, uint32_t *capacity)
{
    char head[256];
    snprintf(head, sizeof(head),
             "SELECT CAST(time / %.0f AS INTEGER) * %.0f AS at, channel, max(value), threshold"
             " FROM scores",
             ret->step_s, ret->step_s);
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = selected(s, head, sel, " GROUP BY at, channel ORDER BY at");
    const uint32_t n_bins = ret->n;
    uint32_t i = 0;
    while (ret->n < POINTS_MAX && sq_step(s, row)) {
        double at = sqlite3_column_double(row, 0);
        while (i < n_bins && ret->points[i].time < at)
            i++;
        bool found = i < n_bins && ret->points[i].time == at;
        struct store_point *p = found ? &ret->points[i] : point_at(s, ret, capacity, at);
        int channel = sqlite3_column_int(row, 1);
        if (!p || channel < 0 || channel >= STORE_CHANNELS)
            continue;
        p->score[channel] = (float)sqlite3_column_double(row, 2);
        p->threshold[channel] = (float)sqlite3_column_double(row, 3);
    }
    if (ret->n > n_bins)
        qsort(ret->points, ret->n, sizeof(*ret->points), by_time);
}

static int read_series(struct sqlite_store *s, const struct store_selection *sel,
                       struct store_rows *ret)
{
    double from, until;
    find_span(s, sel, &from, &until);
    ret->step_s = sel->step_s >= 1 ? floor(sel->step_s) : choose_step(until - from);
    uint32_t capacity = 0;
    read_bin_points(s, sel, ret, &capacity);
    read_score_points(s, sel, ret, &capacity);
    ret->more = ret->n >= POINTS_MAX;
    return 0;
}

static int most_calls(const void *a, const void *b)
{
    const struct sq_count *x = a, *y = b;
    return (x->calls < y->calls) - (x->calls > y->calls);
}

static int most_errors(const void *a, const void *b)
{
    const struct sq_count *x = a, *y = b;
    return (x->errors < y->errors) - (x->errors > y->errors);
}

/* Program and its text by the short number. */
static void name_share(struct sqlite_store *s, sqlite3_stmt *names, int64_t number,
                       struct store_share *ret)
{
    sqlite3_reset(names);
    sqlite3_bind_int64(names, 1, number);
    if (!sq_step(s, names))
        return;
    ret->program = (uint64_t)sqlite3_column_int64(names, 0);
    const char *text = (const char *)sqlite3_column_text(names, 1);
    ret->program_text = text ? strdup(text) : NULL;
}

static void sum_bins(struct sqlite_store *s, const struct store_selection *sel,
                     struct sq_counts *ret)
{
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = selected(s, "SELECT counts FROM bins", sel, "");
    uint32_t sorted = 0;
    while (!ret->error && sq_step(s, row)) {
        sq_counts_decode(ret, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
        if (ret->n > sorted * 2 + 4096) { /* keeps it near the number of different pairs */
            sq_counts_sort(ret);
            sorted = ret->n;
        }
    }
    sq_counts_sort(ret);
    if (ret->error && !s->rc)
        s->rc = ret->error == -EBADMSG ? SQLITE_CORRUPT : SQLITE_NOMEM;
}

static int read_shares(struct sqlite_store *s, const struct store_selection *sel,
                       struct store_rows *ret)
{
    CLEANUP(sq_counts_done) struct sq_counts counts = {0};
    sum_bins(s, sel, &counts);
    double sum = 0;
    for (uint32_t i = 0; i < counts.n; i++)
        sum += (double)(sel->errors_only ? counts.items[i].errors : counts.items[i].calls);
    if (counts.n)
        qsort(counts.items, counts.n, sizeof(*counts.items),
              sel->errors_only ? most_errors : most_calls);
    const uint32_t limit = MIN(counts.n, sel->limit ? sel->limit : 1000);
    ret->more = counts.n > limit;
    ret->shares = calloc(limit ? limit : 1, sizeof(*ret->shares));
    if (!ret->shares)
        return -ENOMEM;
    CLEANUP(sq_finalizep)
    sqlite3_stmt *names = sq_prepare(
        s,
        "SELECT program, (SELECT json_extract(body, '$.text') FROM documents WHERE kind = 4"
        " AND key = printf('%016llx', program)) FROM programs WHERE id = ?",
        "");
    for (uint32_t i = 0; i < limit && !s->rc; i++) {
        const struct sq_count *c = &counts.items[i];
        if (sel->errors_only && !c->errors)
            break;
        struct store_share *k = &ret->shares[ret->n++];
        *k = (struct store_share){.sysno = c->sysno,
                                  .calls = c->calls,
                                  .errors = c->errors,
                                  .latency_ns = c->latency_ns,
                                  .latency_calls = c->latency_calls,
                                  .share = (double)(sel->errors_only ? c->errors : c->calls) / sum};
        name_share(s, names, c->program, k);
    }
    return 0;
}

static char *copy_column(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? strdup(text) : NULL;
}

static int read_scores(struct sqlite_store *s, const struct store_selection *sel,
                       struct store_rows *ret)
{
    const uint32_t limit = sel->limit ? MIN(sel->limit, POINTS_MAX) : 1000;
    char tail[80];
    snprintf(tail, sizeof(tail), "%s ORDER BY time DESC, channel LIMIT %u",
             sel->explained ? " AND evidence IS NOT NULL" : "", limit + 1);
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = selected(
        s,
        "SELECT captures.capture, origin.container, channel, phase, time, value, threshold,"
        " version, detector, evidence FROM scores JOIN sources AS origin ON origin.id = source"
        " JOIN captures ON captures.id = origin.capture",
        sel, tail);
    ret->scores = calloc(limit, sizeof(*ret->scores));
    if (!ret->scores)
        return -ENOMEM;
    while (sq_step(s, row)) {
        if (ret->n == limit) {
            ret->more = true;
            break;
        }
        ret->scores[ret->n++] = (struct store_score){
            .capture = (uint64_t)sqlite3_column_int64(row, 0),
            .container = (uint32_t)sqlite3_column_int64(row, 1),
            .channel = (uint8_t)sqlite3_column_int(row, 2),
            .phase = (uint8_t)sqlite3_column_int(row, 3),
            .time = sqlite3_column_double(row, 4),
            .value = (float)sqlite3_column_double(row, 5),
            .threshold = (float)sqlite3_column_double(row, 6),
            .model_version = (uint32_t)sqlite3_column_int64(row, 7),
            .detector = copy_column(row, 8),
            .evidence = copy_column(row, 9),
        };
    }
    return 0;
}

static uint64_t size_of(const char *path, const char *suffix)
{
    char name[4096];
    struct stat st;
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void read_size(struct sqlite_store *s, struct store_stats *ret)
{
    const uint64_t page = (uint64_t)sq_pragma(s, "PRAGMA page_size");
    ret->file_bytes = page * (uint64_t)sq_pragma(s, "PRAGMA page_count");
    ret->free_bytes = page * (uint64_t)sq_pragma(s, "PRAGMA freelist_count");
    ret->wal_bytes = size_of(s->path, "-wal");
    ret->schema = (uint32_t)sq_pragma(s, "PRAGMA user_version");
}

static int read_stats(struct sqlite_store *s, struct store_stats *ret)
{
    read_size(s, ret);
    CLEANUP(sq_finalizep)
    sqlite3_stmt *kinds = sq_prepare(s, "SELECT kind, count(*) FROM documents GROUP BY kind", "");
    while (sq_step(s, kinds)) {
        if (sqlite3_column_int(kinds, 0) < STORE_KINDS)
            ret->documents[sqlite3_column_int(kinds, 0)] = (uint64_t)sqlite3_column_int64(kinds, 1);
    }
    ret->bins_second = (uint64_t)sq_pragma(s, "SELECT count(*) FROM bins WHERE step = 1");
    ret->bins_minute = (uint64_t)sq_pragma(s, "SELECT count(*) FROM bins WHERE step = 60");
    ret->bins_hour = (uint64_t)sq_pragma(s, "SELECT count(*) FROM bins WHERE step = 3600");
    ret->scores = (uint64_t)sq_pragma(s, "SELECT count(*) FROM scores");
    ret->oldest_bin = (double)sq_pragma(s, "SELECT min(time) FROM bins");
    CLEANUP(sq_finalizep)
    sqlite3_stmt *kept = sq_prepare(
        s, "SELECT sum(windows), sum(calls), sum(length(data)), min(first) FROM kept", "");
    if (sq_step(s, kept)) {
        ret->windows = (uint64_t)sqlite3_column_int64(kept, 0);
        ret->window_calls = (uint64_t)sqlite3_column_int64(kept, 1);
        ret->window_bytes = (uint64_t)sqlite3_column_int64(kept, 2);
        ret->oldest_window = sqlite3_column_double(kept, 3);
    }
    return 0;
}

static void read_acknowledged(struct sqlite_store *s, const uint8_t *spool, uint64_t *ret)
{
    if (sq_run(s, SQ_SPOOL_GET, "b", spool, (size_t)16) == SQLITE_ROW)
        *ret = (uint64_t)sqlite3_column_int64(sq_row(s, SQ_SPOOL_GET), 0);
    sq_reset(s, SQ_SPOOL_GET);
}

static int read_ledger(struct sqlite_store *s, const struct store_arguments *a,
                       struct store_rows *ret)
{
    uint32_t max = 0;
    if (a->spool)
        read_acknowledged(s, a->spool, &ret->sequence);
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row =
        a->query->key
            ? sq_prepare(s, "SELECT key, body FROM documents WHERE kind = ?1 AND key = ?2", "it",
                         (int64_t)STORE_LEDGER, a->query->key)
            : sq_prepare(s, "SELECT key, body FROM documents WHERE kind = ?1", "i",
                         (int64_t)STORE_LEDGER);
    while (sq_step(s, row)) {
        if (ret->n == max) {
            max = max ? max * 2 : 256;
            void *more = realloc(ret->ledger, max * sizeof(*ret->ledger));
            if (!more)
                return -ENOMEM;
            ret->ledger = more;
        }
        struct store_ledger *l = &ret->ledger[ret->n];
        json_auto_t *body = json_loadb((const char *)sqlite3_column_text(row, 1),
                                       (size_t)sqlite3_column_bytes(row, 1), 0, NULL);
        if (!body || store_container_parse((const char *)sqlite3_column_text(row, 0), &l->capture,
                                           &l->count.container) < 0) {
            s->rc = SQLITE_CORRUPT;
            return 0;
        }
        store_ledger_parse(body, &l->count);
        ret->n++;
    }
    return 0;
}

static int read_document(struct sqlite_store *s, const struct store_query *q,
                         struct store_rows *ret)
{
    if (sq_run(s, SQ_DOC_GET, "it", (int64_t)q->kind, q->key) != SQLITE_ROW)
        return s->rc ? 0 : -ENOENT;
    sqlite3_stmt *row = sq_row(s, SQ_DOC_GET);
    ret->body = json_loadb((const char *)sqlite3_column_text(row, 1),
                           (size_t)sqlite3_column_bytes(row, 1), 0, NULL);
    if (!ret->body)
        s->rc = SQLITE_CORRUPT;
    json_object_set_new(ret->body, "key", json_string(q->key));
    json_object_set_new(ret->body, "time", json_real(sqlite3_column_double(row, 0)));
    sq_reset(s, SQ_DOC_GET);
    if (sq_run(s, SQ_BLOB_GET, "it", (int64_t)q->kind, q->key) == SQLITE_ROW) {
        row = sq_row(s, SQ_BLOB_GET);
        ret->blob_size = (size_t)sqlite3_column_bytes(row, 0);
        ret->blob = malloc(ret->blob_size + 1);
        if (!ret->blob)
            s->rc = SQLITE_NOMEM;
        else if (ret->blob_size)
            memcpy(ret->blob, sqlite3_column_blob(row, 0), ret->blob_size);
    }
    sq_reset(s, SQ_BLOB_GET);
    return 0;
}

static int read_one(struct sqlite_store *s, const struct store_arguments *a, struct store_rows *ret)
{
    switch (a->reading) {
    case STORE_READ_ACKNOWLEDGED:
        read_acknowledged(s, a->spool, &ret->sequence);
        return 0;
    case STORE_READ_LEDGER:
        return read_ledger(s, a, ret);
    case STORE_READ_DOCUMENT:
        return read_document(s, a->query, ret);
    case STORE_READ_COUNTS:
        return sq_read_counts(s, a, ret);
    case STORE_READ_SERIES:
        return read_series(s, &a->selection, ret);
    case STORE_READ_SHARES:
        return read_shares(s, &a->selection, ret);
    case STORE_READ_SCORES:
        return read_scores(s, &a->selection, ret);
    case STORE_READ_WINDOWS:
        return sq_read_windows(s, &a->selection, ret);
    case STORE_READ_SIZE:
        read_size(s, &ret->stats);
        return 0;
    case STORE_READ_STATS:
        return read_stats(s, &ret->stats);
    }
    return -EINVAL;
}

int sqlite_read(struct store *store, const struct store_arguments *a, struct store_rows *ret)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    CLEANUP(store_rows_done) struct store_rows rows = {.reading = a->reading};
    sq_begin(s, "BEGIN");
    int r = read_one(s, a, &rows);
    int end = sq_end(s, "read from");
    if (end < 0 || r < 0)
        return end < 0 ? end : r;
    *ret = rows;
    rows = (struct store_rows){0};
    return 0;
}
