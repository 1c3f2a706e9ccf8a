/* /metrics: the Prometheus text format, version 0.0.4. Counters are those of the store, so that
 * they go on over restarts; what only this process knows (requests, deliveries) begins with it. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "soc/guard.h"
#include "soc/server.h"

#define METRICS_MAX (1024 * 1024)

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, double v)
{
    head(b, name, type, help);
    buf_printf(b, "%s %.15g\n", name, v);
}

/* Label values: '\', '"' and newline are escaped. */
static void labelled(struct buf *b, const char *name, const char *label, const char *value,
                     double v)
{
    buf_printf(b, "%s{%s=\"", name, label);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_printf(b, "\\%c", *value);
        else if (*value == '\n')
            buf_printf(b, "\\n");
        else
            buf_append(b, value, 1);
    }
    buf_printf(b, "\"} %.15g\n", v);
}

static int by_state(struct request *q, struct buf *b, enum store_kind kind, const char *name,
                    const char *help, const char *const *states)
{
    struct store_rows rows = {0};
    struct store_query query = {.kind = kind};
    int r = store_counts(q->store, &query, "state", &rows);
    if (r < 0)
        return r;
    head(b, name, "gauge", help);
    for (const char *const *s = states; *s; s++) {
        uint64_t n = 0;
        for (uint32_t i = 0; i < rows.n; i++)
            n += strcmp(rows.counts[i].value, *s) == 0 ? rows.counts[i].count : 0;
        labelled(b, name, "state", *s, (double)n);
    }
    store_rows_done(&rows);
    return 0;
}

static int ledger(struct request *q, struct buf *b)
{
    CLEANUP(json_decrefp) json_t *view = NULL;
    int r = ledger_sums(q->store, q->http->flight, &view);
    if (r < 0)
        return r;
    one(b, "vigia_calls_total", "counter", "System calls seen.", json_get_number(view, "seen", 0));
    one(b, "vigia_calls_stored_total", "counter", "System calls that reached the store.",
        json_get_number(view, "stored", 0));
    one(b, "vigia_calls_in_flight", "gauge", "System calls between the kernel and the store.",
        json_get_number(view, "in_flight", 0));
    one(b, "vigia_ledger_balanced", "gauge", "1 when seen = stored + in flight + dropped.",
        json_is_true(json_object_get(view, "balanced")));
    head(b, "vigia_calls_dropped_total", "counter", "System calls lost, by reason.");
    const char *reason;
    json_t *n;
    json_object_foreach (json_object_get(view, "dropped"), reason, n)
        labelled(b, "vigia_calls_dropped_total", "reason", reason, json_number_value(n));
    return 0;
}

static void refused(struct buf *b, const json_t *live)
{
    CLEANUP(json_decrefp) json_t *tables = refused_tables(live);
    const char *table;
    json_t *n;
    head(b, "vigia_refused_total", "counter", "What did not fit into a full table, by table.");
    json_object_foreach (tables, table, n)
        labelled(b, "vigia_refused_total", "table", table, json_number_value(n));
}

static int live(struct request *q, struct buf *b)
{
    CLEANUP(json_decrefp) json_t *doc = NULL;
    int r = get_document(q, STORE_STATE, "live", &doc);
    if (r < 0)
        return r;
    const json_t *latency = json_object_get(doc, "latency"), *spool = json_object_get(doc, "spool");
    const json_t *agent = json_object_get(doc, "agent"), *engine = json_object_get(doc, "engine");
    one(b, "vigia_live_age_seconds", "gauge", "Seconds since the pipeline last reported; -1 never.",
        doc ? q->now - json_get_number(doc, "time", 0) : -1);
    one(b, "vigia_calls_per_second", "gauge", "System calls in the last second.",
        json_get_number(doc, "calls_per_s", 0));
    one(b, "vigia_windows_per_second", "gauge", "Windows scored in the last second.",
        json_get_number(doc, "windows_per_s", 0));
    head(b, "vigia_latency_seconds", "gauge", "From a system call to its score, by quantile.");
    labelled(b, "vigia_latency_seconds", "quantile", "0.5", json_get_number(latency, "p50_s", 0));
    labelled(b, "vigia_latency_seconds", "quantile", "0.99", json_get_number(latency, "p99_s", 0));
    one(b, "vigia_spool_bytes", "gauge", "Size of the spool.",
        json_get_number(spool, "size_bytes", 0));
    one(b, "vigia_engine_lag_seconds", "gauge", "Age of the block being scored.",
        json_get_number(engine, "lag_s", 0));
    one(b, "vigia_agent_cpu_share", "gauge", "Share of one CPU that the agent takes.",
        json_get_number(agent, "cpu_share", 0));
    one(b, "vigia_agent_resident_bytes", "gauge", "Memory of the agent.",
        json_get_number(agent, "rss_bytes", 0));
    one(b, "vigia_ring_fill", "gauge", "Fullest ring, 0 to 1.",
        json_get_number(agent, "ring_fill", 0));
    refused(b, doc);
    return 0;
}

static int containers(struct request *q, struct buf *b)
{
    struct store_rows rows = {0};
    struct store_query query = {.kind = STORE_CONTAINER, .field = "wanted", .equals = "true"};
    uint64_t n = 0;
    int r = store_counts(q->store, &query, "state", &rows);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < rows.n; i++)
        n += strcmp(rows.counts[i].value, "gone") == 0 ? 0 : rows.counts[i].count;
    store_rows_done(&rows);
    one(b, "vigia_containers", "gauge", "Containers watched.", (double)n);
    return 0;
}

static int store(struct request *q, struct buf *b)
{
    struct store_stats stats;
    int r = store_get_size(q->store, &stats);
    if (r < 0)
        return r;
    one(b, "vigia_store_bytes", "gauge", "Size of the store, with its log.",
        (double)(stats.file_bytes + stats.wal_bytes));
    return 0;
}

static void sinks(struct request *q, struct buf *b)
{
    static const char total[] = "vigia_sink_deliveries_total", queue[] = "vigia_sink_queue";
    struct sink_stats stats[SINKS_MAX];
    uint32_t n =
        q->http->options.runner ? sink_runner_stats(q->http->options.runner, stats, SINKS_MAX) : 0;
    head(b, total, "counter", "Deliveries by sink and outcome.");
    for (uint32_t i = 0; i < n; i++) {
        const struct {
            const char *outcome;
            uint64_t n;
        } rows[] = {{"sent", stats[i].sent},
                    {"retried", stats[i].retried},
                    {"refused", stats[i].refused},
                    {"dead", stats[i].dead}};
        for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
            buf_printf(b, "%s{sink=\"%s\",outcome=\"%s\"} %llu\n", total, stats[i].name,
                       rows[k].outcome, (unsigned long long)rows[k].n);
    }
    head(b, queue, "gauge", "Deliveries waiting, by sink.");
    for (uint32_t i = 0; i < n; i++)
        labelled(b, queue, "sink", stats[i].name, (double)stats[i].queued);
}

static void requests(struct request *q, struct buf *b)
{
    struct http *h = q->http;
    head(b, "vigia_http_requests_total", "counter", "Requests by route and class of status.");
    for (size_t i = 0; i < ROUTES_MAX; i++) {
        bool route = i < ROUTES_MAX - 1;
        for (int c = 1; c < STATUS_CLASSES; c++) {
            uint64_t n = atomic_load(&h->requests[i][c]);
            if (n)
                buf_printf(
                    b, "vigia_http_requests_total{method=\"%s\",route=\"%s\",code=\"%dxx\"} %llu\n",
                    route ? route_table[i].method : "",
                    route ? route_table[i].path[0] ? route_table[i].path : "/" : "none", c,
                    (unsigned long long)n);
        }
    }
    one(b, "vigia_logins_failed_total", "counter", "Logins with a wrong name or password.",
        (double)atomic_load(&h->logins_failed));
    one(b, "vigia_logins_braked_total", "counter", "Logins refused for too many attempts.",
        (double)(limit_refused(h->addresses) + limit_refused(h->users) +
                 limit_refused(h->strangers)));
    one(b, "vigia_sessions", "gauge", "Sessions.", sessions_count(h->sessions, q->now));
    one(b, "vigia_http_bodies_refused_total", "counter", "Requests with too large a body.",
        (double)atomic_load(&h->too_large));
    one(b, "vigia_http_connections_cut_total", "counter", "Connections cut off for slowness.",
        h->guard ? (double)guard_cut(h->guard) : 0);
    one(b, "vigia_http_connections_refused_total", "counter",
        "Connections refused to a client that had half of all.",
        h->guard ? (double)guard_refused(h->guard) : 0);
    one(b, "vigia_start_time_seconds", "gauge", "Start of the server.", h->started);
}

/* The host a browser was told: a name that was made to point at 127.0.0.1 (DNS rebinding) is not
 * ours. */
static bool host_is_loopback(const char *host)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; host && i < ARRAY_SIZE(names); i++) {
        size_t size = strlen(names[i]);
        if (strncasecmp(host, names[i], size) == 0 && (!host[size] || host[size] == ':'))
            return true;
    }
    return !host;
}

static bool may_read(const struct request *q)
{
    const char *token = q->http->options.metrics_token;
    if (!token || !token[0])
        return q->http->loopback && host_is_loopback(q->host);
    return q->authorization && strncasecmp(q->authorization, "Bearer ", 7) == 0 &&
           session_token_equal(q->authorization + 7, token);
}

int api_metrics(struct request *q)
{
    static const char *const alert_states[] = {"new", "acknowledged", "closed", NULL};
    static const char *const profile_states[] = {"learning", "ready", "drifting", "retired", NULL};
    struct buf b;
    if (!may_read(q)) {
        q->reply.challenge = true;
        return reply_error(q, 401, "token_required",
                           "metrics need the bearer token of server: metrics_token; without one "
                           "they are read as 127.0.0.1 only");
    }
    buf_init(&b, METRICS_MAX);
    int r = ledger(q, &b);
    if (r == 0)
        r = live(q, &b);
    if (r == 0)
        r = containers(q, &b);
    if (r == 0)
        r = by_state(q, &b, STORE_ALERT, "vigia_alerts", "Alerts by state.", alert_states);
    if (r == 0)
        r = by_state(q, &b, STORE_PROFILE, "vigia_profiles", "Workloads by state of their profile.",
                     profile_states);
    if (r == 0)
        r = store(q, &b);
    sinks(q, &b);
    requests(q, &b);
    if (r < 0 || b.error) {
        buf_done(&b);
        return r < 0 ? r : b.error;
    }
    q->reply.status = 200;
    q->reply.size = b.size;
    q->reply.text = (char *)b.data;
    q->reply.type = "text/plain; version=0.0.4; charset=utf-8";
    return 0;
}

int api_healthz(struct request *q)
{
    CLEANUP(json_decrefp) json_t *doc = NULL;
    int r = get_document(q, STORE_STATE, "live", &doc);
    return reply_json(q, r < 0 ? 503 : 200,
                      json_pack("{s:s}", "status", r < 0 ? "the store cannot be read" : "ok"));
}
