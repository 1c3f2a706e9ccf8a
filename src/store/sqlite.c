/* SQLite behind the store: opening, errors, prepared statements.
 *
 * WAL: readers of this and other processes never wait for the writer. A commit with a spool's
 * acknowledgement is written with synchronous=NORMAL: it is in the WAL file (the page cache) when
 * it returns, which kill -9 does not touch, and after a power cut rows and acknowledgement vanish
 * together and the spool hands the blocks out again. A commit without one (a verdict, a user) has
 * nobody to repeat it, so it waits for the disk (FULL). */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define SQ_BUSY_MS 10000
#define TELL_AGAIN_NS (60 * NS_PER_S)
#define SQ_CHECK_MAX_BYTES                                                                         \
    (64 << 20) /* files up to this are checked whole when opened to write                          \
                */

static const char *const statement_sql[SQ_STATEMENTS] = {
    [SQ_SPOOL_GET] = "SELECT sequence FROM spools WHERE uuid = ?",
    [SQ_SPOOL_SET] = "INSERT INTO spools VALUES (?, ?)"
                     " ON CONFLICT DO UPDATE SET sequence = excluded.sequence",
    [SQ_DOC_GET] = "SELECT time, body FROM documents WHERE kind = ? AND key = ?",
    [SQ_DOC_PUT] = "INSERT INTO documents (kind, key, time, body, state) VALUES (?, ?, ?, ?, ?)"
                   " ON CONFLICT DO UPDATE SET time = excluded.time, body = excluded.body,"
                   " state = excluded.state",
    [SQ_DOC_REMOVE] = "DELETE FROM documents WHERE kind = ?1 AND key = ?2 AND ?3 IN (0, time)",
    [SQ_DOC_LAST_KEY] = "SELECT max(key) FROM documents WHERE kind = ?",
    [SQ_BLOB_GET] = "SELECT data FROM blobs WHERE kind = ? AND key = ?",
    [SQ_BLOB_PUT] = "INSERT INTO blobs VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET data = excluded.data",
    [SQ_BLOB_REMOVE] = "DELETE FROM blobs WHERE kind = ? AND key = ?",
    [SQ_CAPTURE_GET] = "SELECT id FROM captures WHERE capture = ?",
    [SQ_CAPTURE_ADD] = "INSERT INTO captures (capture) VALUES (?)",
    [SQ_SOURCE_GET] = "SELECT id FROM sources WHERE capture = ? AND container = ?",
    [SQ_SOURCE_ADD] = "INSERT INTO sources (capture, container) VALUES (?, ?)",
    [SQ_SOURCE_FILE] = "UPDATE sources SET workload = ?2 WHERE id = ?1 AND workload IS NOT ?2",
    [SQ_PROGRAM_GET] = "SELECT id FROM programs WHERE program = ?",
    [SQ_PROGRAM_ADD] = "INSERT INTO programs (program) VALUES (?)",
    [SQ_BIN_GET] = "SELECT counts, level FROM bins WHERE source = ? AND step = ? AND time = ?",
    [SQ_BIN_PUT] = "REPLACE INTO bins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQ_SCORE_PUT] =
        "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " value = excluded.value, threshold = excluded.threshold, version = excluded.version,"
        " detector = excluded.detector, evidence = excluded.evidence"
        " WHERE excluded.value > value",
    [SQ_KEPT_ADD] = "INSERT INTO kept (source, first, last, base, reason, windows, calls, data)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [SQ_KEPT_REMOVE] = "DELETE FROM kept WHERE id = ?",
    [SQ_ID_GET] = "SELECT kept.id, kept.reason FROM kept_ids JOIN kept ON kept.id = kept_ids.kept"
                  " WHERE capture = ? AND position = ?",
    [SQ_ID_PUT] = "REPLACE INTO kept_ids VALUES (?, ?, ?)",
    [SQ_ID_REMOVE] = "DELETE FROM kept_ids WHERE capture = ? AND position = ? AND kept = ?",
};

static int errno_of(int rc, const char **ret_remedy)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        *ret_remedy = "another process holds it locked: end that (lsof names it) and try again";
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        *ret_remedy = "the file is damaged and was left as it is: stop vigia, move the file away"
                      " (`sqlite3 FILE .recover` may save what is readable) and start again; the"
                      " spool fills a new one";
        return -EBADMSG;
    case SQLITE_FULL:
        *ret_remedy =
            "the disk is full: free space or lower retention.size_max_mib; nothing is lost while"
            " the spool has room";
        return -ENOSPC;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        *ret_remedy = "check that the directory exists and is yours";
        return -EACCES;
    case SQLITE_READONLY:
        *ret_remedy = "the file or its directory cannot be written";
        return -EROFS;
    case SQLITE_NOMEM:
        *ret_remedy = "out of memory";
        return -ENOMEM;
    case SQLITE_CONSTRAINT:
        *ret_remedy = "refused by the database's rules";
        return -EINVAL;
    default:
        *ret_remedy = "see the system log for errors of the disk";
        return -EIO;
    }
}

int sq_fail(struct sqlite_store *s, int rc, const char *what)
{
    const char *remedy;
    int r = errno_of(rc, &remedy);
    uint64_t now_ns = clock_mono_ns();
    if (rc == s->rc_told && now_ns - s->told_ns < TELL_AGAIN_NS)
        return r;
    s->rc_told = rc;
    s->told_ns = now_ns;
    /* What a check found is no error of the last statement. */
    bool known = s->db && sqlite3_errcode(s->db) != SQLITE_OK;
    log_error("%s %s: %s; %s", what, s->path, known ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc),
              remedy);
    return r;
}

static void bind_values(sqlite3_stmt *statement, const char *format, va_list values)
{
    for (int i = 1; *format; i++, format++) {
        switch (*format) {
        case 'i':
            sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
            break;
        case 'd':
            sqlite3_bind_double(statement, i, va_arg(values, double));
            break;
        case 't':
            sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_STATIC);
            break;
        case 'b': {
            const void *data = va_arg(values, const void *);
            sqlite3_bind_blob64(statement, i, data, va_arg(values, size_t), SQLITE_STATIC);
            break;
        }
        case 'n':
            sqlite3_bind_null(statement, i);
            break;
        default:
            ASSERT(!"unknown format");
        }
    }
}

int sq_run(struct sqlite_store *s, enum sq_statement which, const char *format, ...)
{
    if (s->rc)
        return s->rc;
    sqlite3_stmt **statement = &s->statements[which];
    if (!*statement) {
        s->rc = sqlite3_prepare_v3(s->db, statement_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                   statement, NULL);
        if (s->rc)
            return s->rc;
    }
    va_list values;
    va_start(values, format);
    bind_values(*statement, format, values);
    va_end(values);
    int rc = sqlite3_step(*statement);
    if (rc == SQLITE_ROW)
        return rc;
    /* What is bound belongs to the caller: it must not be looked at after this. */
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
    if (rc != SQLITE_DONE)
        s->rc = rc;
    return rc;
}

sqlite3_stmt *sq_row(struct sqlite_store *s, enum sq_statement which)
{
    return s->statements[which];
}

void sq_reset(struct sqlite_store *s, enum sq_statement which)
{
    if (s->statements[which]) {
        sqlite3_reset(s->statements[which]);
        sqlite3_clear_bindings(s->statements[which]);
    }
}

sqlite3_stmt *sq_prepare(struct sqlite_store *s, const char *sql, const char *format, ...)
{
    sqlite3_stmt *statement = NULL;
    if (!s->rc)
        s->rc = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (s->rc)
        return NULL;
    va_list values;
    va_start(values, format);
    bind_values(statement, format, values);
    va_end(values);
    return statement;
}

bool sq_step(struct sqlite_store *s, sqlite3_stmt *statement)
{
    if (s->rc)
        return false;
    int rc = sqlite3_step(statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        s->rc = rc;
    return rc == SQLITE_ROW;
}

void sq_exec(struct sqlite_store *s, const char *sql)
{
    if (!s->rc)
        s->rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

int64_t sq_pragma(struct sqlite_store *s, const char *sql)
{
    CLEANUP(sq_finalizep) sqlite3_stmt *statement = sq_prepare(s, sql, "");
    return sq_step(s, statement) ? sqlite3_column_int64(statement, 0) : 0;
}

void sq_begin(struct sqlite_store *s, const char *begin)
{
    pthread_mutex_lock(&s->lock);
    s->rc = SQLITE_OK;
    if (begin)
        sq_exec(s, begin);
}

int sq_end(struct sqlite_store *s, const char *what)
{
    if (!sqlite3_get_autocommit(s->db))
        sq_exec(s, "COMMIT");
    int r = 0;
    if (!s->rc)
        s->rc_told = 0;
    if (s->rc) {
        r = sq_fail(s, s->rc, what);
        for (int i = 0; i < SQ_STATEMENTS; i++)
            sq_reset(s, i);
        if (!sqlite3_get_autocommit(s->db))
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        memset(s->programs, 0, sizeof(s->programs)); /* numbers given may have been taken back */
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* The databases that this process has open. POSIX gives up all of a process's locks on a file when
 * any descriptor of that file is closed (https://sqlite.org/howtocorrupt.html, 2.2): another
 * process would then take itself for the only one and delete the WAL under us. So a file that is
 * open here is not opened and closed once more to look at it; whoever opened it first has looked.
 */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sqlite_store *open_first;

static bool is_open_here(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return false;
    for (const struct sqlite_store *s = open_first; s; s = s->next) {
        if (s->device == st.st_dev && s->inode == st.st_ino)
            return true;
    }
    return false;
}

static void open_forget(struct sqlite_store *s)
{
    pthread_mutex_lock(&open_lock);
    for (struct sqlite_store **p = &open_first; *p; p = &(*p)->next) {
        if (*p == s) {
            *p = s->next;
            break;
        }
    }
    pthread_mutex_unlock(&open_lock);
}

static void sqlite_close(struct store *store)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    for (int i = 0; i < SQ_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    open_forget(s);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

static void closep_store(struct sqlite_store **s)
{
    if (*s)
        sqlite_close(&(*s)->base);
}

/* Names of every parent that is missing, private: alerts and users are nobody else's business. */
static int make_parents(const char *path)
{
    CLEANUP(freep) char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
            int r = -errno;
            log_error("make directory %s: %s", copy, strerror(-r));
            return r;
        }
        *slash = '/';
    }
    return 0;
}

/* Set up before anything is read. A file that turns out to be damaged must stay as it is, so SQLite
 * may not move the WAL into it at close until it has been looked at. */
static void configure(struct sqlite_store *s, unsigned busy_ms)
{
    sqlite3_busy_timeout(s->db, busy_ms ? (int)busy_ms : SQ_BUSY_MS);
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sq_exec(s, "PRAGMA secure_delete = OFF");
    sq_exec(s, "PRAGMA cache_size = -16384"); /* 16 MiB */
    sq_exec(s, "PRAGMA temp_store = MEMORY");
}

/* A torn page found now is an error with a remedy; found later, in the middle of a commit, it is a
 * riddle. Big files would take minutes: there only the schema is looked at. */
static void check_pages(struct sqlite_store *s)
{
    struct stat st;
    if (stat(s->path, &st) < 0 || st.st_size > SQ_CHECK_MAX_BYTES)
        return;
    CLEANUP(sq_finalizep) sqlite3_stmt *check = sq_prepare(s, "PRAGMA quick_check(1)", "");
    if (!sq_step(s, check))
        return;
    const char *verdict = (const char *)sqlite3_column_text(check, 0);
    if (verdict && strcmp(verdict, "ok") != 0) {
        log_error("check %s: %s", s->path, verdict);
        s->rc = SQLITE_CORRUPT;
    }
}

static int start(struct sqlite_store *s, const struct store_options *options)
{
    int flags =
        options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int rc = sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc)
        return sq_fail(s, rc, "open database");
    configure(s, options->busy_ms);
    if (!options->read_only)
        check_pages(s);
    if (s->rc)
        return sq_fail(s, s->rc, "open database");
    int r = sq_prepare_schema(s);
    if (r < 0)
        return r;
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return 0;
}

/* Looks at the file, makes it, and enters it among those that are open. */
static int prepare_file(struct sqlite_store *s, const struct store_options *options)
{
    struct stat st;
    if (!is_open_here(options->path)) {
        int r = sq_check_file(options->path, options->read_only);
        if (r < 0)
            return r;
    }
    if (!options->read_only) {
        int r = make_parents(options->path);
        if (r < 0)
            return r;
        int fd = open(options->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd); /* else it is there, or SQLite says why not */
    }
    if (stat(options->path, &st) == 0) {
        s->device = st.st_dev;
        s->inode = st.st_ino;
        s->next = open_first;
        open_first = s;
    }
    return 0;
}

static int sqlite_open(const struct store_options *options, struct store **ret)
{
    CLEANUP(closep_store) struct sqlite_store *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    s->base.ops = &sqlite_ops;
    s->read_only = options->read_only;
    s->path = strdup(options->path);
    if (!s->path)
        return -ENOMEM;
    pthread_mutex_lock(&open_lock);
    int r = prepare_file(s, options);
    pthread_mutex_unlock(&open_lock);
    if (r == 0)
        r = start(s, options);
    if (r < 0)
        return r;
    *ret = &TAKE(s)->base;
    return 0;
}

const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .commit = sqlite_commit,
    .find = sqlite_find,
    .read = sqlite_read,
    .purge = sqlite_purge,
};
