#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "soc/server.h"

static const char *const states[] = {"running", "gone", "unresolved", NULL};

const struct field containers_query[] = {
    {"workload", FIELD_STRING, false, 1, 1024, NULL},
    {"state", FIELD_STRING, false, 0, 0, states},
    {0},
};

const struct field container_query[] = {
    {"key", FIELD_STRING, true, 1, STORE_KEY_MAX, NULL},
    {0},
};

#define CONTAINERS_SHOWN 10000
#define PROCESSES_SHOWN 300
#define LIVE_STALE_S 10.0

int api_containers(struct request *q)
{
    struct store_query query = {.kind = STORE_CONTAINER, .limit = CONTAINERS_SHOWN};
    query.where[0].field = query_string(q, "workload") ? "workload" : NULL;
    query.where[0].equals = query_string(q, "workload");
    query.field = query_string(q, "state") ? "state" : NULL;
    query.equals = query_string(q, "state");
    json_t *rows;
    int r = find_documents(q, &query, "key", true, &rows, NULL);
    return r < 0 ? r : reply_json(q, 200, json_pack("{s:o}", "containers", rows));
}

/* Calls and errors over the container's life, in at most 400 steps. */
static int series(struct request *q, const char *key, json_t **ret)
{
    struct store_rows rows = {0};
    struct store_selection selection = {.container = key};
    int r = store_series(q->store, &selection, &rows);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (uint32_t i = 0; i < rows.n; i++)
        json_array_append_new(list, json_pack("{s:f, s:I, s:I}", "time", rows.points[i].time,
                                              "calls", (json_int_t)rows.points[i].calls, "errors",
                                              (json_int_t)rows.points[i].errors));
    store_rows_done(&rows);
    *ret = list;
    return 0;
}

/* The pipeline writes flags as bits, and what it does not know not at all. */
static void process_words(json_t *process)
{
    static const char *const names[] = {"memfd", "deleted", "not from image", "joined", "session"};
    json_t *flags = json_object_get(process, "flags");
    json_object_del(process, "time");
    if (!json_object_get(process, "last"))
        json_object_set_new(process, "last", json_null());
    if (!json_object_get(process, "arguments"))
        json_object_set_new(process, "arguments", json_string(""));
    json_int_t bits = json_integer_value(flags);
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (bits & 1 << i)
            json_array_append_new(list, json_string(names[i]));
    }
    json_object_set_new(process, "flags", list);
}

/* The newest processes and, where there are more, the oldest: of a server that starts a process for
 * each request, those are the ones that stay. */
static int process_list(struct request *q, const char *key, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *oldest = NULL;
    uint64_t total;
    struct store_query query = {
        .kind = STORE_PROCESS, .field = "container", .equals = key, .limit = PROCESSES_SHOWN};
    int r = find_documents(q, &query, "id", false, ret, &total);
    if (r < 0 || total <= PROCESSES_SHOWN)
        return r;
    uint64_t left = total - PROCESSES_SHOWN;
    query.limit = left < PROCESSES_SHOWN ? (uint32_t)left : PROCESSES_SHOWN;
    query.oldest_first = true;
    r = find_documents(q, &query, "id", false, &oldest, NULL);
    return r < 0 || json_array_extend(*ret, oldest) == 0 ? r : -ENOMEM;
}

int api_container(struct request *q)
{
    json_t *process;
    size_t i;
    const char *key = query_string(q, "key");
    CLEANUP(json_decrefp) json_t *container = NULL, *processes = NULL, *points = NULL;
    CLEANUP(json_decrefp) json_t *alerts = NULL, *ledger = NULL;
    struct store_query raised = {
        .kind = STORE_ALERT, .field = "container.key", .equals = key, .limit = 50};
    int r = store_get(q->store, STORE_CONTAINER, key, &container, NULL, NULL);
    if (r == 0)
        r = process_list(q, key, &processes);
    if (r == 0)
        r = series(q, key, &points);
    if (r == 0)
        r = find_alerts(q, &raised, &alerts, NULL);
    if (r == 0) {
        r = ledger_container(q->store, q->http->flight, key, &ledger);
        r = r == -ENOENT ? 0 : r;
    }
    if (r < 0)
        return r;
    json_array_foreach (processes, i, process)
        process_words(process);
    json_object_del(container, "time");
    json_object_set(container, "processes", processes);
    json_object_set(container, "series", points);
    json_object_set(container, "alerts", alerts);
    json_object_set_new(container, "ledger", ledger ? json_incref(ledger) : json_null());
    return reply_json(q, 200, TAKE(container));
}

/* ---- coverage ---- */

static int profiles_by_workload(struct request *q, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    CLEANUP(json_decrefp) json_t *map = json_object();
    struct store_query query = {.kind = STORE_PROFILE, .limit = 2000};
    json_t *row;
    size_t i;
    int r = store_find(q->store, &query, &rows, NULL);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row)
        json_object_set(map, json_get_string(row, "key", ""), row);
    *ret = TAKE(map);
    return 0;
}

/* The container with the state of its workload: when will it be watched in earnest? */
static void add_watched(json_t *list, json_t *container, const json_t *profiles)
{
    const json_t *profile = json_object_get(profiles, json_get_string(container, "workload", ""));
    const json_t *steady = json_object_get(profile, "steady");
    json_t *eta = json_object_get(steady, "eta_s");
    const char *state = json_get_string(profile, "state", "learning");
    json_object_set_new(container, "state", json_string(state));
    json_object_set_new(
        container, "reason",
        json_string(json_get_string(profile, "reason", "nothing was learnt of it yet")));
    json_object_set_new(container, "ready_in_s",
                        strcmp(state, "ready") == 0 ? json_integer(0)
                        : eta                       ? json_incref(eta)
                                                    : json_null());
    json_array_append(list, container);
}

static void add_unwatched(json_t *list, const json_t *c)
{
    const char *reason = json_get_string(c, "reason", "");
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:s, s:s}", "key", json_get_string(c, "key", ""), "name",
                        json_get_string(c, "name", ""), "id", json_get_string(c, "id", ""),
                        "reason", reason[0] ? reason : "not chosen by the configuration"));
}

static int split(struct request *q, json_t *watched, json_t *unwatched)
{
    CLEANUP(json_decrefp) json_t *profiles = NULL, *rows = NULL;
    struct store_query query = {.kind = STORE_CONTAINER, .limit = CONTAINERS_SHOWN};
    json_t *row;
    size_t i;
    int r = profiles_by_workload(q, &profiles);
    if (r == 0)
        r = find_documents(q, &query, "key", true, &rows, NULL);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row) {
        if (strcmp(json_get_string(row, "state", ""), "gone") == 0)
            continue;
        if (json_is_true(json_object_get(row, "wanted")))
            add_watched(watched, row, profiles);
        else
            add_unwatched(unwatched, row);
    }
    return 0;
}

static json_t *probe(const json_t *live, double now)
{
    char text[96];
    int error = (int)json_get_number(json_object_get(live, "agent"), "error", 0);
    const char *said = error ? strerror(abs(error)) : "ok";
    double age = now - json_get_number(live, "time", 0);
    if (!live)
        said = "no agent has reported yet: is `vigia up` running?";
    else if (age > LIVE_STALE_S && strcmp(json_get_string(live, "mode", "live"), "live") == 0) {
        snprintf(text, sizeof(text), "the agent has not reported for %.0f seconds", age);
        said = text;
    }
    return json_pack("{s:s}", "probe", said);
}

static void add_limit(json_t *list, const char *what, const json_t *agent, const json_t *refused)
{
    json_t *max = json_object_get(json_object_get(agent, "max"), what);
    json_array_append_new(list,
                          json_pack("{s:s, s:O?, s:O?, s:I}", "what", what, "used",
                                    max ? json_object_get(agent, what) : NULL, "max", max,
                                    "refused", (json_int_t)json_get_number(refused, what, 0)));
}

/* Tables with a cap: how full those of the capture are, and which others refused something. */
static json_t *limits(const json_t *live)
{
    const json_t *agent = json_object_get(live, "agent");
    CLEANUP(json_decrefp) json_t *refused = refused_tables(live);
    json_t *list = json_array(), *n;
    const char *what;
    json_object_foreach (json_object_get(agent, "max"), what, n)
        add_limit(list, what, agent, refused);
    json_object_foreach (refused, what, n) {
        if (!json_object_get(json_object_get(agent, "max"), what) && json_integer_value(n) > 0)
            add_limit(list, what, agent, refused);
    }
    return list;
}

int api_coverage(struct request *q)
{
    CLEANUP(json_decrefp) json_t *watched = json_array(), *unwatched = json_array();
    CLEANUP(json_decrefp) json_t *blind = NULL, *live = NULL;
    struct store_query query = {.kind = STORE_BLIND, .limit = 100};
    int r = split(q, watched, unwatched);
    if (r == 0)
        r = find_documents(q, &query, "id", true, &blind, NULL);
    if (r == 0)
        r = get_document(q, STORE_STATE, "live", &live);
    if (r < 0)
        return r;
    return reply_json(q, 200,
                      json_pack("{s:O, s:O, s:O, s:s, s:o, s:o}", "watched", watched, "unwatched",
                                unwatched, "blind", blind, "level",
                                json_get_string(live, "level", "full"), "capture",
                                probe(live, q->now), "limits", limits(live)));
}
