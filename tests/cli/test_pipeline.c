/* The pipeline on a real store and a real spool: what is queued for the sinks, and that the end of
 * the process between two snapshots changes nothing. */
#include "../store/samples.h"

#include <errno.h>
#include <unistd.h>

#include "cli/batch.h"
#include "cli/config.h"
#include "cli/decisions.h"
#include "cli/pipeline.h"
#include "soc/decision.h"
#include "soc/json.h"
#include "soc/run.h"

#define CONFIG                                                                                     \
    "data: %s/data\n"                                                                              \
    "learning: {ready_active_s: 60, ready_quiet_s: 30, startup_max_s: 10, startup_quiet_s: 3}\n"   \
    "sinks:\n"                                                                                     \
    "  - {type: file, name: all, path: /tmp/all}\n"                                                \
    "  - {type: file, name: high, path: /tmp/high, score_min: 60}\n"

struct bench {
    struct place place;
    struct config *config;
    struct spool *spool;
    struct store *store; /* as the server and the sinks have it */
    struct pipeline *pipeline;
    struct scene scene;
};

static void start(struct bench *t)
{
    struct pipeline_options options = {.config = t->config, .spool = t->spool};
    assert_int_equal(pipeline_open(&options, &t->pipeline), 0);
}

/* As kill -9 leaves it: what was committed, and nothing else. */
static void kill_and_start(struct bench *t)
{
    pipeline_close(t->pipeline);
    start(t);
}

static void feed(struct bench *t)
{
    struct block *b = scene_end(&t->scene);
    assert_int_equal(spool_append(t->spool, b), 0);
    block_free(b);
    assert_int_equal(pipeline_drain(t->pipeline), 0);
}

static void serve_for(struct bench *t, double seconds)
{
    for (double until = scene_seconds(&t->scene) + seconds; scene_seconds(&t->scene) < until;) {
        scene_serve(&t->scene, 1, 100);
        feed(t);
    }
}

/* A workload that is learnt, and saved. */
static int setup_bench(void **state)
{
    struct bench *t = calloc(1, sizeof(*t));
    char path[128];
    place_make(&t->place);
    snprintf(path, sizeof(path), "%s/vigia.yaml", t->place.directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, CONFIG, t->place.directory);
    fclose(f);
    assert_int_equal(config_load(path, NULL, &t->config), 0);
    snprintf(path, sizeof(path), "%s/spool", t->place.directory);
    assert_int_equal(spool_open(&(struct spool_options){.directory = path}, &t->spool), 0);
    assert_int_equal(store_open(NULL, &(struct store_options){.path = t->place.path}, &t->store),
                     0);
    start(t);
    scene_init(&t->scene, SCENE_CAPTURE);
    scene_container(&t->scene, 1, WORKLOAD, true);
    scene_fork(&t->scene, 1, 0, 100, "/usr/sbin/server");
    serve_for(t, LEARNT_S);
    assert_int_equal(pipeline_stop(t->pipeline), 0);
    kill_and_start(t);
    *state = t;
    return 0;
}

static int teardown_bench(void **state)
{
    struct bench *t = *state;
    pipeline_close(t->pipeline);
    block_free(t->scene.block);
    store_close(t->store);
    spool_close(t->spool);
    config_free(t->config);
    place_remove(&t->place);
    free(t);
    return 0;
}

/* The documents of a kind; how many. */
static uint32_t documents(struct bench *t, enum store_kind kind, json_t **ret)
{
    struct store_query q = {.kind = kind, .oldest_first = true};
    assert_int_equal(store_find(t->store, &q, ret, NULL), 0);
    return (uint32_t)json_array_size(*ret);
}

/* Is there a delivery to the sink? It is taken out, as if it had been sent. */
static bool take_delivery(struct bench *t, const char *sink)
{
    json_auto_t *rows = NULL;
    json_t *row;
    bool found = false;
    size_t i;
    documents(t, STORE_DELIVERY, &rows);
    json_array_foreach (rows, i, row) {
        struct store_document d = {
            .kind = STORE_DELIVERY, .key = json_get_string(row, "key", ""), .removed = true};
        if (strcmp(json_get_string(row, "sink", ""), sink) != 0)
            continue;
        char id[64];
        snprintf(id, sizeof(id), "%s/%s/0", sink, json_get_string(row, "alert", ""));
        assert_string_equal(d.key, id);
        assert_false(found);
        found = true;
        assert_int_equal(store_put(t->store, &d), 0);
    }
    return found;
}

static double score(struct bench *t)
{
    json_auto_t *rows = NULL;
    assert_int_equal(documents(t, STORE_ALERT, &rows), 1);
    return json_get_number(json_array_get(rows, 0), "score", 0);
}

/* A shell first, then what it reads, then what the server does: the score rises from step to step.
 */
static void test_a_rising_alert_reaches_each_sink_once(void **state)
{
    static const struct scene_call shadow[] = {
        {"brk", 0, NULL, 0}, {"openat", 3, "/etc/shadow", ACCESS_READ}, {NULL, 0, NULL, 0}};
    static const struct scene_call odd[] = {
        {"ptrace", 0, NULL, 0}, {"pipe2", 0, NULL, 0},  {"clone", 0, NULL, 0}, {"dup2", 0, NULL, 0},
        {"setuid", 0, NULL, 0}, {"mount", -1, NULL, 0}, {NULL, 0, NULL, 0}};
    struct bench *t = *state;
    scene_fork(&t->scene, 1, 100, 200, "/usr/sbin/server");
    scene_exec(&t->scene, 1, 200, "/usr/sbin/server", "/usr/bin/dash", "sh");
    feed(t);
    double first = score(t);
    assert_true(first >= 50 && first < 60);
    assert_true(take_delivery(t, "all"));
    assert_false(take_delivery(t, "high"));
    kill_and_start(t);
    scene_calls(&t->scene, 1, 200, "/usr/bin/dash", shadow, 3);
    serve_for(t, 2);
    double second = score(t);
    assert_true(second >= 60);
    assert_true(take_delivery(t, "high"));
    assert_false(take_delivery(t, "all"));
    kill_and_start(t);
    scene_calls(&t->scene, 1, 100, "/usr/sbin/server", odd, 8);
    serve_for(t, 2);
    assert_true(score(t) > second);
    serve_for(t, 310); /* and closes */
    assert_false(take_delivery(t, "high") || take_delivery(t, "all"));
}

static void put_suppression(struct bench *t, bool removed)
{
    json_auto_t *body = json_pack("{s:s, s:s, s:s, s:i}", "workload", WORKLOAD, "evidence",
                                  "0000000000000000", "author", "ana", "expires", 0);
    struct store_document d = {.kind = STORE_SUPPRESSION,
                               .key = "s1",
                               .time = removed ? 0 : T0,
                               .body = removed ? NULL : body,
                               .removed = removed};
    assert_int_equal(store_put(t->store, &d), 0);
}

/* Made after the alert, and the process ends before its state is saved: the alert was told of, and
 * its end is told too. */
static void test_a_suppression_is_not_for_what_was_before(void **state)
{
    struct bench *t = *state;
    json_auto_t *rows = NULL, *later = NULL;
    scene_attack(&t->scene, 1, 100, 200);
    serve_for(t, 2);
    put_suppression(t, false);
    kill_and_start(t);
    serve_for(t, 310);
    assert_int_equal(documents(t, STORE_ALERT, &rows), 1);
    assert_true(json_is_false(json_object_get(json_array_get(rows, 0), "open")));
    scene_attack(&t->scene, 1, 100, 300); /* from the start on it holds */
    serve_for(t, 2);
    assert_int_equal(documents(t, STORE_ALERT, &later), 1);
}

/* Taken away after an attack that it hid: what goes on is a new alert, told as one. */
static void test_a_suppression_that_ended_is_for_what_was_before(void **state)
{
    struct bench *t = *state;
    json_auto_t *rows = NULL, *none = NULL;
    put_suppression(t, false);
    usleep(1100 * 1000); /* decisions are looked for once a second */
    serve_for(t, 1);
    scene_attack(&t->scene, 1, 100, 200);
    serve_for(t, 2);
    assert_int_equal(documents(t, STORE_ALERT, &none), 0);
    put_suppression(t, true);
    kill_and_start(t);
    scene_exec(&t->scene, 1, 210, "/usr/bin/dash", "/tmp/other", "other");
    serve_for(t, 2);
    assert_int_equal(documents(t, STORE_ALERT, &rows), 1);
    assert_string_equal(json_get_string(json_array_get(rows, 0), "state", ""), "new");
    assert_true(take_delivery(t, "all"));
}

/* A verdict that is changed while the one before is being applied is read, too. */
static void test_a_newer_verdict_stays_until_it_is_read(void **state)
{
    struct bench *t = *state;
    struct run r;
    struct decisions *d = NULL;
    struct batch batch, next;
    struct alert_decision first = {.state = "closed", .verdict = "expected", .who = "a", .now = T0};
    struct alert_decision second = {
        .state = "closed", .verdict = "incident", .who = "b", .now = T0 + .001};
    batch_init(&batch), batch_init(&next);
    setup(&r);
    assert_int_equal(decisions_new(t->store, r.engine, NULL, &d), 0);
    assert_int_equal(alert_decide(t->store, "00000000000000a1", &first), 0);
    assert_int_equal(decisions_apply(d, &batch), 1);
    assert_int_equal(alert_decide(t->store, "00000000000000a1", &second), 0);
    assert_int_equal(store_commit(t->store, &batch.store), 0);
    assert_int_equal(decisions_apply(d, &next), 1);
    assert_int_equal(store_commit(t->store, &next.store), 0);
    assert_int_equal(decisions_apply(d, &next), 0);
    decisions_free(d);
    batch_done(&batch), batch_done(&next);
    teardown(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_bench, teardown_bench)
    const struct CMUnitTest tests[] = {
        TEST(test_a_rising_alert_reaches_each_sink_once),
        TEST(test_a_suppression_is_not_for_what_was_before),
        TEST(test_a_suppression_that_ended_is_for_what_was_before),
        TEST(test_a_newer_verdict_stays_until_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
