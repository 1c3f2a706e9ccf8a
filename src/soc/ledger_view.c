#include "soc/ledger_view.h"

#include <errno.h>
#include <stdio.h>

#include "soc/server.h"

/* Of one container, or in sum. */
struct sums {
    struct ledger_count count; /* delivered: stored */
    uint64_t in_flight;
    bool balanced;
};

static void add(struct sums *to, const struct ledger_count *c, uint64_t stored, uint64_t in_flight)
{
    to->count.seen += c->seen;
    to->count.delivered += stored;
    to->in_flight += in_flight;
    for (int i = 0; i < DROP_REASONS; i++)
        to->count.dropped[i] += c->dropped[i];
}

/* Calls that were only binned (degraded) are stored: not part of what was dropped. */
static json_t *sums_json(const struct sums *s)
{
    json_t *dropped = json_object();
    for (int i = 0; i < DROP_REASONS; i++) {
        if (s->count.dropped[i] && i != DROP_DEGRADED)
            json_object_set_new(dropped, drop_reason_name(i),
                                json_integer((json_int_t)s->count.dropped[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:o, s:b, s:I}", "seen", (json_int_t)s->count.seen, "stored",
                     (json_int_t)s->count.delivered, "in_flight", (json_int_t)s->in_flight,
                     "dropped", dropped, "balanced", (int)s->balanced, "degraded",
                     (json_int_t)s->count.dropped[DROP_DEGRADED]);
}

/* One container's: into the total and, unless NULL, the list. */
static int add_container(struct sums *total, json_t *list, uint64_t capture,
                         const struct ledger_count *stored, struct ledger_row *flight)
{
    struct sums own = {0};
    if (stored)
        add(&own, stored, stored->delivered, 0);
    if (flight) {
        add(&own, &flight->count, 0, flight->count.delivered);
        flight->count = (struct ledger_count){.container = flight->count.container}; /* taken */
    }
    own.balanced =
        own.count.seen == own.count.delivered + own.in_flight + ledger_dropped(&own.count);
    add(total, &own.count, own.count.delivered, own.in_flight);
    total->balanced &= own.balanced;
    if (!list)
        return 0;
    char key[STORE_KEY_MAX];
    store_container_key(capture, stored ? stored->container : flight->count.container, key);
    json_t *entry = sums_json(&own);
    return json_object_set_new(entry, "key", json_string(key)) < 0 ||
                   json_array_append_new(list, entry) < 0
               ? -ENOMEM
               : 0;
}

/* Those of the store, then those that are only in flight. */
static int sum_up(const struct store_rows *rows, struct ledger *flight, struct sums *total,
                  json_t *list)
{
    int r = 0;
    total->balanced = true;
    for (uint32_t i = 0; i < rows->n && r == 0; i++) {
        const struct store_ledger *l = &rows->ledger[i];
        r = add_container(total, list, l->capture, &l->count,
                          ledger_find(flight, l->capture, l->count.container));
    }
    for (uint32_t i = 0; i < flight->n_rows && r == 0; i++) {
        struct ledger_row *row = &flight->rows[i];
        if (row->count.seen || row->count.delivered || ledger_dropped(&row->count))
            r = add_container(total, list, row->capture, NULL, row);
    }
    return r;
}

int ledger_sums(struct store *s, struct flight *f, json_t **ret)
{
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    CLEANUP(ledger_done) struct ledger flight;
    struct sums total = {0};
    ledger_init(&flight);
    int r = flight_read(f, s, NULL, &rows, &flight);
    if (r == 0)
        r = sum_up(&rows, &flight, &total, NULL);
    if (r < 0)
        return r;
    *ret = sums_json(&total);
    return *ret ? 0 : -ENOMEM;
}

int ledger_container(struct store *s, struct flight *f, const char *key, json_t **ret)
{
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    CLEANUP(ledger_done) struct ledger flight;
    struct sums own = {.balanced = true};
    uint64_t capture;
    uint32_t number;
    ledger_init(&flight);
    int r = store_container_parse(key, &capture, &number);
    if (r == 0)
        r = flight_read(f, s, key, &rows, &flight);
    if (r < 0)
        return r;
    struct ledger_row *row = ledger_find(&flight, capture, number);
    if (!rows.n && !row)
        return -ENOENT;
    add_container(&own, NULL, capture, rows.n ? &rows.ledger[0].count : NULL, row);
    *ret = sums_json(&own);
    return *ret ? 0 : -ENOMEM;
}

/* Names of containers by key, added to the list. */
static int add_names(struct store *s, json_t *list)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    CLEANUP(json_decrefp) json_t *map = json_object();
    json_t *row;
    size_t i;
    int r = store_find_all(s, (struct store_query){.kind = STORE_CONTAINER}, 0, &rows, NULL);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row)
        json_object_set(map, json_get_string(row, "key", ""), row);
    json_array_foreach (list, i, row) {
        const json_t *c = json_object_get(map, json_get_string(row, "key", ""));
        char label[CONTAINER_LABEL_MAX];
        json_object_set_new(row, "name", json_text(json_container_label(c, label)));
        json_object_set_new(row, "workload", json_string(json_get_string(c, "workload", "")));
    }
    return 0;
}

static int add_blind(json_t *list, double from, double until, const char *reason)
{
    return json_array_append_new(list, json_pack("{s:f, s:f, s:o}", "from", from, "until", until,
                                                 "reason", json_text(reason)));
}

static int read_blind(struct store *s, const struct ledger *flight, json_t *list)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    json_t *row;
    size_t i;
    struct store_query query = {.kind = STORE_BLIND, .oldest_first = true};
    int r = store_find_all(s, query, 0, &rows, NULL);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row)
        r |= add_blind(list, json_get_number(row, "from", 0), json_get_number(row, "until", 0),
                       json_get_string(row, "reason", ""));
    for (uint32_t k = 0; k < flight->n_blinds; k++)
        r |= add_blind(list, (double)flight->blinds[k].first_ns / 1e9,
                       (double)flight->blinds[k].last_ns / 1e9, flight->blinds[k].reason);
    return r ? -ENOMEM : 0;
}

json_t *refused_tables(const json_t *live)
{
    static const char *const parts[] = {"agent", "engine"};
    json_t *tables = json_object(), *n;
    const char *table;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        json_object_foreach (json_object_get(json_object_get(live, parts[i]), "refused"), table, n)
            json_object_set_new(tables, table,
                                json_integer(json_integer_value(n) +
                                             json_integer_value(json_object_get(tables, table))));
    }
    return tables;
}

static int read_refused(struct store *s, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *live = NULL;
    int r = store_get(s, STORE_STATE, "live", &live, NULL, NULL);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = refused_tables(live);
    return 0;
}

int ledger_view(struct store *s, struct flight *f, json_t **ret, uint64_t *ret_blocks)
{
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    CLEANUP(ledger_done) struct ledger flight;
    CLEANUP(json_decrefp) json_t *list = json_array(), *blind = json_array(), *refused = NULL;
    struct sums total = {0};
    ledger_init(&flight);
    int r = flight_read(f, s, NULL, &rows, &flight);
    if (r == 0)
        r = sum_up(&rows, &flight, &total, list);
    if (r == 0)
        r = add_names(s, list);
    if (r == 0)
        r = read_blind(s, &flight, blind);
    if (r == 0)
        r = read_refused(s, &refused);
    if (r < 0)
        return r;
    CLEANUP(json_decrefp) json_t *view = sums_json(&total);
    if (!view || json_object_set(view, "blind", blind) < 0 ||
        json_object_set(view, "refused", refused) < 0 ||
        json_object_set(view, "containers", list) < 0)
        return -ENOMEM;
    if (ret_blocks)
        *ret_blocks = flight.blocks;
    *ret = TAKE(view);
    return 0;
}

/* Blocks that were kept aside: the spool counts them and names the directory. */
static json_t *corrupt(const json_t *live)
{
    double n = json_get_number(json_object_get(live, "spool"), "blocks_corrupt", 0);
    json_t *list = json_array();
    if (n > 0) {
        char reason[80];
        snprintf(reason, sizeof(reason), "%.0f blocks failed their checks and were kept aside", n);
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "file", "spool/corrupt/", "reason", reason));
    }
    return list;
}

int api_ledger(struct request *q)
{
    CLEANUP(json_decrefp) json_t *view = NULL, *live = NULL;
    int r = ledger_view(q->store, q->http->flight, &view, NULL);
    if (r == 0)
        r = get_document(q, STORE_STATE, "live", &live);
    if (r < 0)
        return r;
    json_object_set_new(view, "corrupt", corrupt(live));
    return reply_json(q, 200, TAKE(view));
}
