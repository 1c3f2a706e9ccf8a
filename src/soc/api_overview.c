#include <errno.h>
#include <math.h>
#include <string.h>

#include "soc/server.h"

const struct field audit_query[] = {
    {"from", FIELD_NUMBER, false, 0, 1e11, NULL},
    {"until", FIELD_NUMBER, false, 0, 1e11, NULL},
    {"limit", FIELD_INTEGER, false, 1, 1000, NULL},
    {"offset", FIELD_INTEGER, false, 0, 1e9, NULL},
    {0},
};

/* Midnight of the server's local time, as it was when the server started. */
static double today(const struct request *q)
{
    double offset = q->http->utc_offset_s;
    return floor((q->now + offset) / 86400) * 86400 - offset;
}

/* Adds the alerts of a state to {value of field: n}. */
static int count_alerts(struct request *q, const char *state, const char *field, json_t *counts,
                        uint64_t *ret_total)
{
    struct store_rows rows = {0};
    struct store_query query = {.kind = STORE_ALERT, .field = "state", .equals = state};
    query.where[0].field = "held";
    query.where[0].equals = "false";
    int r = store_counts(q->store, &query, field, &rows);
    if (r < 0)
        return r;
    *ret_total = 0;
    for (uint32_t i = 0; i < rows.n; i++) {
        double before = json_get_number(counts, rows.counts[i].value, 0);
        *ret_total += rows.counts[i].count;
        json_object_set_new(counts, rows.counts[i].value,
                            json_integer((json_int_t)(before + (double)rows.counts[i].count)));
    }
    store_rows_done(&rows);
    return 0;
}

/* {"new","acknowledged","today"} and the open ones by workload. */
static int alert_counts(struct request *q, json_t *by_workload, json_t **ret)
{
    uint64_t new, acknowledged, raised;
    CLEANUP(json_decrefp) json_t *none = NULL;
    struct store_query query = {.kind = STORE_ALERT, .from = today(q), .limit = 1, .brief = true};
    query.where[0].field = "held";
    query.where[0].equals = "false";
    int r = count_alerts(q, "new", "workload", by_workload, &new);
    if (r == 0)
        r = count_alerts(q, "acknowledged", "workload", by_workload, &acknowledged);
    if (r == 0)
        r = store_find(q->store, &query, &none, &raised);
    if (r < 0)
        return r;
    *ret = json_pack("{s:I, s:I, s:I}", "new", (json_int_t) new, "acknowledged",
                     (json_int_t)acknowledged, "today", (json_int_t)raised);
    return *ret ? 0 : -ENOMEM;
}

struct tally {
    json_int_t running, watched, unresolved;
    json_t *rates; /* {workload: calls/s} */
};

static int tally_containers(struct request *q, struct tally *ret)
{
    static const char *const states[] = {"running", "unresolved"};
    for (int s = 0; s < 2; s++) {
        CLEANUP(json_decrefp) json_t *rows = NULL;
        struct store_query query = {
            .kind = STORE_CONTAINER, .field = "state", .equals = states[s], .limit = 10000};
        json_t *row;
        size_t i;
        int r = store_find(q->store, &query, &rows, NULL);
        if (r < 0)
            return r;
        json_array_foreach (rows, i, row) {
            const char *workload = json_get_string(row, "workload", "");
            double rate = json_get_number(row, "calls_per_s", 0);
            ret->running += s == 0;
            ret->unresolved += s == 1;
            ret->watched += json_is_true(json_object_get(row, "wanted"));
            json_object_set_new(ret->rates, workload,
                                json_real(rate + json_get_number(ret->rates, workload, 0)));
        }
    }
    return 0;
}

static int workload_list(struct request *q, const struct tally *tally, const json_t *open,
                         json_t **ret)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    CLEANUP(json_decrefp) json_t *list = json_array();
    struct store_query query = {.kind = STORE_PROFILE, .limit = 2000};
    json_t *row;
    size_t i;
    int r = store_find(q->store, &query, &rows, NULL);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row) {
        const char *workload = json_get_string(row, "key", "");
        const json_t *steady = json_object_get(row, "steady");
        json_t *entry = json_pack("{s:s, s:s, s:s, s:f, s:I, s:f, s:I}", "workload", workload,
                                  "state", json_get_string(row, "state", "learning"), "reason",
                                  json_get_string(row, "reason", ""), "progress",
                                  json_get_number(steady, "progress", 0), "containers",
                                  (json_int_t)json_get_number(row, "containers", 0), "calls_per_s",
                                  json_get_number(tally->rates, workload, 0), "open_alerts",
                                  (json_int_t)json_get_number(open, workload, 0));
        if (json_array_append_new(list, entry) < 0)
            return -ENOMEM;
    }
    *ret = TAKE(list);
    return 0;
}

int api_overview(struct request *q)
{
    CLEANUP(json_decrefp) json_t *live = NULL, *counts = NULL, *latest = NULL, *workloads = NULL;
    CLEANUP(json_decrefp) json_t *ledger = NULL, *open = json_object(), *rates = json_object();
    struct tally tally = {.rates = rates};
    struct store_query newest = {.kind = STORE_ALERT, .limit = 5};
    newest.where[0].field = "held";
    newest.where[0].equals = "false";
    int r = get_document(q, STORE_STATE, "live", &live);
    if (r == 0)
        r = alert_counts(q, open, &counts);
    if (r == 0)
        r = find_alerts(q, &newest, &latest, NULL);
    if (r == 0)
        r = tally_containers(q, &tally);
    if (r == 0)
        r = workload_list(q, &tally, open, &workloads);
    if (r == 0)
        r = ledger_sums(q->store, q->http->flight, &ledger);
    if (r < 0)
        return r;
    if (live)
        json_object_del(live, "key");
    return reply_json(q, 200,
                      json_pack("{s:f, s:O?, s:O, s:O, s:O, s:{s:I, s:I, s:I}, s:O}", "now", q->now,
                                "live", live, "alerts", counts, "latest", latest, "workloads",
                                workloads, "containers", "running", tally.running, "watched",
                                tally.watched, "unresolved", tally.unresolved, "ledger", ledger));
}

int api_audit(struct request *q)
{
    uint64_t total;
    json_t *rows;
    struct store_query query = {
        .kind = STORE_AUDIT,
        .from = query_number(q, "from", 0),
        .until = query_number(q, "until", 0),
        .limit = (uint32_t)query_number(q, "limit", 100),
        .offset = (uint32_t)query_number(q, "offset", 0),
    };
    int r = find_documents(q, &query, "id", false, &rows, &total);
    return r < 0 ? r
                 : reply_json(q, 200,
                              json_pack("{s:o, s:I}", "audit", rows, "total", (json_int_t)total));
}
