#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "soc/server.h"

/* seen = stored + in flight + dropped (by reason), summed from the counts of each container;
 * nothing is derived from the others, so that "balanced" can be false. */

struct sums {
    json_int_t seen, stored, in_flight, lost, degraded;
    json_t *dropped; /* {reason: calls} */
};

static json_int_t number(const json_t *object, const char *name)
{
    return (json_int_t)json_get_number(object, name, 0);
}

static void add_dropped(struct sums *sums, json_t *dropped)
{
    const char *reason;
    json_t *calls;
    json_object_foreach (dropped, reason, calls) {
        /* Calls that were only binned are stored: counted apart, not as lost. */
        if (strcmp(reason, drop_reason_name(DROP_DEGRADED)) == 0) {
            sums->degraded += json_integer_value(calls);
            continue;
        }
        sums->lost += json_integer_value(calls);
        json_object_set_new(
            sums->dropped, reason,
            json_integer(json_integer_value(calls) + number(sums->dropped, reason)));
    }
}

static json_t *sums_json(const struct sums *s)
{
    bool balanced = s->seen == s->stored + s->in_flight + s->lost;
    return json_pack("{s:I, s:I, s:I, s:O, s:b, s:I}", "seen", s->seen, "stored", s->stored,
                     "in_flight", s->in_flight, "dropped", s->dropped, "balanced", (int)balanced,
                     "degraded", s->degraded);
}

static int find_all(struct store *s, enum store_kind kind, json_t **ret)
{
    struct store_query query = {.kind = kind, .limit = 10000};
    return store_find(s, &query, ret, NULL);
}

/* Names of containers by key. */
static int names(struct store *s, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    CLEANUP(json_decrefp) json_t *map = json_object();
    json_t *row;
    size_t i;
    int r = find_all(s, STORE_CONTAINER, &rows);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row)
        json_object_set(map, json_get_string(row, "key", ""), row);
    *ret = TAKE(map);
    return 0;
}

static int add_row(const json_t *containers, json_t *row, json_t *list)
{
    const char *key = json_get_string(row, "key", "");
    const json_t *c = json_object_get(containers, key);
    json_t *dropped = json_object_get(row, "dropped");
    json_t *entry = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "key", key, "name",
        json_get_string(row, "name", json_get_string(c, "name", "")), "workload",
        json_get_string(row, "workload", json_get_string(c, "workload", "")), "seen",
        number(row, "seen"), "stored", number(row, "stored"), "in_flight", number(row, "in_flight"),
        "dropped", dropped ? json_incref(dropped) : json_object());
    return json_array_append_new(list, entry) < 0 ? -ENOMEM : 0;
}

static json_t *blind_list(const json_t *rows)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach (rows, i, row)
        json_array_append_new(list,
                              json_pack("{s:f, s:f, s:s}", "from", json_get_number(row, "from", 0),
                                        "until", json_get_number(row, "until", 0), "reason",
                                        json_get_string(row, "reason", "")));
    return list;
}

/* What caps refused, of STATE "live". */
static json_t *refused(const json_t *live)
{
    json_t *v = json_object_get(json_object_get(live, "agent"), "refused");
    return v ? json_incref(v) : json_object();
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

/* Sums every container's counts; list NULL: only the sums. */
static int sum_up(struct store *s, struct sums *sums, json_t *list)
{
    CLEANUP(json_decrefp) json_t *rows = NULL, *containers = NULL, *live = NULL;
    json_t *row;
    size_t i;
    int r = find_all(s, STORE_LEDGER, &rows);
    if (r == 0 && list)
        r = names(s, &containers);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row) {
        sums->seen += number(row, "seen");
        sums->stored += number(row, "stored");
        sums->in_flight += number(row, "in_flight");
        add_dropped(sums, json_object_get(row, "dropped"));
        if (list && add_row(containers, row, list) < 0)
            return -ENOMEM;
    }
    /* What is between the rings and the store is known in sum only, from the pipeline. */
    r = store_get(s, STORE_STATE, "live", &live, NULL, NULL);
    json_int_t in_flight = r == 0 ? number(json_object_get(live, "spool"), "in_flight") : 0;
    sums->seen += in_flight;
    sums->in_flight += in_flight;
    return 0;
}

int ledger_sums(struct store *s, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *dropped = json_object();
    struct sums sums = {.dropped = dropped};
    int r = sum_up(s, &sums, NULL);
    if (r < 0)
        return r;
    json_t *view = sums_json(&sums);
    if (!view)
        return -ENOMEM;
    *ret = view;
    return 0;
}

int ledger_view(struct store *s, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *blind = NULL, *live = NULL, *view = NULL;
    CLEANUP(json_decrefp) json_t *list = json_array(), *dropped = json_object();
    struct sums sums = {.dropped = dropped};
    int r = sum_up(s, &sums, list);
    if (r == 0)
        r = find_all(s, STORE_BLIND, &blind);
    if (r == 0)
        r = store_get(s, STORE_STATE, "live", &live, NULL, NULL);
    if (r < 0 && r != -ENOENT)
        return r;
    view = sums_json(&sums);
    if (!view || json_object_set_new(view, "blind", blind_list(blind)) < 0 ||
        json_object_set_new(view, "refused", refused(live)) < 0 ||
        json_object_set_new(view, "corrupt", corrupt(live)) < 0 ||
        json_object_set(view, "containers", list) < 0)
        return -ENOMEM;
    *ret = TAKE(view);
    return 0;
}

int api_ledger(struct request *q)
{
    json_t *view;
    int r = ledger_view(q->store, &view);
    return r < 0 ? r : reply_json(q, 200, view);
}
