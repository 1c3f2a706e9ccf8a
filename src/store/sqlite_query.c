/* Finding and counting documents: a query becomes SQL whose values are all bound. */
#include "store/sqlite.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/utf8.h"

#define KEYS_MAX 1000
#define VALUES_MAX (KEYS_MAX + 32)

/* SQL with the values of its question marks, in order. Text is borrowed. */
struct sql {
    struct buf text;
    const char *values[VALUES_MAX]; /* NULL: numbers[i] */
    double numbers[VALUES_MAX];
    int n;
    int error;
};

static void sql_done(struct sql *q)
{
    buf_done(&q->text);
}

static void add_text(struct sql *q, const char *clause, const char *value)
{
    if (q->n >= VALUES_MAX) {
        q->error = -EINVAL;
        return;
    }
    q->values[q->n++] = value;
    buf_printf(&q->text, "%s", clause);
}

static void add_number(struct sql *q, const char *clause, double value)
{
    if (q->n >= VALUES_MAX) {
        q->error = -EINVAL;
        return;
    }
    q->numbers[q->n++] = value;
    buf_printf(&q->text, "%s", clause);
}

/* Only names that need no quoting pass; "container.key" looks inside. */
static bool is_field(const char *field)
{
    for (const char *p = field; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '.')
            return false;
    }
    return *field && strlen(field) < 100;
}

/* The value of a field as text: "true" and "false" for booleans, "" for null or nothing. */
static void field_sql(struct sql *q, const char *field)
{
    if (!is_field(field)) {
        q->error = -EINVAL;
    } else if (strcmp(field, "state") == 0) {
        buf_printf(&q->text, "coalesce(state, '')"); /* a column, with an index for alerts */
    } else {
        buf_printf(&q->text,
                   "CASE json_type(body, '$.%s') WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
                   " ELSE coalesce(CAST(json_extract(body, '$.%s') AS TEXT), '') END",
                   field, field);
    }
}

static void add_field(struct sql *q, enum store_kind kind, const char *field, const char *equals)
{
    if (!field || !equals)
        return;
    buf_printf(&q->text, " AND ");
    /* Expressions that have an index, as the schema spells them. */
    if (kind == STORE_PROCESS && strcmp(field, "container") == 0)
        buf_printf(&q->text, "json_extract(body, '$.container')");
    else if (strcmp(field, "state") == 0 && *equals)
        buf_printf(&q->text, "state");
    else
        field_sql(q, field);
    add_text(q, " = ?", equals);
}

static void add_keys(struct sql *q, const struct store_query *query)
{
    if (query->key)
        add_text(q, " AND key = ?", query->key);
    if (query->keys) {
        buf_printf(&q->text, " AND key IN (''");
        for (size_t i = 0; query->keys[i]; i++)
            add_text(q, ", ?", query->keys[i]);
        buf_printf(&q->text, ")");
    }
    if (query->prefix) {
        add_text(q, " AND key >= ?", query->prefix);
        add_text(q, " AND substr(key, 1, length(?)) = ", query->prefix);
        add_text(q, "?", query->prefix);
    }
}

/* Only values are searched, not the names of members: "state" must not find every alert. What
 * contains no character that JSON escapes is looked for in the bytes first, which is far cheaper.
 */
static void add_text_search(struct sql *q, const char *text)
{
    bool plain = true;
    for (const char *p = text; *p; p++)
        plain &= isalnum((unsigned char)*p) || strchr(" -_./:,", *p);
    buf_printf(&q->text, " AND EXISTS (SELECT 1 FROM documents AS whole"
                         " WHERE whole.kind = found.kind AND whole.key = found.key");
    if (plain)
        add_text(q, " AND instr(lower(whole.body), lower(?)) > 0", text);
    add_text(q,
             " AND EXISTS (SELECT 1 FROM json_tree(whole.body) WHERE type = 'text'"
             " AND instr(lower(atom), lower(?)) > 0))",
             text);
}

/* brief: all that is asked for stands in the brief documents; those of alerts are a table of their
 * own. */
static int where(struct sql *q, const struct store_query *query, bool brief, const char *hint)
{
    buf_printf(&q->text, " FROM %s AS found%s WHERE kind = %d",
               brief && query->kind == STORE_ALERT ? "briefs" : "documents", hint,
               (int)query->kind);
    add_keys(q, query);
    add_field(q, query->kind, query->field, query->equals);
    for (size_t i = 0; i < STORE_WHERE_MAX; i++)
        add_field(q, query->kind, query->where[i].field, query->where[i].equals);
    if (query->from > 0)
        add_number(q, " AND time >= ?", query->from);
    if (query->until > 0)
        add_number(q, " AND time < ?", query->until);
    if (query->text && *query->text)
        add_text_search(q, query->text);
    return q->error ? q->error : q->text.error;
}

static sqlite3_stmt *prepare(struct sqlite_store *s, struct sql *q)
{
    buf_u8(&q->text, 0);
    sqlite3_stmt *statement = sq_prepare(s, (const char *)q->text.data, "");
    for (int i = 0; i < q->n && statement; i++) {
        if (q->values[i])
            sqlite3_bind_text(statement, i + 1, q->values[i], -1, SQLITE_STATIC);
        else
            sqlite3_bind_double(statement, i + 1, q->numbers[i]);
    }
    return statement;
}

static void drop_arrays(json_t *body)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe (body, next, name, value) {
        if (json_is_array(value))
            json_object_del(body, name);
    }
}

static json_t *document_of(struct sqlite_store *s, sqlite3_stmt *row, bool brief)
{
    json_t *body = json_loadb((const char *)sqlite3_column_text(row, 2),
                              (size_t)sqlite3_column_bytes(row, 2), 0, NULL);
    if (!body) {
        s->rc = SQLITE_CORRUPT;
        return NULL;
    }
    if (brief)
        drop_arrays(body);
    /* A workload's name may be any bytes. */
    CLEANUP(freep)
    char *key =
        utf8_copy((const char *)sqlite3_column_text(row, 0), (size_t)sqlite3_column_bytes(row, 0));
    json_object_set_new(body, "key", json_string(key ? key : ""));
    json_object_set_new(body, "time", json_real(sqlite3_column_double(row, 1)));
    return body;
}

static uint32_t limit_of(const struct store_query *query)
{
    return query->limit ? MIN(query->limit, STORE_FIND_MAX) : 100;
}

static int find_rows(struct sqlite_store *s, const struct store_query *query, json_t *ret)
{
    CLEANUP(sql_done) struct sql q = {0};
    buf_init(&q.text, 1 << 20);
    buf_printf(&q.text, "SELECT key, time, body");
    int r = where(&q, query, query->brief, "");
    if (r < 0)
        return r;
    if (query->sort && !is_field(query->sort))
        return -EINVAL;
    const char *direction = query->oldest_first ? "" : " DESC";
    buf_printf(&q.text, " ORDER BY ");
    if (query->sort)
        buf_printf(&q.text, "json_extract(body, '$.%s')%s, ", query->sort, direction);
    buf_printf(&q.text, "time%s, key%s LIMIT %u OFFSET %u", direction, direction, limit_of(query),
               query->offset);
    CLEANUP(sq_finalizep) sqlite3_stmt *row = prepare(s, &q);
    while (sq_step(s, row)) {
        json_t *document = document_of(s, row, query->brief);
        if (document)
            json_array_append_new(ret, document);
    }
    return 0;
}

static int count_rows(struct sqlite_store *s, const struct store_query *query, uint64_t *ret)
{
    CLEANUP(sql_done) struct sql q = {0};
    buf_init(&q.text, 1 << 20);
    buf_printf(&q.text, "SELECT count(*)");
    int r = where(&q, query, true, "");
    if (r < 0)
        return r;
    CLEANUP(sq_finalizep) sqlite3_stmt *row = prepare(s, &q);
    if (sq_step(s, row))
        *ret = (uint64_t)sqlite3_column_int64(row, 0);
    return 0;
}

int sqlite_find(struct store *store, const struct store_query *query, json_t **ret,
                uint64_t *ret_total)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    json_auto_t *list = json_array();
    uint64_t total;
    sq_begin(s, "BEGIN");
    int r = find_rows(s, query, list);
    size_t n = json_array_size(list);
    total = query->offset + n;
    /* A page that is not full is the last one. */
    if (r == 0 && ret_total && (n == limit_of(query) || (n == 0 && query->offset)))
        r = count_rows(s, query, &total);
    int end = sq_end(s, "read from");
    if (r < 0) {
        log_error("read from %s: a query with a bad field or too many keys", s->path);
        return r;
    }
    if (end < 0)
        return end;
    if (ret)
        *ret = TAKE(list);
    if (ret_total)
        *ret_total = total;
    return 0;
}

int sq_read_counts(struct sqlite_store *s, const struct store_arguments *a, struct store_rows *ret)
{
    CLEANUP(sql_done) struct sql q = {0};
    buf_init(&q.text, 1 << 20);
    buf_printf(&q.text, "SELECT ");
    field_sql(&q, a->field);
    buf_printf(&q.text, " AS value, count(*) AS n");
    /* SQLite would take the primary key, and with it read every body. */
    bool indexed = a->query->kind == STORE_ALERT && strcmp(a->field, "state") == 0;
    int r = where(&q, a->query, true, indexed ? " INDEXED BY briefs_state" : "");
    if (r < 0)
        return r;
    buf_printf(&q.text, " GROUP BY value ORDER BY n DESC, value LIMIT 1000");
    CLEANUP(sq_finalizep) sqlite3_stmt *row = prepare(s, &q);
    ret->counts = calloc(1000, sizeof(*ret->counts));
    if (!ret->counts)
        return -ENOMEM;
    while (sq_step(s, row)) {
        struct store_count *c = &ret->counts[ret->n++];
        c->value = strdup((const char *)sqlite3_column_text(row, 0));
        c->count = (uint64_t)sqlite3_column_int64(row, 1);
    }
    return 0;
}
