/* The queue of the sinks. A delivery is a document STORE_DELIVERY "sink/alert-id/0": {"sink",
 * "alert" (id), "created", "attempts", "reason"}; its time is when it is due. The alert is read
 * when it is sent, so that the receiver gets it as it is by then. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "soc/audit.h"
#include "soc/json.h"
#include "soc/sink.h"

#define DUE_MAX 256
#define DEAD_AFTER_S (3 * 86400.0)

/* ---- what the engine's side commits ---- */

static int delivery_make(const struct sink_options *o, const char *alert_id, double now,
                         struct store_document *ret)
{
    CLEANUP(freep) char *key = NULL;
    if (asprintf(&key, "%s/%s/0", sink_name(o), alert_id) < 0) {
        key = NULL;
        return -ENOMEM;
    }
    json_t *body = json_pack("{s:s, s:s, s:f, s:i}", "sink", sink_name(o), "alert", alert_id,
                             "created", now, "attempts", 0);
    if (!body)
        return -ENOMEM;
    *ret = (struct store_document){
        .kind = STORE_DELIVERY, .key = TAKE(key), .time = now, .body = body};
    return 0;
}

int deliveries_make(const struct sink_options *sinks, uint32_t n, const char *alert_id,
                    const json_t *alert, double told, double now, struct store_document *ret)
{
    int made = 0;
    double score = json_get_number(alert, "score", 0);
    if (json_is_true(json_object_get(alert, "held")))
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        if (score < sinks[i].score_min || told >= sinks[i].score_min)
            continue;
        int r = delivery_make(&sinks[i], alert_id, now, &ret[made]);
        if (r < 0) {
            deliveries_done(ret, (uint32_t)made);
            return r;
        }
        made++;
    }
    return made;
}

void deliveries_done(struct store_document *documents, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free((char *)documents[i].key);
        json_decref(documents[i].body);
    }
}

/* ---- the runner ---- */

struct lane {
    struct sink_runner *runner;
    const struct sink_options *options;
    const struct sink_ops *ops;
    void *sink;
    pthread_t thread;
    bool running;
    atomic_uint_fast64_t sent, retried, refused, dead, queued;
};

struct sink_runner {
    struct store *store; /* its calls wait for each other: one handle for all lanes */
    struct stop stop;
    uint64_t poll_ns;
    uint32_t n;
    struct lane lanes[];
};

static double or_default(double v, double otherwise)
{
    return v > 0 ? v : otherwise;
}

static double wall_s(void)
{
    return (double)clock_wall_ns() / NS_PER_S;
}

/* min * 2^attempts up to max, times 0.5 .. 1.5: receivers that come back are not met by all at
 * once. */
static double back_off(const struct sink_options *o, double attempts)
{
    double delay = fmin(or_default(o->retry_min_s, 1) * exp2(fmin(attempts, 30)),
                        or_default(o->retry_max_s, 600));
    return delay * (0.5 + randombytes_uniform(1000) / 1000.0);
}

/* Given up: taken out of the queue, and written down where people look. The key says which sink. */
static int give_up(struct store *s, const char *key, const char *action, const char *reason)
{
    struct store_document document = {.kind = STORE_DELIVERY, .key = key, .removed = true};
    log_warn("%s: %s: %s", action, key, reason);
    return audit_commit(s, &document, 1, audit_entry(wall_s(), "vigia", "", action, key, reason));
}

static int put_off(struct lane *l, json_t *row, const struct sink_result *result)
{
    double now = wall_s(); /* the receiver counts from its answer */
    const char *key = json_get_string(row, "key", "");
    double created = json_get_number(row, "created", now);
    double attempts = json_get_number(row, "attempts", 0);
    double delay =
        result->retry_after_s > 0 ? result->retry_after_s : back_off(l->options, attempts);
    if (now - created > or_default(l->options->dead_after_s, DEAD_AFTER_S)) {
        atomic_fetch_add(&l->dead, 1);
        return give_up(l->runner->store, key, "delivery given up", result->reason);
    }
    if (attempts == 0)
        log_warn("sink \"%s\": delivery %s failed, and is tried again: %s", sink_name(l->options),
                 key, result->reason);
    atomic_fetch_add(&l->retried, 1);
    /* A document that is merged keeps its first time: put it anew, with the time when it is due. */
    CLEANUP(json_decrefp) json_t *body = json_copy(row);
    json_object_del(body, "key");
    json_object_del(body, "time");
    json_object_set_new(body, "created", json_real(created));
    json_object_set_new(body, "attempts", json_integer((json_int_t)attempts + 1));
    json_object_set_new(body, "reason", json_text(result->reason));
    struct store_document document = {
        .kind = STORE_DELIVERY, .key = key, .time = now + delay, .body = body};
    return store_put(l->runner->store, &document);
}

static int deliver(struct lane *l, json_t *row)
{
    const char *key = json_get_string(row, "key", "");
    const char *alert_id = json_get_string(row, "alert", "");
    double now = wall_s();
    CLEANUP(json_decrefp) json_t *alert = NULL;
    int r = store_get(l->runner->store, STORE_ALERT, alert_id, &alert, NULL, NULL);
    if (r == -ENOENT) {
        atomic_fetch_add(&l->refused, 1);
        return give_up(l->runner->store, key, "delivery dropped",
                       "the alert is not there any more");
    }
    if (r < 0)
        return r;
    json_object_set_new(alert, "id", json_string(alert_id));
    json_object_del(alert, "key");
    json_object_del(alert, "time");
    struct sink_delivery delivery = {.id = key, .time = now, .alert = alert};
    struct sink_result result = {0};
    l->ops->send(l->sink, &delivery, &result);
    switch (result.outcome) {
    case SINK_SENT:
        r = store_put(l->runner->store, &(struct store_document){
                                            .kind = STORE_DELIVERY, .key = key, .removed = true});
        if (r == 0)
            atomic_fetch_add(&l->sent, 1);
        return r;
    case SINK_REFUSED:
        atomic_fetch_add(&l->refused, 1);
        return give_up(l->runner->store, key, "delivery dropped", result.reason);
    default:
        return put_off(l, row, &result);
    }
}

/* The deliveries that are due, oldest first, and how many there are in all. */
static int due(struct lane *l, const char *prefix, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *none = NULL;
    uint64_t queued;
    struct store_query all = {.kind = STORE_DELIVERY, .prefix = prefix, .limit = 1};
    int r = store_find(l->runner->store, &all, &none, &queued);
    if (r < 0)
        return r;
    atomic_store(&l->queued, queued);
    struct store_query query = {.kind = STORE_DELIVERY,
                                .prefix = prefix,
                                .until = wall_s(),
                                .limit = DUE_MAX,
                                .oldest_first = true};
    return store_find(l->runner->store, &query, ret, NULL);
}

static void *run(void *argument)
{
    struct lane *l = argument;
    char prefix[SINK_NAME_MAX + 2];
    snprintf(prefix, sizeof(prefix), "%s/", sink_name(l->options));
    do {
        CLEANUP(json_decrefp) json_t *rows = NULL;
        json_t *row;
        size_t i;
        if (due(l, prefix, &rows) < 0)
            continue;
        json_array_foreach (rows, i, row) {
            if (stop_wait(&l->runner->stop, 0) || deliver(l, row) < 0)
                break;
        }
    } while (!stop_wait(&l->runner->stop, l->runner->poll_ns));
    return NULL;
}

static int lane_start(struct lane *l, struct sink_runner *r, const struct sink_options *o)
{
    l->runner = r;
    l->options = o;
    l->ops = sink_find(o->type);
    int status = l->ops->open(o, &l->sink);
    if (status < 0) {
        log_error("sink \"%s\": cannot be opened: %s", sink_name(o), strerror(-status));
        return status;
    }
    status = pthread_create(&l->thread, NULL, run, l);
    if (status)
        l->ops->close(l->sink);
    else
        l->running = true;
    return -status;
}

static bool has_sink(const struct sink_runner_options *o, const char *name)
{
    for (uint32_t i = 0; i < o->n_sinks; i++) {
        if (strcmp(sink_name(&o->sinks[i]), name) == 0)
            return true;
    }
    return false;
}

/* What waits for a sink that is not configured: removed, renamed, or left out for a while. */
static void look_after(const struct sink_runner_options *o, struct store *s)
{
    struct store_query all = {.kind = STORE_DELIVERY};
    CLEANUP(json_decrefp) json_t *rows = NULL;
    json_t *row;
    size_t i, waiting = 0;
    const char *sink = "";
    double now = wall_s();
    if (store_find_all(s, all, 0, &rows, NULL) < 0)
        return;
    json_array_foreach (rows, i, row) {
        if (has_sink(o, json_get_string(row, "sink", "")))
            continue;
        if (now - json_get_number(row, "created", now) > DEAD_AFTER_S) {
            give_up(s, json_get_string(row, "key", ""), "delivery given up",
                    "its sink is not configured any more");
            continue;
        }
        waiting++;
        sink = json_get_string(row, "sink", "");
    }
    if (waiting)
        log_warn("%zu deliver%s for sinks that are not configured (\"%s\"): a start within three "
                 "days that has them sends %s, a later one gives up",
                 waiting, waiting == 1 ? "y waits" : "ies wait", sink,
                 waiting == 1 ? "it" : "them");
}

DEFINE_CLEANUP(sink_runner_stop, struct sink_runner *)

int sink_runner_start(const struct sink_runner_options *options, struct sink_runner **ret)
{
    int status = sinks_check(options->sinks, options->n_sinks);
    if (status < 0)
        return status;
    CLEANUP(sink_runner_stopp)
    struct sink_runner *r = calloc(1, sizeof(*r) + options->n_sinks * sizeof(r->lanes[0]));
    if (!r)
        return -ENOMEM;
    stop_init(&r->stop);
    r->poll_ns = (uint64_t)(or_default(options->poll_s, 0.5) * NS_PER_S);
    struct store_options store = {.path = options->store_path};
    status = store_open(options->store, &store, &r->store);
    if (status == 0)
        look_after(options, r->store);
    for (; status == 0 && r->n < options->n_sinks; r->n++)
        status = lane_start(&r->lanes[r->n], r, &options->sinks[r->n]);
    if (status < 0)
        return status;
    *ret = TAKE(r);
    return 0;
}

void sink_runner_stop(struct sink_runner *r)
{
    if (!r)
        return;
    stop_set(&r->stop);
    for (uint32_t i = 0; i < r->n; i++) {
        if (!r->lanes[i].running)
            continue;
        pthread_join(r->lanes[i].thread, NULL);
        r->lanes[i].ops->close(r->lanes[i].sink);
    }
    store_close(r->store);
    stop_done(&r->stop);
    free(r);
}

uint32_t sink_runner_stats(struct sink_runner *r, struct sink_stats *ret, uint32_t max)
{
    uint32_t n = r->n < max ? r->n : max;
    for (uint32_t i = 0; i < n; i++) {
        struct lane *l = &r->lanes[i];
        ret[i] = (struct sink_stats){
            .name = sink_name(l->options),
            .type = l->ops->name,
            .sent = atomic_load(&l->sent),
            .retried = atomic_load(&l->retried),
            .refused = atomic_load(&l->refused),
            .dead = atomic_load(&l->dead),
            .queued = atomic_load(&l->queued),
        };
    }
    return n;
}
