#include "cli/pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/batch.h"
#include "cli/decisions.h"
#include "cli/documents.h"
#include "cli/live.h"
#include "cli/snapshot.h"
#include "soc/explain.h"
#include "soc/sink.h"
#include "transport/broker.h"

/* The state is saved every minute; where that takes long, so much less often that it takes a 500th
 * of the time, up to five minutes: the blocks since are in the spool, and go through the engine
 * again before the next start captures. */
#define SNAPSHOT_INTERVAL_NS (60 * NS_PER_S)
#define SNAPSHOT_INTERVAL_MAX_NS (300 * NS_PER_S)
#define SNAPSHOT_SHARE 500
#define LIVE_INTERVAL_NS NS_PER_S
#define RETRY_MAX_MS 2000

struct pipeline {
    pthread_t thread;
    bool started;
    atomic_bool stop;
    const struct config *config;
    struct spool *spool;
    struct store *store;
    struct engine *engine;
    struct documents *documents;
    struct decisions *decisions;
    struct live *live;
    const struct broker_ops *broker_ops;
    struct broker *broker;
    uint8_t spool_uuid[16];
    uint64_t sequence; /* of the last block that was committed */
    uint64_t snapshot_ns, live_ns;
    uint64_t snapshot_took_ns;
    struct sink_options sinks[SINKS_MAX];
    uint32_t n_sinks;
    atomic_int error; /* what ended the thread */
};

static void engine_configure(const struct config *config, struct engine_options *ret)
{
    engine_options_default(ret);
    ret->profile.ready_active_s = config->learning.ready_active_s;
    ret->profile.ready_quiet_s = config->learning.ready_quiet_s;
    ret->profile.ready_starts = config->learning.ready_starts;
    ret->profile.startup_max_s = config->learning.startup_max_s;
    ret->profile.startup_quiet_s = config->learning.startup_quiet_s;
    ret->profile.alerts_per_day = config->detection.alerts_per_day;
    if (config->detection.n_detectors)
        ret->profile.detectors = (const char *const *)config->detection.detectors;
}

/* ---- the state between runs ---- */

static void snapshot(struct pipeline *p, struct batch *batch)
{
    uint64_t start_ns = clock_mono_ns();
    int r = snapshot_pack(p->engine, &batch->blob);
    p->snapshot_ns = clock_mono_ns();
    p->snapshot_took_ns = p->snapshot_ns - start_ns;
    if (r < 0) {
        log_error("cannot save the state of the detection: %s", strerror(-r));
        return;
    }
    struct store_document *d =
        batch_document(batch, STORE_STATE, "engine", (double)clock_wall_ns() / 1e9,
                       json_pack("{s:I, s:O}", "sequence", (json_int_t)p->sequence, "suppressions",
                                 decisions_suppressions(p->decisions)),
                       false);
    if (d) {
        d->blob = batch->blob.data;
        d->blob_size = batch->blob.size;
    }
}

/* Gives the engine again what it saw after its snapshot, with the suppressions of then; the store
 * has its results already. */
static int catch_up(struct pipeline *p, uint64_t from, uint64_t acknowledged)
{
    struct engine_output output;
    while (from < acknowledged) {
        struct block *b = NULL;
        int r = spool_read(p->spool, from + 1, 0, &b);
        if (r == -ETIMEDOUT)
            break;
        if (r < 0)
            return r;
        from = b->sequence;
        if (from <= acknowledged)
            r = engine_block(p->engine, b, &output);
        block_free(b);
        if (r < 0)
            return r;
    }
    return 0;
}

/* An engine that begins anew does not know the alerts that were going on: they have ended. */
static int end_alerts(struct pipeline *p)
{
    struct store_query query = {
        .kind = STORE_ALERT, .where = {{"open", "true"}}, .limit = 10000, .brief = true};
    CLEANUP(batch_done) struct batch batch;
    json_t *rows = NULL, *row;
    size_t i;
    int r = store_find(p->store, &query, &rows, NULL);
    if (r < 0)
        return r;
    batch_init(&batch);
    json_array_foreach (rows, i, row)
        batch_document(&batch, STORE_ALERT, json_string_value(json_object_get(row, "key")), 0,
                       json_pack("{s:b}", "open", 0), true);
    json_decref(rows);
    return batch.error ? batch.error : store_commit(p->store, &batch.store);
}

static int engine_take_up(struct pipeline *p)
{
    struct engine_options options;
    engine_configure(p->config, &options);
    uint64_t acknowledged = 0, from = 0;
    CLEANUP(freep) void *blob = NULL;
    size_t size = 0;
    CLEANUP(json_decrefp) json_t *body = NULL;
    const json_t *suppressions = NULL;
    int r = store_acknowledged(p->store, p->spool_uuid, &acknowledged);
    if (r < 0)
        return r;
    r = store_get(p->store, STORE_STATE, "engine", &body, &blob, &size);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 0) {
        from = (uint64_t)json_integer_value(json_object_get(body, "sequence"));
        suppressions = json_object_get(body, "suppressions");
        r = snapshot_unpack(blob, size, &options, &p->engine);
        if (r < 0)
            log_warn("the saved state of the detection is of another version or other detectors "
                     "(%s): workloads learn anew",
                     strerror(-r));
    }
    if (!p->engine) {
        from = 0;
        suppressions = NULL;
        r = engine_new(&options, &p->engine);
        if (r == 0)
            r = end_alerts(p);
    }
    if (r == 0)
        r = decisions_new(p->store, p->engine, suppressions, &p->decisions);
    if (r == 0)
        r = catch_up(p, from, acknowledged);
    if (r == 0)
        p->snapshot_ns = decisions_suppress(p->decisions) ? 0 : clock_mono_ns();
    p->sequence = acknowledged;
    spool_acknowledge(p->spool, acknowledged);
    return r;
}

/* ---- one block ---- */

/* A commit that fails is made again: the engine has moved on, and the block stays unacknowledged.
 */
static int commit(struct pipeline *p, struct batch *batch)
{
    if (batch->error)
        return batch->error;
    bool logged = false;
    for (unsigned wait_ms = 50;; wait_ms = MIN(wait_ms * 2, RETRY_MAX_MS)) {
        int r = store_commit(p->store, &batch->store);
        if (r == 0 && logged)
            log_info("the store accepts commits again");
        if (r == 0 || (r != -EBUSY && r != -ENOSPC && r != -EIO))
            return r;
        if (!logged)
            log_warn("the store refuses commits (%s): trying again, blocks wait in the spool",
                     strerror(-r));
        logged = true;
        if (atomic_load(&p->stop))
            return r;
        usleep(wait_ms * 1000);
    }
}

/* What is due by the clock goes into the next commit. */
static void due(struct pipeline *p, struct batch *batch)
{
    uint64_t now_ns = clock_mono_ns();
    double now = (double)clock_wall_ns() / 1e9;
    if (now_ns - p->live_ns >= LIVE_INTERVAL_NS) {
        /* Decisions are not in the blocks: what they changed is saved at once. */
        if (decisions_apply(p->decisions, batch) > 0)
            p->snapshot_ns = 0;
        documents_containers(p->documents, now, batch);
        live_document(p->live, p->engine, p->documents, p->spool, now, batch);
        p->live_ns = now_ns;
    }
    uint64_t share_ns = p->snapshot_took_ns * SNAPSHOT_SHARE;
    uint64_t interval_ns = MIN(MAX(SNAPSHOT_INTERVAL_NS, share_ns), SNAPSHOT_INTERVAL_MAX_NS);
    if (!p->snapshot_ns || now_ns - p->snapshot_ns >= interval_ns)
        snapshot(p, batch);
}

/* Deliveries are queued in the commit that makes the alert, or takes it over a sink's score_min. */
static void deliveries(struct pipeline *p, const struct engine_output *o, double now,
                       struct batch *batch)
{
    for (uint32_t i = 0; i < o->n_alerts; i++) {
        const struct alert *a = o->alerts[i].alert;
        if (a->score <= o->alerts[i].told)
            continue;
        struct store_document made[SINKS_MAX];
        json_t *alert = explain_alert(a);
        int n = deliveries_make(p->sinks, p->n_sinks, a->id, alert, o->alerts[i].told, now, made);
        for (int k = 0; k < n; k++)
            batch_document(batch, made[k].kind, made[k].key, made[k].time,
                           json_incref(made[k].body), false);
        if (n > 0)
            deliveries_done(made, (uint32_t)n);
        if (n < 0)
            batch->error = n;
        json_decref(alert);
    }
}

static int step(struct pipeline *p, const struct block *b)
{
    CLEANUP(batch_done) struct batch batch;
    batch_init(&batch);
    struct engine_output output;
    int r = engine_block(p->engine, b, &output);
    if (r < 0) {
        log_error("cannot score block %llu: %s", (unsigned long long)b->sequence, strerror(-r));
        return r;
    }
    double now = (double)clock_wall_ns() / 1e9;
    documents_block(p->documents, b, &batch);
    documents_output(p->documents, &output, now, &batch);
    deliveries(p, &output, now, &batch);
    live_block(p->live, b, &output, now);
    p->sequence = b->sequence;
    due(p, &batch);
    batch.store.spool = p->spool_uuid;
    batch.store.sequence = b->sequence;
    r = commit(p, &batch);
    if (r < 0) {
        log_error("cannot commit block %llu: %s", (unsigned long long)b->sequence, strerror(-r));
        return r;
    }
    return p->broker_ops->acknowledge(p->broker, b);
}

static int idle(struct pipeline *p)
{
    CLEANUP(batch_done) struct batch batch;
    batch_init(&batch);
    due(p, &batch);
    return batch.store.n_documents ? commit(p, &batch) : 0;
}

static int next(struct pipeline *p, int timeout_ms)
{
    struct block *b = NULL;
    int r = p->broker_ops->next(p->broker, timeout_ms, &b);
    if (r < 0)
        return r;
    r = step(p, b);
    block_free(b);
    return r;
}

int pipeline_drain(struct pipeline *p)
{
    int r;
    do {
        r = next(p, 0);
    } while (r == 0);
    return r == -ETIMEDOUT ? 0 : r;
}

static void *run(void *arg)
{
    struct pipeline *p = arg;
    int r = 0;
    pthread_setname_np(pthread_self(), "pipeline");
    while (r == 0 && !atomic_load(&p->stop)) {
        r = next(p, 250);
        if (r == -ETIMEDOUT)
            r = idle(p);
    }
    /* The engine is past what the store has: only a restart puts them together again. */
    if (r < 0)
        atomic_store(&p->error, r);
    return NULL;
}

int pipeline_open(const struct pipeline_options *options, struct pipeline **ret)
{
    CLEANUP(pipeline_closep) struct pipeline *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->config = options->config;
    p->spool = options->spool;
    p->n_sinks = config_sinks(p->config, p->sinks);
    spool_uuid(p->spool, p->spool_uuid);
    CLEANUP(freep) char *path = config_path(p->config, "vigia.db");
    if (!path)
        return -ENOMEM;
    struct store_options store = {.path = path};
    int r = store_open(NULL, &store, &p->store);
    if (r == 0)
        r = engine_take_up(p);
    if (r == 0)
        r = documents_new(p->engine, p->store, &p->documents);
    if (r == 0)
        r = live_new(&p->live);
    if (r < 0)
        return r;
    struct broker_options broker = {.spool = p->spool, .after_sequence = p->sequence};
    p->broker_ops = broker_find("local");
    r = p->broker_ops->open(&broker, &p->broker);
    if (r < 0)
        return r;
    *ret = TAKE(p);
    return 0;
}

int pipeline_start(struct pipeline *p)
{
    int r = -pthread_create(&p->thread, NULL, run, p);
    p->started = r == 0;
    return r;
}

int pipeline_error(struct pipeline *p)
{
    return atomic_load(&p->error);
}

void pipeline_set_agent(struct pipeline *p, struct agent *agent)
{
    live_set_agent(p->live, agent);
}

int pipeline_stop(struct pipeline *p)
{
    atomic_store(&p->stop, true);
    if (p->started)
        pthread_join(p->thread, NULL);
    p->started = false;
    int r = atomic_load(&p->error);
    if (r == 0)
        r = pipeline_drain(p);
    if (r < 0)
        return r;
    CLEANUP(batch_done) struct batch batch;
    batch_init(&batch);
    p->live_ns = p->snapshot_ns = 0;
    due(p, &batch);
    return commit(p, &batch);
}

void pipeline_close(struct pipeline *p)
{
    if (p->broker)
        p->broker_ops->close(p->broker);
    if (p->live)
        live_free(p->live);
    if (p->documents)
        documents_free(p->documents);
    if (p->decisions)
        decisions_free(p->decisions);
    if (p->engine)
        engine_free(p->engine);
    store_close(p->store);
    free(p);
}
