/* Retention: rolling up, forgetting, giving pages back; each step its own short transaction. */
#include "store/sqlite.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "transport/codec.h"

#define STEP_ROWS "500"      /* rows of one transaction, as SQL text */
#define STEP_STRETCHES 16    /* minutes or hours made in one transaction, of up to 60 rows each */
#define STEPS_MAX 20000      /* of one purge; the next goes on */
#define PROCESSES_MAX 200000 /* about 80 MB */
#define VACUUM_PAGES 256     /* given back in one go: 1 MiB */

struct gone {
    uint64_t windows, scores, bins_rolled, bins, documents, freed_bytes;
};

struct purge {
    struct sqlite_store *s;
    const struct store_retention *retention;
    double now;
    struct gone gone;
};

static double cutoff(const struct purge *p, double age_s)
{
    return age_s > 0 ? p->now - age_s : -INFINITY;
}

/* The first source from *ret on that has rows of that step before a time. */
static int old_source(struct purge *p, int step, double before, int64_t *ret)
{
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row =
        sq_prepare(p->s,
                   "SELECT id FROM sources WHERE id >= ? AND EXISTS (SELECT 1 FROM bins WHERE"
                   " source = sources.id AND step = ? AND time < ?) ORDER BY id LIMIT 1",
                   "iid", *ret, (int64_t)step, before);
    if (!sq_step(p->s, row))
        return -ENOENT;
    *ret = sqlite3_column_int64(row, 0);
    return 0;
}

/* The oldest stretch of one source's rows of a step into one row of the next step; false: none is
 * left. */
static bool roll_one(struct purge *p, int64_t source, int step, int next, double before)
{
    CLEANUP(sq_counts_done) struct sq_counts counts = {0};
    CLEANUP(sq_finalizep)
    sqlite3_stmt *row = sq_prepare(p->s,
                                   "SELECT time, counts, level FROM bins WHERE source = ? AND"
                                   " step = ? AND time < ? ORDER BY time",
                                   "iid", source, (int64_t)step, before);
    int64_t start = INT64_MIN;
    int level = 0;
    while (sq_step(p->s, row)) {
        int64_t at = sqlite3_column_int64(row, 0) / next * next;
        if (start == INT64_MIN)
            start = at;
        if (at != start)
            break;
        sq_counts_decode(&counts, sqlite3_column_blob(row, 1),
                         (size_t)sqlite3_column_bytes(row, 1));
        level = MAX(level, sqlite3_column_int(row, 2));
        p->gone.bins_rolled++;
    }
    if (start == INT64_MIN)
        return false;
    sq_bin_add(p->s, source, next, start, level, &counts);
    CLEANUP(sq_finalizep)
    sqlite3_stmt *away = sq_prepare(p->s,
                                    "DELETE FROM bins WHERE source = ? AND step = ? AND time >= ?"
                                    " AND time < ?",
                                    "iiii", source, (int64_t)step, start, start + next);
    sq_step(p->s, away);
    return !p->s->rc;
}

static int roll_up(struct purge *p, int step, int next, double before)
{
    /* Whole stretches only, or the same minute would be rolled up again and again. */
    before = floor(before / next) * next;
    if (!isfinite(before))
        return 0;
    int64_t source = 0;
    for (int i = 0; i < STEPS_MAX; i++) {
        sq_begin(p->s, "BEGIN IMMEDIATE");
        int found = 0;
        for (int k = 0; k < STEP_STRETCHES && found == 0; k++) {
            if (!roll_one(p, source, step, next, before))
                found = old_source(p, step, before, &source);
        }
        int r = sq_end(p->s, "roll up bins of");
        if (r < 0 || found < 0)
            return r;
    }
    return 0;
}

/* Runs a DELETE with one bound time until it finds no more; it must limit itself to STEP_ROWS. */
static int delete_old(struct purge *p, const char *sql, double before, uint64_t *ret)
{
    if (!isfinite(before))
        return 0;
    for (int i = 0; i < STEPS_MAX; i++) {
        sq_begin(p->s, "BEGIN IMMEDIATE");
        CLEANUP(sq_finalizep) sqlite3_stmt *away = sq_prepare(p->s, sql, "d", before);
        sq_step(p->s, away);
        int n = p->s->rc ? 0 : sqlite3_changes(p->s->db);
        sqlite3_reset(away);
        int r = sq_end(p->s, "purge");
        if (r < 0)
            return r;
        *ret += (uint64_t)n;
        if (n == 0)
            return 0;
    }
    return 0;
}

/* The group and the ids that count in it. */
static void remove_group(struct purge *p, int64_t id, const void *data, size_t size)
{
    CLEANUP(freep) struct window *windows = NULL;
    size_t n = 0;
    if (codec_decode_windows(data, size, &windows, &n) < 0) {
        p->s->rc = SQLITE_CORRUPT;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t capture = sq_capture(p->s, windows[i].id.capture, false);
        sq_run(p->s, SQ_ID_REMOVE, "iii", capture, (int64_t)windows[i].id.position, id);
    }
    sq_run(p->s, SQ_KEPT_REMOVE, "i", id);
    p->gone.windows += n;
}

/* Oldest groups of these reasons, at most n of them; how many went. */
static int remove_groups(struct purge *p, const char *reasons, double before, int n, int *ret)
{
    char sql[160];
    snprintf(sql, sizeof(sql),
             "SELECT id, data FROM kept WHERE reason IN (%s) AND last < ? ORDER BY last LIMIT %d",
             reasons, n);
    sq_begin(p->s, "BEGIN IMMEDIATE");
    sqlite3_stmt *row = sq_prepare(p->s, sql, "d", before);
    int removed = 0;
    while (sq_step(p->s, row)) {
        remove_group(p, sqlite3_column_int64(row, 0), sqlite3_column_blob(row, 1),
                     (size_t)sqlite3_column_bytes(row, 1));
        removed++;
    }
    sqlite3_finalize(row);
    *ret = removed;
    return sq_end(p->s, "purge");
}

static int purge_windows(struct purge *p, const char *reasons, double before)
{
    int removed = isfinite(before) ? 1 : 0, r = 0;
    for (int i = 0; i < STEPS_MAX && removed > 0 && r == 0; i++)
        r = remove_groups(p, reasons, before, 32, &removed);
    return r;
}

/* Source by source, since that is what the table is sorted by. */
static const char delete_scores[] =
    "DELETE FROM scores WHERE (source, time, channel, phase) IN (SELECT old.source, old.time,"
    " old.channel, old.phase FROM sources CROSS JOIN scores AS old ON old.source = sources.id AND"
    " old.time < ? LIMIT " STEP_ROWS ")";

static const char delete_alerts[] =
    "DELETE FROM documents WHERE kind = 0 AND key IN (SELECT key FROM briefs"
    " WHERE time < ? AND state = 'closed' LIMIT " STEP_ROWS ")";

/* Processes that ended, or whose container did: those that run are still to be named. */
static const char delete_processes[] =
    "DELETE FROM documents WHERE kind = 3 AND key IN (SELECT d.key FROM documents AS d"
    " WHERE d.kind = 3 AND d.time < ? AND (json_extract(d.body, '$.last') > 0 OR NOT EXISTS"
    " (SELECT 1 FROM documents AS c WHERE c.kind = 2 AND c.key = json_extract(d.body,"
    " '$.container') AND c.state <> 'gone')) LIMIT " STEP_ROWS ")";

static const char delete_containers[] =
    "DELETE FROM documents WHERE kind = 2 AND key IN (SELECT key FROM documents WHERE kind = 2"
    " AND time < ?1 AND state = 'gone' AND coalesce(json_extract(body, '$.gone'), time) < ?1"
    " LIMIT " STEP_ROWS ")";

/* A text may be said again by any process that lives, so age says little: only the table's room. */
static const char delete_texts[] =
    "DELETE FROM documents WHERE kind = 4 AND key IN (SELECT key FROM documents WHERE kind = 4"
    " AND time < ? AND (SELECT count(*) FROM documents WHERE kind = 4) > 1000000"
    " ORDER BY time LIMIT " STEP_ROWS ")";

/* Beginning of the newest PROCESSES_MAX processes: a CGI server starts a hundred in a second. */
static double processes_cutoff(struct purge *p)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
             "SELECT time FROM documents WHERE kind = 3 ORDER BY time DESC LIMIT 1 OFFSET %d",
             PROCESSES_MAX);
    double before = cutoff(p, p->retention->processes_age_s);
    sq_begin(p->s, "BEGIN");
    CLEANUP(sq_finalizep) sqlite3_stmt *row = sq_prepare(p->s, sql, "");
    if (sq_step(p->s, row))
        before = MAX(before, sqlite3_column_double(row, 0));
    sqlite3_reset(row);
    sq_end(p->s, "purge");
    return before;
}

/* Containers of which nothing is left. */
static const char delete_sources[] =
    "DELETE FROM sources WHERE id IN (SELECT s.id FROM sources AS s WHERE ? > 0"
    " AND NOT EXISTS (SELECT 1 FROM bins WHERE source = s.id)"
    " AND NOT EXISTS (SELECT 1 FROM scores WHERE source = s.id)"
    " AND NOT EXISTS (SELECT 1 FROM kept WHERE source = s.id)"
    " AND NOT EXISTS (SELECT 1 FROM documents, captures WHERE captures.id = s.capture AND kind = 2"
    " AND key = printf('%016llx-%llx', captures.capture, s.container)) LIMIT " STEP_ROWS ")";

static int purge_documents(struct purge *p)
{
    const struct store_retention *k = p->retention;
    const struct {
        const char *sql;
        double before;
    } all[] = {
        {delete_alerts, cutoff(p, k->alerts_age_s)},
        {delete_processes, processes_cutoff(p)},
        {delete_containers, cutoff(p, k->processes_age_s)},
        {delete_texts, cutoff(p, k->processes_age_s)},
        {delete_sources, p->now},
    };
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(all) && r == 0; i++)
        r = delete_old(p, all[i].sql, all[i].before, &p->gone.documents);
    return r;
}

static int purge_by_age(struct purge *p)
{
    const struct store_retention *k = p->retention;
    int r = roll_up(p, 1, 60, cutoff(p, k->bins_second_age_s));
    if (r == 0)
        r = roll_up(p, 60, 3600, cutoff(p, k->bins_minute_age_s));
    if (r == 0)
        r = delete_old(
            p,
            "DELETE FROM bins WHERE (source, step, time) IN (SELECT old.source, old.step,"
            " old.time FROM sources CROSS JOIN bins AS old ON old.source = sources.id"
            " AND old.step = 3600 AND old.time < ? LIMIT " STEP_ROWS ")",
            cutoff(p, k->bins_hour_age_s), &p->gone.bins);
    if (r == 0)
        r = delete_old(p, delete_scores, cutoff(p, k->scores_age_s), &p->gone.scores);
    if (r == 0)
        r = purge_windows(p, "0, 3", cutoff(p, k->windows_age_s));
    if (r == 0)
        r = purge_windows(p, "1, 2", cutoff(p, k->anomalous_age_s));
    return r < 0 ? r : purge_documents(p);
}

static bool is_too_big(struct purge *p)
{
    if (!p->retention->size_max_bytes)
        return false;
    sq_begin(p->s, NULL);
    int64_t page = sq_pragma(p->s, "PRAGMA page_size");
    int64_t used = sq_pragma(p->s, "PRAGMA page_count") - sq_pragma(p->s, "PRAGMA freelist_count");
    return sq_end(p->s, "measure") == 0 && (uint64_t)(page * used) > p->retention->size_max_bytes;
}

static int purge_groups_by_size(struct purge *p, const char *reasons)
{
    int removed = 1, r = 0;
    while (r == 0 && removed > 0 && is_too_big(p))
        r = remove_groups(p, reasons, INFINITY, 32, &removed);
    return r;
}

/* In the order of worth; each stage halves the age until nothing is left of it or the size fits. */
static int purge_by_size(struct purge *p)
{
    int r = purge_groups_by_size(p, "0, 3");
    for (double age = 4 * 86400; r == 0 && age >= 60 && is_too_big(p); age /= 2)
        r = delete_old(p, delete_processes, p->now - age, &p->gone.documents);
    for (double age = 86400; r == 0 && age >= 60 && is_too_big(p); age /= 2)
        r = roll_up(p, 1, 60, p->now - age);
    for (double age = 7 * 86400; r == 0 && age >= 3600 && is_too_big(p); age /= 2)
        r = roll_up(p, 60, 3600, p->now - age);
    for (double age = 14 * 86400; r == 0 && age >= 3600 && is_too_big(p); age /= 2)
        r = delete_old(p, delete_scores, p->now - age, &p->gone.scores);
    return r < 0 ? r : purge_groups_by_size(p, "1, 2");
}

static int give_back(struct purge *p)
{
    for (int i = 0; i < STEPS_MAX; i++) {
        sq_begin(p->s, NULL);
        int64_t before = sq_pragma(p->s, "PRAGMA page_count");
        char sql[64];
        snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
        sq_exec(p->s, sql);
        int64_t after = sq_pragma(p->s, "PRAGMA page_count");
        p->gone.freed_bytes +=
            (uint64_t)(before - after) * (uint64_t)sq_pragma(p->s, "PRAGMA page_size");
        int r = sq_end(p->s, "give pages back of");
        if (r < 0 || after >= before)
            return r;
    }
    return 0;
}

int sqlite_purge(struct store *store, const struct store_retention *retention, double now,
                 json_t **ret)
{
    struct purge p = {.s = (struct sqlite_store *)store, .retention = retention, .now = now};
    /* What a power cut takes back of it, the next purge does again. */
    sq_begin(p.s, NULL);
    sq_exec(p.s, "PRAGMA synchronous = NORMAL");
    p.s->synced = false;
    int r = sq_end(p.s, "purge");
    if (r == 0)
        r = purge_by_age(&p);
    if (r == 0)
        r = sq_compact(p.s);
    if (r == 0)
        r = purge_by_size(&p);
    if (r == 0)
        r = give_back(&p);
    if (r < 0)
        return r;
    if (ret)
        *ret =
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "windows", (json_int_t)p.gone.windows,
                      "scores", (json_int_t)p.gone.scores, "bins_rolled",
                      (json_int_t)p.gone.bins_rolled, "bins", (json_int_t)p.gone.bins, "documents",
                      (json_int_t)p.gone.documents, "freed_bytes", (json_int_t)p.gone.freed_bytes);
    return 0;
}
