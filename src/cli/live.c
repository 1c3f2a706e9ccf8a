#include "cli/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

#define RATES_MAX 300 /* seconds shown */
#define DELAYS_MAX 256

struct live {
    struct agent *agent;
    double started;
    struct {
        int64_t second;
        uint64_t calls, windows;
    } rates[RATES_MAX];        /* by wall second, at second % RATES_MAX */
    double delays[DELAYS_MAX]; /* s from a block's first call to its commit; the latest */
    uint32_t n_delays;
    double alert_delays[DELAYS_MAX]; /* s from the first strange call to its alert */
    uint32_t n_alert_delays;
    double cpu_s, cpu_at; /* of this process at the last document */
    double lag_s;
};

int live_new(struct live **ret)
{
    struct live *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->started = (double)clock_wall_ns() / 1e9;
    *ret = l;
    return 0;
}

void live_free(struct live *l)
{
    free(l);
}

void live_set_agent(struct live *l, struct agent *agent)
{
    l->agent = agent;
}

static void rate_add(struct live *l, int64_t second, uint64_t calls, uint64_t windows)
{
    typeof(&l->rates[0]) r = &l->rates[(uint64_t)second % RATES_MAX];
    if (r->second > second)
        return; /* older than what is shown */
    if (r->second != second)
        *r = (typeof(*r)){.second = second};
    r->calls += calls;
    r->windows += windows;
}

void live_block(struct live *l, const struct block *b, const struct engine_output *o, double now)
{
    for (uint32_t i = 0; i < b->n_bins; i++) {
        uint64_t calls = 0;
        for (uint32_t k = 0; k < b->bins[i].n_counts; k++)
            calls += b->bins[i].counts[k].calls;
        rate_add(l, (int64_t)block_wall_s(b, b->bins[i].second * NS_PER_S), calls, 0);
    }
    rate_add(l, (int64_t)block_wall_s(b, b->until_ns), 0, b->n_windows);
    l->lag_s = now - block_wall_s(b, b->until_ns);
    if (b->n_windows) {
        uint64_t first_ns = UINT64_MAX;
        for (uint32_t i = 0; i < b->n_windows; i++)
            first_ns = MIN(first_ns, b->windows[i].first_ns);
        l->delays[l->n_delays++ % DELAYS_MAX] = now - block_wall_s(b, first_ns);
    }
    for (uint32_t i = 0; i < o->n_alerts; i++) {
        const struct alert *a = o->alerts[i].alert;
        if (o->alerts[i].change == ALERT_OPENED)
            l->alert_delays[l->n_alert_delays++ % DELAYS_MAX] = a->latency_s;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static json_t *quantiles(const double *values, uint32_t n)
{
    double sorted[DELAYS_MAX];
    n = MIN(n, DELAYS_MAX);
    if (n == 0)
        return json_pack("{s:n, s:n, s:i}", "p50_s", "p99_s", "n", 0);
    memcpy(sorted, values, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_value);
    return json_pack("{s:f, s:f, s:i}", "p50_s", sorted[n / 2], "p99_s",
                     sorted[(uint32_t)(0.99 * (n - 1) + 0.5)], "n", (int)n);
}

static json_t *rates(const struct live *l, double now)
{
    json_t *array = json_array();
    for (int64_t second = (int64_t)now - RATES_MAX + 1; second < (int64_t)now; second++) {
        typeof(&l->rates[0]) r = &l->rates[(uint64_t)second % RATES_MAX];
        if ((double)second >= l->started - 1)
            json_array_append_new(array,
                                  json_pack("{s:I, s:I}", "time", (json_int_t)second, "calls",
                                            (json_int_t)(r->second == second ? r->calls : 0)));
    }
    return array;
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    CLEANUP(fclosep) FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%*u %lu", &pages) != 1)
        return 0;
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static json_t *agent_json(struct live *l, const struct documents_totals *totals, double now)
{
    struct agent_stats s = {0};
    struct agent *agent = l->agent;
    if (agent)
        agent_get_stats(agent, &s);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    double share = l->cpu_at > 0 && now > l->cpu_at ? (cpu_s - l->cpu_s) / (now - l->cpu_at) : 0;
    l->cpu_s = cpu_s;
    l->cpu_at = now;
    char capture[20];
    snprintf(capture, sizeof(capture), "%016llx", (unsigned long long)s.capture.capture_id);
    const struct capture_stats *t = &s.capture;
    json_t *refused =
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "containers", (json_int_t)t->refused_containers,
                  "threads", (json_int_t)t->refused_threads, "processes",
                  (json_int_t)(t->refused_processes + totals->refused_processes), "texts",
                  (json_int_t)t->refused_texts, "bins", (json_int_t)t->refused_bins);
    json_t *max = json_pack("{s:I, s:I, s:I, s:I}", "containers", (json_int_t)t->containers_max,
                            "threads", (json_int_t)t->threads_max, "processes",
                            (json_int_t)t->processes_max, "texts", (json_int_t)t->texts_max);
    return json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:f, s:f, s:i}",
                     "capture", capture, "cpus", (json_int_t)t->cpus, "ring_bytes",
                     (json_int_t)t->ring_bytes, "ring_fill", t->ring_fill_max, "containers",
                     (json_int_t)t->containers, "threads", (json_int_t)t->threads, "processes",
                     (json_int_t)t->processes, "texts", (json_int_t)t->texts, "max", max, "refused",
                     refused, "retries", (json_int_t)s.retries, "cpu_share", share, "rss_bytes",
                     resident_bytes(), "error", s.error);
}

static json_t *spool_json(struct spool *spool)
{
    struct spool_stats s;
    spool_get_stats(spool, &s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "first",
                     (json_int_t)s.first_sequence, "last", (json_int_t)s.last_sequence,
                     "acknowledged", (json_int_t)s.acknowledged, "size_bytes",
                     (json_int_t)s.size_bytes, "segments", (json_int_t)s.segments, "written_bytes",
                     (json_int_t)s.bytes_written, "blocks_lost", (json_int_t)s.blocks_lost,
                     "blocks_corrupt", (json_int_t)s.blocks_corrupt, "write_errors",
                     (json_int_t)s.write_errors, "degraded", s.degraded);
}

static json_t *engine_json(const struct live *l, const struct engine *engine)
{
    struct engine_counters c;
    engine_counters(engine, &c);
    return json_pack(
        "{s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I}}", "windows",
        (json_int_t)c.windows, "calls", (json_int_t)c.calls, "anomalies", (json_int_t)c.anomalies,
        "lag_s", l->lag_s, "profiles", (json_int_t)c.profiles, "alerts_open",
        (json_int_t)c.alerts_open, "suppressed", (json_int_t)c.suppressed, "refused", "containers",
        (json_int_t)c.refused_containers, "processes", (json_int_t)c.refused_processes, "texts",
        (json_int_t)c.refused_texts, "profiles", (json_int_t)c.refused_profiles, "alerts",
        (json_int_t)c.refused_alerts, "learning", (json_int_t)c.refused_learning);
}

void live_document(struct live *l, const struct engine *engine, const struct documents *documents,
                   struct spool *spool, double now, struct batch *ret)
{
    static const char *const levels[] = {"full", "no arguments", "bins only"};
    struct documents_totals totals;
    documents_get_totals(documents, &totals);
    struct agent *agent = l->agent;
    struct agent_stats s = {0};
    if (agent)
        agent_get_stats(agent, &s);
    uint64_t calls = 0, windows = 0; /* of the last whole second */
    int64_t second = (int64_t)now - 1;
    typeof(&l->rates[0]) last = &l->rates[(uint64_t)second % RATES_MAX];
    if (last->second == second)
        calls = last->calls, windows = last->windows;
    json_t *body =
        json_pack("{s:i, s:s, s:s, s:f, s:I, s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "pid",
                  (int)getpid(), "version", VIGIA_VERSION, "mode", agent ? "live" : "replay",
                  "started", l->started, "calls_per_s", (json_int_t)calls, "windows_per_s",
                  (json_int_t)windows, "latency", quantiles(l->delays, l->n_delays),
                  "alert_latency", quantiles(l->alert_delays, l->n_alert_delays), "level",
                  levels[s.level], "agent", agent_json(l, &totals, now), "spool", spool_json(spool),
                  "engine", engine_json(l, engine), "rates", rates(l, now));
    batch_document(ret, STORE_STATE, "live", now, body, false);
}
