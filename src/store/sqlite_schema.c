/* Tables of the database, its version, and the way from older versions. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* What store_query.brief finds of an alert: a few lines beside a document of up to hundreds of
 * kilobytes. Kept by the database itself, so that it fits whoever writes. */
#define BRIEF(body)                                                                                \
    "(SELECT json_group_object(key, " body " -> fullkey) FROM json_each(" body ")"                 \
    " WHERE type <> 'array')"

/* Version n is reached by running step n - 1 on version n - 1; a new database runs them all. A step
 * is never changed once released: tests/store/fixtures has a database of every version. */
static const char *const steps[SQ_SCHEMA] = {
    "CREATE TABLE spools (uuid BLOB PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;"

    "CREATE TABLE documents (kind INTEGER, key TEXT, time REAL NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY (kind, key)) WITHOUT ROWID;"
    "CREATE INDEX documents_time ON documents (kind, time);"
    "CREATE INDEX documents_container ON documents (json_extract(body, '$.container'))"
    " WHERE kind = 3;"
    "CREATE TABLE blobs (kind INTEGER, key TEXT, data BLOB NOT NULL, PRIMARY KEY (kind, key));"
    "CREATE TRIGGER audit_kept BEFORE DELETE ON documents WHEN OLD.kind = 9 BEGIN"
    " SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON documents WHEN OLD.kind = 9 BEGIN"
    " SELECT RAISE(ABORT, 'the audit log is append-only'); END;"

    /* Long numbers that rows would repeat, and their short ones. */
    "CREATE TABLE captures (id INTEGER PRIMARY KEY, capture INTEGER NOT NULL UNIQUE);"
    "CREATE TABLE programs (id INTEGER PRIMARY KEY, program INTEGER NOT NULL UNIQUE);"
    "CREATE TABLE sources (id INTEGER PRIMARY KEY, capture INTEGER NOT NULL,"
    " container INTEGER NOT NULL, workload TEXT, UNIQUE (capture, container));"
    "CREATE INDEX sources_workload ON sources (workload);"

    /* step: 1, 60 or 3600 s; counts: sqlite_counts.c. */
    "CREATE TABLE bins (source INTEGER, step INTEGER, time INTEGER, calls INTEGER, errors INTEGER,"
    " latency_ns INTEGER, latency_calls INTEGER, level INTEGER, counts BLOB,"
    " PRIMARY KEY (source, step, time)) WITHOUT ROWID;"

    "CREATE TABLE scores (source INTEGER, time REAL, channel INTEGER, phase INTEGER, value REAL,"
    " threshold REAL, version INTEGER, detector TEXT, evidence TEXT,"
    " PRIMARY KEY (source, time, channel, phase)) WITHOUT ROWID;"

    /* Windows kept in groups of one source and reason, encoded by transport/codec; base: wall s at
     * monotonic 0. kept_ids says in which group a window counts. */
    "CREATE TABLE kept (id INTEGER PRIMARY KEY, source INTEGER, first REAL, last REAL, base REAL,"
    " reason INTEGER, windows INTEGER, calls INTEGER, data BLOB);"
    "CREATE INDEX kept_source ON kept (source, first, last);"
    "CREATE INDEX kept_age ON kept (reason, last);"
    "CREATE TABLE kept_ids (capture INTEGER, position INTEGER, kept INTEGER,"
    " PRIMARY KEY (capture, position)) WITHOUT ROWID;",

    /* The page counts alerts by state every two seconds; without this each count parsed them all.
     */
    "ALTER TABLE documents ADD COLUMN state TEXT;"
    "UPDATE documents SET state = json_extract(body, '$.state')"
    " WHERE json_extract(body, '$.state') IS NOT NULL AND kind <> 9;"
    "CREATE INDEX documents_state ON documents (state, time) WHERE kind = 0;"
    /* sqlite_compact.c looks for small groups every minute, without reading the large ones. */
    "CREATE INDEX kept_small ON kept (source, reason, first) WHERE windows < 32;",

    "CREATE TABLE briefs (kind INTEGER, key TEXT, time REAL NOT NULL, body TEXT NOT NULL,"
    " state TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID;"
    "INSERT INTO briefs SELECT kind, key, time, " BRIEF(
        "body") ", state FROM documents"
                " WHERE kind = 0;"
                "CREATE INDEX briefs_time ON briefs (kind, time);"
                "CREATE INDEX briefs_state ON briefs (state, time);"
                "DROP INDEX documents_state;"
                "CREATE TRIGGER brief_made AFTER INSERT ON documents WHEN NEW.kind = 0 BEGIN"
                " INSERT INTO briefs VALUES (0, NEW.key, NEW.time, " BRIEF(
                    "NEW.body") ", NEW.state); END;"
                                "CREATE TRIGGER brief_changed AFTER UPDATE ON documents WHEN "
                                "NEW.kind = 0 BEGIN"
                                " UPDATE briefs SET time = NEW.time, body = " BRIEF(
                                    "NEW.body") ", state = NEW.state"
                                                " WHERE kind = 0 AND key = NEW.key; END;"
                                                "CREATE TRIGGER brief_removed AFTER DELETE ON "
                                                "documents WHEN OLD.kind = 0 BEGIN"
                                                " DELETE FROM briefs WHERE kind = 0 AND key = "
                                                "OLD.key; END;",
};

static int refuse_version(const char *path, int64_t version)
{
    log_error("open database %s: it is of schema version %lld, this vigia knows up to %d; the file"
              " was left as it is: use the newer vigia that wrote it, or another --data directory",
              path, (long long)version, SQ_SCHEMA);
    return -EPROTONOSUPPORT;
}

static int64_t big_endian(const uint8_t *p)
{
    return (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Opening and closing a database can write to it (the WAL moves in). What is not ours, or newer
 * than we are, must stay untouched: so look at the first page
 * (https://sqlite.org/fileformat2.html, 1.3) before SQLite does. */
int sq_check_file(const char *path, bool read_only)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        if (!read_only)
            return 0;
        log_error("open database %s: there is none yet; start `vigia up` first, or say where it is"
                  " with --data DIR",
                  path);
        return -ENOENT;
    }
    uint8_t page[100];
    ssize_t size = fd < 0 ? -1 : read(fd, page, sizeof(page));
    if (size < 0) {
        int r = -errno;
        log_error("open database %s: %s; say where it is with --data DIR, and read it as root or as"
                  " its owner",
                  path, strerror(-r));
        return r;
    }
    /* Empty: made and not yet filled, perhaps by a process that was killed there. */
    if (size == 0)
        return 0;
    if (size < (ssize_t)sizeof(page) || memcmp(page, "SQLite format 3", 16) != 0 ||
        (big_endian(page + 68) != SQ_APPLICATION && big_endian(page + 68) != 0)) {
        log_error("open database %s: this is no database of vigia, or it is damaged; it was left as"
                  " it is: move it away, or use another --data directory",
                  path);
        return -EBADMSG;
    }
    int64_t version = big_endian(page + 60);
    return version > SQ_SCHEMA ? refuse_version(path, version) : 0;
}

/* All steps in one transaction: a process killed in the middle leaves the old version. */
static void migrate(struct sqlite_store *s, int64_t version)
{
    sq_exec(s, "BEGIN IMMEDIATE");
    /* Another process may have been quicker. */
    version = sq_pragma(s, "PRAGMA user_version");
    if (version > 0 && version < SQ_SCHEMA)
        log_info("database %s: migrating schema version %lld to %d", s->path, (long long)version,
                 SQ_SCHEMA);
    for (int64_t v = version; v < SQ_SCHEMA; v++)
        sq_exec(s, steps[v]);
    char text[96];
    snprintf(text, sizeof(text), "PRAGMA application_id = %d; PRAGMA user_version = %d",
             SQ_APPLICATION, SQ_SCHEMA);
    sq_exec(s, text);
    sq_exec(s, "COMMIT");
    /* The version into the file itself, where sq_check_file() looks. */
    sq_exec(s, "PRAGMA wal_checkpoint(TRUNCATE)");
}

int sq_prepare_schema(struct sqlite_store *s)
{
    int64_t version = sq_pragma(s, "PRAGMA user_version");
    int64_t application = sq_pragma(s, "PRAGMA application_id");
    int64_t tables = sq_pragma(s, "SELECT count(*) FROM sqlite_schema");
    if (s->rc)
        return sq_fail(s, s->rc, "open database");
    if (version > SQ_SCHEMA)
        return refuse_version(s->path, version);
    if (tables > 0 && application != SQ_APPLICATION) {
        log_error("open database %s: it belongs to another program and was left as it is: use"
                  " another --data directory",
                  s->path);
        return -EBADMSG;
    }
    if (s->read_only && version < SQ_SCHEMA) {
        log_error("open database %s: it is of the older schema version %lld; start `vigia up` once:"
                  " it migrates the file to %d",
                  s->path, (long long)version, SQ_SCHEMA);
        return -EPROTONOSUPPORT;
    }
    if (!s->read_only) {
        if (version == 0)
            sq_exec(s, "PRAGMA auto_vacuum = INCREMENTAL"); /* before the first table */
        sq_exec(s, "PRAGMA journal_mode = WAL");
        sq_exec(s, "PRAGMA journal_size_limit = 33554432");
        sq_exec(s, "PRAGMA synchronous = FULL");
        s->synced = true;
        if (version < SQ_SCHEMA)
            migrate(s, version);
    }
    return s->rc ? sq_fail(s, s->rc, "open database") : 0;
}
