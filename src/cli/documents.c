#include "cli/documents.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/log.h"
#include "base/utf8.h"
#include "soc/explain.h"
#include "soc/json.h"

/* A burst of short-lived processes must not turn into as many rows: the rest is counted. */
#define PROCESSES_PER_BLOCK_MAX 256
#define COUNTS_MAX 32768 /* containers with ledger counts in memory */

/* Ledger counts of one container, since its capture began. */
struct count {
    struct {
        uint64_t capture, container;
    } key;
    struct ledger_count total;
    uint64_t calls_before; /* at the last documents_containers() */
    double time_before;
    bool active; /* had a rate then: one more update brings it to zero */
    UT_hash_handle hh;
};

struct documents {
    const struct engine *engine;
    struct store *store;
    struct count *counts;
    uint64_t capture; /* of the block before */
    struct documents_totals totals;
};

/* Before a block: what the one before counted is in the store now. */
static void counts_trim(struct documents *d)
{
    while (HASH_COUNT(d->counts) > COUNTS_MAX) {
        struct count *oldest = d->counts; /* the longest without a call */
        HASH_DEL(d->counts, oldest);
        free(oldest);
    }
}

/* The container's counts, from the store where it has some: the ledger goes on over a restart. */
static int count_of(struct documents *d, uint64_t capture, uint32_t container, struct count **ret)
{
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    struct count *c = NULL;
    typeof(c->key) key = {capture, container};
    HASH_FIND(hh, d->counts, &key, sizeof(key), c);
    if (c) {
        HASH_DEL(d->counts, c); /* to the end: used last */
    } else {
        char name[STORE_KEY_MAX];
        store_container_key(capture, container, name);
        int r = store_ledger(d->store, NULL, name, &rows);
        c = r == 0 ? calloc(1, sizeof(*c)) : NULL;
        if (!c)
            return r < 0 ? r : -ENOMEM;
        c->key = key;
        if (rows.n)
            c->total = rows.ledger[0].count;
        c->calls_before = c->total.seen;
    }
    HASH_ADD(hh, d->counts, key, sizeof(c->key), c);
    *ret = c;
    return 0;
}

static void ledger_add(struct documents *d, uint64_t capture, const struct ledger_count *l,
                       double time, struct batch *ret)
{
    struct count *c;
    int r = count_of(d, capture, l->container, &c);
    if (r < 0) {
        ret->error = r;
        return;
    }
    c->total.seen += l->seen;
    c->total.delivered += l->delivered;
    for (int i = 0; i < DROP_REASONS; i++)
        c->total.dropped[i] += l->dropped[i];
    char key[STORE_KEY_MAX];
    store_container_key(capture, l->container, key);
    batch_document(ret, STORE_LEDGER, key, time, store_ledger_body(&c->total), false);
}

int documents_new(const struct engine *engine, struct store *store, struct documents **ret)
{
    CLEANUP(documents_freep) struct documents *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->engine = engine;
    d->store = store;
    *ret = TAKE(d);
    return 0;
}

void documents_free(struct documents *d)
{
    struct count *c, *next;
    HASH_ITER(hh, d->counts, c, next)
    {
        HASH_DEL(d->counts, c);
        free(c);
    }
    free(d);
}

static void process_document(struct documents *d, const struct block *b, const struct process *p,
                             struct batch *ret)
{
    char key[STORE_KEY_MAX], container[STORE_KEY_MAX], parent[STORE_KEY_MAX];
    double time = block_wall_s(b, p->time_ns);
    snprintf(key, sizeof(key), "%016" PRIx64 "-%" PRIu32 "-%" PRIu64, b->capture, p->tgid,
             p->start_ns);
    if (p->event == PROCESS_EXIT) {
        batch_document(ret, STORE_PROCESS, key, time,
                       json_pack("{s:f, s:i}", "last", time, "exit_code", p->exit_code), true);
        return;
    }
    snprintf(parent, sizeof(parent), "%016" PRIx64 "-%" PRIu32 "-%" PRIu64, b->capture,
             p->parent_tgid, p->parent_start_ns);
    store_container_key(b->capture, p->container, container);
    const char *program = engine_text(d->engine, p->program);
    json_t *body = json_pack("{s:s, s:I, s:I, s:s, s:f, s:o, s:i}", "container", container, "tgid",
                             (json_int_t)p->tgid, "parent_tgid", (json_int_t)p->parent_tgid,
                             "parent", parent, "first", block_wall_s(b, p->start_ns), "program",
                             json_text(program ? program : p->path), "flags", p->flags);
    if (body && p->event != PROCESS_FORK && *p->path) {
        json_object_set_new(body, "path", json_text(p->path));
        json_object_set_new(body, "arguments", json_text(p->arguments));
    }
    batch_document(ret, STORE_PROCESS, key, time, body, true);
}

static void texts(const struct block *b, struct batch *ret)
{
    double time = block_wall_s(b, b->until_ns);
    for (uint32_t i = 0; i < b->n_texts; i++) {
        const struct text *t = &b->texts[i];
        char key[STORE_KEY_MAX];
        store_text_key(t->id, key);
        batch_document(ret, STORE_TEXT, key, time,
                       json_pack("{s:s, s:s, s:o}", "kind", text_kind_name(t->kind), "access",
                                 text_access_name(t->access), "text", json_text(t->text)),
                       false);
    }
}

static void blinds(const struct block *b, struct batch *ret)
{
    for (uint32_t i = 0; i < b->n_blinds; i++) {
        const struct blind *x = &b->blinds[i];
        char key[STORE_KEY_MAX];
        snprintf(key, sizeof(key), "%016" PRIx64 "-%" PRIu64, b->capture, x->first_ns);
        double from = block_wall_s(b, x->first_ns);
        batch_document(ret, STORE_BLIND, key, from,
                       json_pack("{s:f, s:f, s:o}", "from", from, "until",
                                 block_wall_s(b, x->last_ns), "reason", json_text(x->reason)),
                       false);
    }
}

static json_t *labels_json(const struct container *c)
{
    json_t *labels = json_object();
    for (uint32_t i = 0; i < c->n_labels; i++) {
        CLEANUP(freep) char *key = utf8_copy(c->labels[i].key, strlen(c->labels[i].key));
        if (key)
            json_object_set_new(labels, key, json_text(c->labels[i].value));
    }
    return labels;
}

/* What an alert says of its container, and all the rest; in wall time. */
static json_t *container_body(const struct block *b, const struct container *c)
{
    static const char *const states[] = {[CONTAINER_UNRESOLVED] = "unresolved",
                                         [CONTAINER_RUNNING] = "running",
                                         [CONTAINER_GONE] = "gone"};
    char capture[20];
    snprintf(capture, sizeof(capture), "%016" PRIx64, b->capture);
    json_t *body = explain_container(c, b->capture, b->node);
    json_t *rest = json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:b, s:b, s:b, s:f, s:o, s:o}", "capture",
        capture, "number", (json_int_t)c->number, "runtime", json_text(c->runtime), "version",
        json_text(c->version), "owner", json_text(c->owner), "command", json_text(c->command),
        "workload", json_text(c->workload), "state", states[MIN(c->state, ARRAY_SIZE(states) - 1)],
        "reason", json_text(c->reason), "wanted", (int)c->wanted, "attached", (int)c->attached,
        "sandbox", (int)c->sandbox, "born", block_wall_s(b, c->born_ns), "gone",
        c->gone_ns ? json_real(block_wall_s(b, c->gone_ns)) : json_null(), "labels",
        labels_json(c));
    if (body && rest)
        json_object_update(body, rest);
    json_decref(rest);
    return body;
}

/* A new capture numbers the containers anew: those of the node's captures before it have ended. */
static void end_containers(struct documents *d, const struct block *b, const char *state,
                           struct batch *ret)
{
    struct store_query query = {
        .kind = STORE_CONTAINER, .limit = 10000, .where = {{"state", state}, {"node", b->node}}};
    json_t *rows = NULL, *row;
    size_t i;
    if (store_find(d->store, &query, &rows, NULL) < 0)
        return;
    json_array_foreach (rows, i, row) {
        const char *key = json_string_value(json_object_get(row, "key"));
        uint64_t capture;
        uint32_t number;
        double until = block_wall_s(b, b->from_ns);
        if (store_container_parse(key, &capture, &number) == 0 && capture != b->capture)
            batch_document(
                ret, STORE_CONTAINER, key, until,
                json_pack("{s:s, s:f, s:f}", "state", "gone", "gone", until, "calls_per_s", 0.0),
                true);
    }
    json_decref(rows);
}

void documents_block(struct documents *d, const struct block *b, struct batch *ret)
{
    char key[STORE_KEY_MAX];
    counts_trim(d);
    if (d->capture != b->capture) {
        end_containers(d, b, "running", ret);
        end_containers(d, b, "unresolved", ret);
        d->capture = b->capture;
    }
    for (uint32_t i = 0; i < b->n_containers; i++) {
        const struct container *c = &b->containers[i];
        store_container_key(b->capture, c->number, key);
        batch_document(ret, STORE_CONTAINER, key, block_wall_s(b, c->born_ns), container_body(b, c),
                       true);
    }
    texts(b, ret);
    for (uint32_t i = 0; i < b->n_processes; i++) {
        if (i < PROCESSES_PER_BLOCK_MAX)
            process_document(d, b, &b->processes[i], ret);
        else
            d->totals.refused_processes++;
    }
    blinds(b, ret);
    for (uint32_t i = 0; i < b->n_bins; i++) {
        struct store_bin bin = {.capture = b->capture,
                                .bin = &b->bins[i],
                                .time = block_wall_s(b, b->bins[i].second * 1000000000)};
        batch_bin(ret, &bin);
    }
    for (uint32_t i = 0; i < b->n_ledger; i++)
        ledger_add(d, b->capture, &b->ledger[i], block_wall_s(b, b->until_ns), ret);
}

static void profile_document(struct documents *d, const struct profile *p, double now,
                             struct batch *ret)
{
    struct profile_status status;
    profile_status(p, &status);
    batch_document(ret, STORE_PROFILE, status.workload, now, explain_profile(d->engine, p, now),
                   true);
}

static void alert_document(const struct engine_alert *c, struct batch *ret)
{
    json_t *body = explain_alert(c->alert);
    /* What people decided about it is theirs: only a new alert says "new". */
    if (c->change != ALERT_OPENED) {
        json_object_del(body, "state");
        json_object_del(body, "verdict");
        json_object_del(body, "history");
    }
    batch_document(ret, STORE_ALERT, c->alert->id, c->alert->first, body,
                   c->change != ALERT_OPENED);
}

void documents_output(struct documents *d, const struct engine_output *o, double now,
                      struct batch *ret)
{
    for (uint32_t i = 0; i < o->n_alerts; i++)
        alert_document(&o->alerts[i], ret);
    for (uint32_t i = 0; i < o->n_profiles; i++)
        profile_document(d, o->profiles[i], now, ret);
    for (uint32_t i = 0; i < o->n_scores; i++) {
        const struct engine_score *s = &o->scores[i];
        struct store_score row = {.capture = s->capture,
                                  .container = s->container,
                                  .channel = s->channel,
                                  .phase = s->phase,
                                  .time = s->time,
                                  .value = s->value,
                                  .threshold = s->threshold,
                                  .model_version = s->version,
                                  .detector = s->detector,
                                  .evidence = *s->why ? s->why : NULL};
        batch_score(ret, &row);
    }
    for (uint32_t i = 0; i < o->n_keeps; i++) {
        static const uint8_t reasons[] = {[KEEP_NORMAL] = STORE_SAMPLE,
                                          [KEEP_NEAR] = STORE_NEAR,
                                          [KEEP_ANOMALOUS] = STORE_ANOMALOUS};
        const struct engine_keep *k = &o->keeps[i];
        struct store_window row = {.window = k->window,
                                   .time = k->time,
                                   .reason = reasons[k->reason],
                                   .workload = k->workload};
        batch_window(ret, &row);
    }
}

void documents_containers(struct documents *d, double now, struct batch *ret)
{
    for (struct count *c = d->counts; c; c = c->hh.next) {
        uint64_t calls = c->total.seen - c->calls_before;
        double passed = c->time_before > 0 ? now - c->time_before : 1;
        bool active = calls > 0;
        bool report = active || c->active;
        c->calls_before = c->total.seen;
        c->time_before = now;
        c->active = active;
        if (!report || c->key.container == UINT32_MAX)
            continue;
        char key[STORE_KEY_MAX];
        enum phase phase = PHASE_STEADY;
        engine_container_phase(d->engine, c->key.capture, (uint32_t)c->key.container, &phase);
        store_container_key(c->key.capture, (uint32_t)c->key.container, key);
        batch_document(ret, STORE_CONTAINER, key, now,
                       json_pack("{s:I, s:f, s:s}", "calls", (json_int_t)c->total.seen,
                                 "calls_per_s", (double)calls / (passed > 0.1 ? passed : 0.1),
                                 "phase", phase == PHASE_STARTUP ? "startup" : "steady"),
                       true);
    }
}

void documents_get_totals(const struct documents *d, struct documents_totals *ret)
{
    *ret = d->totals;
}
