/* Inside of the SQLite store; only src/store/sqlite*.c include this.
 *
 * The first error sticks: sq_run() and its kin do nothing once s->rc is set, so that a commit reads
 * as straight text and checks once at its end. */
#pragma once

#include <pthread.h>
#include <sys/types.h>
#include <sqlite3.h>

#include "store/store.h"

#define SQ_APPLICATION 0x56494741 /* "VIGA", PRAGMA application_id */
#define SQ_SCHEMA 3               /* PRAGMA user_version */

enum sq_statement {
    SQ_SPOOL_GET,
    SQ_SPOOL_SET,
    SQ_DOC_GET,
    SQ_DOC_PUT,
    SQ_DOC_REMOVE,
    SQ_DOC_LAST_KEY,
    SQ_BLOB_GET,
    SQ_BLOB_PUT,
    SQ_BLOB_REMOVE,
    SQ_CAPTURE_GET,
    SQ_CAPTURE_ADD,
    SQ_SOURCE_GET,
    SQ_SOURCE_ADD,
    SQ_SOURCE_FILE,
    SQ_PROGRAM_GET,
    SQ_PROGRAM_ADD,
    SQ_BIN_GET,
    SQ_BIN_PUT,
    SQ_SCORE_PUT,
    SQ_KEPT_ADD,
    SQ_KEPT_REMOVE,
    SQ_ID_GET,
    SQ_ID_PUT,
    SQ_ID_REMOVE,
    SQ_STATEMENTS,
};

#define SQ_PROGRAMS 4096 /* direct-mapped: program -> its short number */

struct sqlite_store {
    struct store base;
    struct sqlite_store *next; /* others that this process has open */
    dev_t device;
    ino_t inode;
    sqlite3 *db;
    char *path;
    bool read_only;
    bool synced; /* PRAGMA synchronous is FULL, not NORMAL */
    pthread_mutex_t lock;
    sqlite3_stmt *statements[SQ_STATEMENTS];
    int rc;      /* the first error since sq_begin() */
    int rc_told; /* what was logged last and goes on: told again once a minute only */
    uint64_t told_ns;
    struct {
        uint64_t program;
        int64_t number;
    } programs[SQ_PROGRAMS];
};

/* Logs "what FILE: why; what to do" and returns the -errno of a SQLite code. */
int sq_fail(struct sqlite_store *s, int rc, const char *what);

/* A prepared statement with its values bound: i int64_t, d double, t text (NULL is null), b bytes
 * and size_t, n null. Returns SQLITE_ROW (read it, then sq_reset) or SQLITE_DONE; with an error,
 * now or before, something else, and s->rc is set. */
int sq_run(struct sqlite_store *s, enum sq_statement which, const char *format, ...);
sqlite3_stmt *sq_row(struct sqlite_store *s, enum sq_statement which);
void sq_reset(struct sqlite_store *s, enum sq_statement which);
/* One-off SQL with bound values as above; the statement is the caller's, stepped by sq_step. */
sqlite3_stmt *sq_prepare(struct sqlite_store *s, const char *sql, const char *format, ...);
/* Is there a row? False at the end and on an error, which sticks. */
bool sq_step(struct sqlite_store *s, sqlite3_stmt *statement);
void sq_exec(struct sqlite_store *s, const char *sql);
int64_t sq_pragma(struct sqlite_store *s, const char *sql); /* one integer */

/* Locks the handle; begin "BEGIN IMMEDIATE", "BEGIN" for a consistent reading, or NULL. */
void sq_begin(struct sqlite_store *s, const char *begin);
/* Commits, or rolls back after an error; unlocks; logs and returns. */
int sq_end(struct sqlite_store *s, const char *what);

static inline void sq_finalizep(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

/* sqlite_schema.c: looks at the file before SQLite does; makes or migrates the tables. */
int sq_check_file(const char *path, bool read_only);
int sq_prepare_schema(struct sqlite_store *s);

/* Short numbers of what would be long in every row; made when add. 0: none (or an error). */
int64_t sq_source(struct sqlite_store *s, uint64_t capture, uint32_t container, bool add);
int64_t sq_program(struct sqlite_store *s, uint64_t program);
int64_t sq_capture(struct sqlite_store *s, uint64_t capture, bool add);

/* sqlite_counts.c: counts of a bin as bytes, sorted by (program's short number, sysno). */
struct sq_counts {
    struct sq_count {
        int64_t program; /* short number */
        uint64_t calls, errors, latency_ns, latency_calls;
        uint16_t sysno;
    } *items;
    uint32_t n, capacity;
    int error; /* -ENOMEM, -EBADMSG */
};
void sq_counts_done(struct sq_counts *c);
void sq_counts_add(struct sq_counts *c, const struct sq_count *count); /* any order, then: */
void sq_counts_sort(struct sq_counts *c); /* sums what is twice there */
void sq_counts_decode(struct sq_counts *c, const void *data, size_t size); /* adds */
struct buf;
void sq_counts_encode(const struct sq_counts *c, struct buf *ret);
/* Adds the counts to the row of that source, step and time. */
void sq_bin_add(struct sqlite_store *s, int64_t source, int step, int64_t time, int level,
                struct sq_counts *counts);

/* sqlite_commit.c */
int sqlite_commit(struct store *s, const struct store_batch *batch);
/* sqlite_windows.c */
void sq_windows_write(struct sqlite_store *s, const struct store_batch *batch);
int sq_read_windows(struct sqlite_store *s, const struct store_selection *sel,
                    struct store_rows *ret);
bool sq_window_counts(struct sqlite_store *s, const struct window *w, int64_t group);
/* sqlite_compact.c */
int sq_compact(struct sqlite_store *s);
/* sqlite_query.c */
int sqlite_find(struct store *s, const struct store_query *query, json_t **ret,
                uint64_t *ret_total);
int sq_read_counts(struct sqlite_store *s, const struct store_arguments *a, struct store_rows *ret);
/* sqlite_read.c */
int sqlite_read(struct store *s, const struct store_arguments *a, struct store_rows *ret);
/* " AND source IN (...)" and bounds of time as SQL with its values bound: 1 container or workload,
 * 2 from, 3 until. */
void sq_selection_sql(const struct store_selection *sel, const char *time_column, struct buf *ret);
void sq_selection_bind(struct sqlite_store *s, sqlite3_stmt *statement,
                       const struct store_selection *sel);
/* sqlite_purge.c */
int sqlite_purge(struct store *s, const struct store_retention *retention, double now,
                 json_t **ret);

extern const struct store_ops sqlite_ops;
