#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

extern const struct store_ops sqlite_ops;

const struct store_ops *const store_table[] = {
    &sqlite_ops,
    NULL,
};

static const char *const kind_names[STORE_KINDS] = {
    [STORE_ALERT] = "alert",         [STORE_PROFILE] = "profile",
    [STORE_CONTAINER] = "container", [STORE_PROCESS] = "process",
    [STORE_TEXT] = "text",           [STORE_LEDGER] = "ledger",
    [STORE_BLIND] = "blind",         [STORE_SUPPRESSION] = "suppression",
    [STORE_USER] = "user",           [STORE_AUDIT] = "audit",
    [STORE_STATE] = "state",         [STORE_DELIVERY] = "delivery",
};

const char *store_kind_name(enum store_kind kind)
{
    return kind < STORE_KINDS ? kind_names[kind] : "?";
}

void store_container_key(uint64_t capture, uint32_t number, char ret[static STORE_KEY_MAX])
{
    snprintf(ret, STORE_KEY_MAX, "%016" PRIx64 "-%" PRIx32, capture, number);
}

int store_container_parse(const char *key, uint64_t *ret_capture, uint32_t *ret_number)
{
    uint64_t capture;
    uint32_t number;
    int end = 0;
    if (sscanf(key, "%16" SCNx64 "-%8" SCNx32 "%n", &capture, &number, &end) != 2 || key[end])
        return -EINVAL;
    *ret_capture = capture;
    *ret_number = number;
    return 0;
}

void store_text_key(uint64_t id, char ret[static STORE_KEY_MAX])
{
    snprintf(ret, STORE_KEY_MAX, "%016" PRIx64, id);
}

json_t *store_ledger_body(const struct ledger_count *count)
{
    json_t *dropped = json_object();
    for (int i = 0; i < DROP_REASONS; i++) {
        if (count->dropped[i])
            json_object_set_new(dropped, drop_reason_name(i),
                                json_integer((json_int_t)count->dropped[i]));
    }
    return json_pack("{s:I, s:I, s:o}", "seen", (json_int_t)count->seen, "stored",
                     (json_int_t)count->delivered, "dropped", dropped);
}

void store_ledger_parse(const json_t *body, struct ledger_count *ret)
{
    const json_t *dropped = json_object_get(body, "dropped");
    ret->seen = (uint64_t)json_integer_value(json_object_get(body, "seen"));
    ret->delivered = (uint64_t)json_integer_value(json_object_get(body, "stored"));
    for (int i = 0; i < DROP_REASONS; i++)
        ret->dropped[i] =
            (uint64_t)json_integer_value(json_object_get(dropped, drop_reason_name(i)));
}

void store_rows_done(struct store_rows *r)
{
    json_decref(r->body);
    free(r->blob);
    for (uint32_t i = 0; r->counts && i < r->n; i++)
        free(r->counts[i].value);
    for (uint32_t i = 0; r->shares && i < r->n; i++)
        free(r->shares[i].program_text);
    for (uint32_t i = 0; r->scores && i < r->n; i++) {
        free((char *)r->scores[i].detector);
        free((char *)r->scores[i].evidence);
    }
    free(r->ledger);
    free(r->counts);
    free(r->points);
    free(r->shares);
    free(r->scores);
    free(r->windows);
    *r = (struct store_rows){0};
}

const struct store_ops *store_backend(const char *name)
{
    for (size_t i = 0; store_table[i]; i++) {
        if (strcmp(store_table[i]->name, name) == 0)
            return store_table[i];
    }
    return NULL;
}

int store_open(const char *name, const struct store_options *options, struct store **ret)
{
    const struct store_ops *ops = store_backend(name ? name : "sqlite");
    if (!ops) {
        log_error("open store: there is no kind of store \"%s\"", name ? name : "sqlite");
        return -EINVAL;
    }
    return ops->open(options, ret);
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

int store_commit(struct store *s, const struct store_batch *batch)
{
    return s->ops->commit(s, batch);
}

int store_find(struct store *s, const struct store_query *query, json_t **ret, uint64_t *ret_total)
{
    return s->ops->find(s, query, ret, ret_total);
}

int store_find_all(struct store *s, struct store_query query, size_t max, json_t **ret,
                   uint64_t *ret_total)
{
    json_auto_t *all = json_array();
    for (;;) {
        json_auto_t *page = NULL;
        size_t left = max ? max - json_array_size(all) : STORE_FIND_MAX;
        query.limit = (uint32_t)MIN(left, STORE_FIND_MAX);
        query.offset = (uint32_t)json_array_size(all);
        int r = store_find(s, &query, &page, query.offset ? NULL : ret_total);
        if (r < 0)
            return r;
        if (json_array_extend(all, page) < 0)
            return -ENOMEM;
        if (json_array_size(page) < query.limit || json_array_size(all) == max)
            break;
    }
    *ret = TAKE(all);
    return 0;
}

int store_purge(struct store *s, const struct store_retention *retention, double now, json_t **ret)
{
    return s->ops->purge(s, retention, now, ret);
}

int store_put(struct store *s, const struct store_document *document)
{
    struct store_document copy = *document;
    return store_commit(s, &(struct store_batch){.documents = &copy, .n_documents = 1});
}

int store_acknowledged(struct store *s, const uint8_t spool[static 16], uint64_t *ret)
{
    struct store_rows rows = {0};
    int r = s->ops->read(
        s, &(struct store_arguments){.reading = STORE_READ_ACKNOWLEDGED, .spool = spool}, &rows);
    if (r < 0)
        return r;
    *ret = rows.sequence;
    return 0;
}

int store_ledger(struct store *s, const uint8_t *spool, const char *key, struct store_rows *ret)
{
    struct store_query query = {.kind = STORE_LEDGER, .key = key};
    struct store_arguments a = {.reading = STORE_READ_LEDGER, .spool = spool, .query = &query};
    return s->ops->read(s, &a, ret);
}

int store_get(struct store *s, enum store_kind kind, const char *key, json_t **ret, void **ret_blob,
              size_t *ret_size)
{
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    struct store_query query = {.kind = kind, .key = key};
    int r = s->ops->read(
        s, &(struct store_arguments){.reading = STORE_READ_DOCUMENT, .query = &query}, &rows);
    if (r < 0)
        return r;
    if (ret)
        *ret = TAKE(rows.body);
    if (ret_blob)
        *ret_blob = TAKE(rows.blob);
    if (ret_size)
        *ret_size = rows.blob_size;
    return 0;
}

int store_counts(struct store *s, const struct store_query *query, const char *field,
                 struct store_rows *ret)
{
    struct store_arguments a = {.reading = STORE_READ_COUNTS, .query = query, .field = field};
    return s->ops->read(s, &a, ret);
}

static int read_selection(struct store *s, enum store_reading reading,
                          const struct store_selection *selection, struct store_rows *ret)
{
    struct store_arguments a = {.reading = reading, .selection = *selection};
    return s->ops->read(s, &a, ret);
}

int store_series(struct store *s, const struct store_selection *selection, struct store_rows *ret)
{
    return read_selection(s, STORE_READ_SERIES, selection, ret);
}

int store_shares(struct store *s, const struct store_selection *selection, struct store_rows *ret)
{
    return read_selection(s, STORE_READ_SHARES, selection, ret);
}

int store_scores(struct store *s, const struct store_selection *selection, struct store_rows *ret)
{
    return read_selection(s, STORE_READ_SCORES, selection, ret);
}

int store_windows(struct store *s, const struct store_selection *selection, struct store_rows *ret)
{
    return read_selection(s, STORE_READ_WINDOWS, selection, ret);
}

static int get_stats(struct store *s, enum store_reading reading, struct store_stats *ret)
{
    struct store_rows rows = {0};
    int r = s->ops->read(s, &(struct store_arguments){.reading = reading}, &rows);
    if (r < 0)
        return r;
    *ret = rows.stats;
    return 0;
}

int store_get_size(struct store *s, struct store_stats *ret)
{
    return get_stats(s, STORE_READ_SIZE, ret);
}

int store_get_stats(struct store *s, struct store_stats *ret)
{
    return get_stats(s, STORE_READ_STATS, ret);
}
