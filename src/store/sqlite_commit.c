/* Writing: everything of a batch in one transaction with its acknowledgement. */
#include "store/sqlite.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"

int64_t sq_capture(struct sqlite_store *s, uint64_t capture, bool add)
{
    int64_t id = 0;
    if (sq_run(s, SQ_CAPTURE_GET, "i", (int64_t)capture) == SQLITE_ROW)
        id = sqlite3_column_int64(sq_row(s, SQ_CAPTURE_GET), 0);
    sq_reset(s, SQ_CAPTURE_GET);
    if (!id && add && sq_run(s, SQ_CAPTURE_ADD, "i", (int64_t)capture) == SQLITE_DONE)
        id = sqlite3_last_insert_rowid(s->db);
    return id;
}

int64_t sq_source(struct sqlite_store *s, uint64_t capture, uint32_t container, bool add)
{
    int64_t capture_id = sq_capture(s, capture, add);
    int64_t id = 0;
    if (!capture_id)
        return 0;
    if (sq_run(s, SQ_SOURCE_GET, "ii", capture_id, (int64_t)container) == SQLITE_ROW)
        id = sqlite3_column_int64(sq_row(s, SQ_SOURCE_GET), 0);
    sq_reset(s, SQ_SOURCE_GET);
    if (!id && add && sq_run(s, SQ_SOURCE_ADD, "ii", capture_id, (int64_t)container) == SQLITE_DONE)
        id = sqlite3_last_insert_rowid(s->db);
    return id;
}

int64_t sq_program(struct sqlite_store *s, uint64_t program)
{
    size_t slot = hash_mix(program, 0) % SQ_PROGRAMS;
    if (s->programs[slot].number && s->programs[slot].program == program)
        return s->programs[slot].number;
    int64_t id = 0;
    if (sq_run(s, SQ_PROGRAM_GET, "i", (int64_t)program) == SQLITE_ROW)
        id = sqlite3_column_int64(sq_row(s, SQ_PROGRAM_GET), 0);
    sq_reset(s, SQ_PROGRAM_GET);
    if (!id && sq_run(s, SQ_PROGRAM_ADD, "i", (int64_t)program) == SQLITE_DONE)
        id = sqlite3_last_insert_rowid(s->db);
    if (id) {
        s->programs[slot].program = program;
        s->programs[slot].number = id;
    }
    return id;
}

/* The stored body with the members of the new one; owned by the caller, NULL if there is none. */
static json_t *merged(struct sqlite_store *s, const struct store_document *d, double *time)
{
    if (sq_run(s, SQ_DOC_GET, "it", (int64_t)d->kind, d->key) != SQLITE_ROW)
        return NULL;
    sqlite3_stmt *row = sq_row(s, SQ_DOC_GET);
    json_auto_t *body = json_loadb((const char *)sqlite3_column_text(row, 1),
                                   (size_t)sqlite3_column_bytes(row, 1), 0, NULL);
    double first = sqlite3_column_double(row, 0);
    sq_reset(s, SQ_DOC_GET);
    if (!body)
        return NULL;
    json_auto_t *list = d->append ? json_incref(json_object_get(body, d->append)) : NULL;
    if (d->merge) {
        json_object_update(body, d->body);
        *time = first;
    } else {
        json_decref(body);
        body = json_copy(d->body);
    }
    if (d->append) {
        json_auto_t *whole = json_is_array(list) ? json_copy(list) : json_array();
        json_t *more = json_object_get(d->body, d->append);
        if (json_is_array(more))
            json_array_extend(whole, more);
        json_object_set(body, d->append, whole);
    }
    return TAKE(body);
}

static void next_audit_key(struct sqlite_store *s, char ret[static STORE_KEY_MAX])
{
    uint64_t last = 0;
    if (sq_run(s, SQ_DOC_LAST_KEY, "i", (int64_t)STORE_AUDIT) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(sq_row(s, SQ_DOC_LAST_KEY), 0);
        last = key ? strtoull(key, NULL, 10) : 0;
    }
    sq_reset(s, SQ_DOC_LAST_KEY);
    snprintf(ret, STORE_KEY_MAX, "%012" PRIu64, last + 1);
}

/* Bins and scores of the container are found by its workload from now on. */
static void file_container(struct sqlite_store *s, const struct store_document *d)
{
    uint64_t capture;
    uint32_t number;
    const char *workload = json_string_value(json_object_get(d->body, "workload"));
    if (!workload || store_container_parse(d->key, &capture, &number) < 0)
        return;
    int64_t source = sq_source(s, capture, number, true);
    sq_run(s, SQ_SOURCE_FILE, "it", source, workload);
}

static void write_document(struct sqlite_store *s, const struct store_document *d)
{
    char serial[STORE_KEY_MAX];
    struct store_document copy = *d;
    if (d->removed) {
        sq_run(s, SQ_DOC_REMOVE, "itd", (int64_t)d->kind, d->key, d->time);
        if (sqlite3_changes(s->db) > 0)
            sq_run(s, SQ_BLOB_REMOVE, "it", (int64_t)d->kind, d->key);
        return;
    }
    if (d->kind == STORE_AUDIT && !d->key) {
        next_audit_key(s, serial);
        copy.key = serial;
    }
    double time = d->time;
    json_auto_t *body = d->merge || d->append ? merged(s, &copy, &time) : NULL;
    CLEANUP(freep) char *text = json_dumps(body ? body : d->body, JSON_COMPACT);
    if (!text && !s->rc)
        s->rc = SQLITE_NOMEM;
    const char *state = json_string_value(json_object_get(body ? body : d->body, "state"));
    sq_run(s, SQ_DOC_PUT, "itdtt", (int64_t)copy.kind, copy.key, time, text, state);
    if (d->blob)
        sq_run(s, SQ_BLOB_PUT, "itb", (int64_t)copy.kind, copy.key, d->blob, d->blob_size);
    if (d->kind == STORE_CONTAINER)
        file_container(s, d);
}

static void write_bin(struct sqlite_store *s, const struct store_bin *b)
{
    int64_t source = sq_source(s, b->capture, b->bin->container, true);
    CLEANUP(sq_counts_done) struct sq_counts counts = {0};
    for (uint32_t i = 0; i < b->bin->n_counts && !s->rc; i++) {
        const struct bin_count *c = &b->bin->counts[i];
        struct sq_count count = {.program = sq_program(s, c->program),
                                 .calls = c->calls,
                                 .errors = c->errors,
                                 .latency_ns = c->latency_ns,
                                 .latency_calls = c->latency_calls,
                                 .sysno = c->sysno};
        sq_counts_add(&counts, &count);
    }
    sq_bin_add(s, source, 1, (int64_t)floor(b->time), b->bin->level, &counts);
}

static void write_score(struct sqlite_store *s, const struct store_score *k)
{
    int64_t source = sq_source(s, k->capture, k->container, true);
    sq_run(s, SQ_SCORE_PUT, "idiidditt", source, k->time, (int64_t)k->channel, (int64_t)k->phase,
           (double)k->value, (double)k->threshold, (int64_t)k->model_version, k->detector,
           k->evidence);
}

/* Was this block committed before? Then it counted then. */
static bool is_repeated(struct sqlite_store *s, const struct store_batch *batch)
{
    if (!batch->spool)
        return false;
    bool repeated = false;
    if (sq_run(s, SQ_SPOOL_GET, "b", batch->spool, (size_t)16) == SQLITE_ROW) {
        uint64_t last = (uint64_t)sqlite3_column_int64(sq_row(s, SQ_SPOOL_GET), 0);
        repeated = batch->sequence <= last;
    }
    sq_reset(s, SQ_SPOOL_GET);
    return repeated;
}

static bool is_valid(const struct store_batch *batch)
{
    for (uint32_t i = 0; i < batch->n_documents; i++) {
        const struct store_document *d = &batch->documents[i];
        if (d->kind >= STORE_KINDS || (!d->key && (d->kind != STORE_AUDIT || d->removed)) ||
            (!d->removed && !json_is_object(d->body)))
            return false;
    }
    for (uint32_t i = 0; i < batch->n_scores; i++) {
        if (batch->scores[i].channel >= STORE_CHANNELS)
            return false;
    }
    return true;
}

int sqlite_commit(struct store *store, const struct store_batch *batch)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    if (!is_valid(batch)) {
        log_error("commit to %s: a document without key or body, or an unknown channel", s->path);
        return -EINVAL;
    }
    sq_begin(s, NULL);
    bool synced = !batch->spool; /* see the top of sqlite.c */
    if (synced != s->synced)
        sq_exec(s, synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    s->synced = synced;
    sq_exec(s, "BEGIN IMMEDIATE");
    if (!s->rc && !is_repeated(s, batch)) {
        for (uint32_t i = 0; i < batch->n_documents; i++)
            write_document(s, &batch->documents[i]);
        for (uint32_t i = 0; i < batch->n_bins; i++)
            write_bin(s, &batch->bins[i]);
        for (uint32_t i = 0; i < batch->n_scores; i++)
            write_score(s, &batch->scores[i]);
        sq_windows_write(s, batch);
        if (batch->spool)
            sq_run(s, SQ_SPOOL_SET, "bi", batch->spool, (size_t)16, (int64_t)batch->sequence);
    }
    return sq_end(s, "commit to");
}
