/* The ledger from the blocks to what is shown: seen = stored + in flight + dropped, exactly, for
 * every container, with more of them than any table holds or one reading gives, over restarts. A
 * real store, a real spool. */
#include "../store/samples.h"

#include <errno.h>

#include "base/clock.h"
#include "cli/documents.h"
#include "soc/ledger_view.h"
#include "transport/spool.h"

#define CAPTURES 40
#define PER_CAPTURE 1000 /* 40,000 containers: more than stay in memory */

struct bench {
    struct place place;
    char spool_path[96];
    struct store *store;
    struct spool *spool;
    struct engine *engine;
    struct documents *documents;
    uint8_t uuid[16];
};

static void start(struct bench *t)
{
    assert_int_equal(documents_new(t->engine, t->store, &t->documents), 0);
}

static int setup(void **state)
{
    struct bench *t = calloc(1, sizeof(*t));
    struct engine_options options;
    place_make(&t->place);
    snprintf(t->spool_path, sizeof(t->spool_path), "%s/spool", t->place.directory);
    assert_int_equal(store_open(NULL, &(struct store_options){.path = t->place.path}, &t->store),
                     0);
    assert_int_equal(spool_open(&(struct spool_options){.directory = t->spool_path}, &t->spool), 0);
    spool_uuid(t->spool, t->uuid);
    engine_options_default(&options);
    assert_int_equal(engine_new(&options, &t->engine), 0);
    start(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct bench *t = *state;
    documents_free(t->documents);
    engine_free(t->engine);
    spool_close(t->spool);
    store_close(t->store);
    place_remove(&t->place);
    free(t);
    return 0;
}

/* A block in which each of the capture's containers [first, first + n) made 10 calls: one was lost,
 * two only binned. */
static void append(struct bench *t, uint64_t capture, uint32_t first, uint32_t n, struct block *ret)
{
    struct ledger_count *counts = calloc(n, sizeof(*counts));
    for (uint32_t i = 0; i < n; i++) {
        counts[i] = (struct ledger_count){.container = first + i, .seen = 10, .delivered = 9};
        counts[i].dropped[DROP_RING_FULL] = 1;
        counts[i].dropped[DROP_DEGRADED] = 2;
    }
    *ret = (struct block){.capture = capture,
                          .node = "n1",
                          .mono_ns = 1000,
                          .wall_ns = 1000 + (uint64_t)T0 * NS_PER_S,
                          .ledger = counts,
                          .n_ledger = n};
    assert_int_equal(spool_append(t->spool, ret), 0);
}

static void commit(struct bench *t, struct block *b)
{
    struct batch batch;
    batch_init(&batch);
    documents_block(t->documents, b, &batch);
    assert_int_equal(batch.error, 0);
    batch.store.spool = t->uuid;
    batch.store.sequence = b->sequence;
    assert_int_equal(store_commit(t->store, &batch.store), 0);
    batch_done(&batch);
    free(b->ledger);
}

static void every_container_calls(struct bench *t)
{
    for (uint64_t capture = 1; capture <= CAPTURES; capture++) {
        struct block b;
        append(t, capture, 0, PER_CAPTURE, &b);
        commit(t, &b);
    }
}

/* What a snapshot had no room for does not take away what was told before. */
static void a_snapshot_without_texts(void **state)
{
    struct bench *t = *state;
    char path[] = "/usr/bin/server", arguments[] = "server --port 80", none[] = "", key[64];
    struct process p = {.tgid = 7, .start_ns = 9, .event = PROCESS_EXEC, .path = path};
    p.arguments = arguments;
    for (int i = 0; i < 2; i++) {
        struct block b;
        append(t, 1, 0, 1, &b);
        b.processes = &p, b.n_processes = 1;
        commit(t, &b);
        p.event = PROCESS_FOUND, p.path = p.arguments = none;
    }
    snprintf(key, sizeof(key), "%016x-7-9", 1);
    json_t *d = NULL;
    assert_int_equal(store_get(t->store, STORE_PROCESS, key, &d, NULL, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(d, "arguments")), arguments);
    assert_string_equal(json_string_value(json_object_get(d, "path")), path);
    json_decref(d);
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void expect_sums(const json_t *sums, json_int_t stored, json_int_t in_flight)
{
    const json_t *dropped = json_object_get(sums, "dropped");
    assert_int_equal(number(sums, "seen"), (stored + in_flight) * 10);
    assert_int_equal(number(sums, "stored"), stored * 9);
    assert_int_equal(number(sums, "in_flight"), in_flight * 9);
    assert_int_equal(json_object_size(dropped), 1);
    assert_int_equal(number(dropped, "ring full"), stored + in_flight);
    assert_int_equal(number(sums, "degraded"), (stored + in_flight) * 2);
    assert_true(json_is_true(json_object_get(sums, "balanced")));
}

/* Containers called each so many times. */
static void expect_every_container(struct bench *t, struct flight *f, json_int_t times)
{
    json_auto_t *view = NULL, *sums = NULL;
    json_t *c;
    size_t i;
    assert_int_equal(ledger_view(t->store, f, &view, NULL), 0);
    expect_sums(view, times * CAPTURES * PER_CAPTURE, 0);
    assert_int_equal(json_array_size(json_object_get(view, "containers")), CAPTURES * PER_CAPTURE);
    json_array_foreach (json_object_get(view, "containers"), i, c)
        expect_sums(c, times, 0);
    assert_int_equal(ledger_sums(t->store, f, &sums), 0);
    expect_sums(sums, times * CAPTURES * PER_CAPTURE, 0);
}

static void every_container_is_counted_over_restarts(void **state)
{
    struct bench *t = *state;
    CLEANUP(flight_freep) struct flight *f = NULL;
    assert_int_equal(flight_new(t->spool_path, &f), 0);
    every_container_calls(t);
    every_container_calls(t); /* the first ones have left the memory */
    expect_every_container(t, f, 2);
    documents_free(t->documents);
    start(t);
    every_container_calls(t);
    expect_every_container(t, f, 3);
}

static void calls_in_flight_belong_to_their_container(void **state)
{
    struct bench *t = *state;
    struct block b[3];
    CLEANUP(flight_freep) struct flight *f = NULL;
    assert_int_equal(flight_new(t->spool_path, &f), 0);
    for (int i = 0; i < 3; i++)
        append(t, 1, (uint32_t)i, 2, &b[i]); /* 0 and 1, 1 and 2, 2 and 3 */
    commit(t, &b[0]);
    for (int restart = 0; restart < 2; restart++) {
        json_auto_t *view = NULL;
        uint64_t blocks = 0;
        assert_int_equal(ledger_view(t->store, f, &view, &blocks), 0);
        assert_int_equal(blocks, 2);
        expect_sums(view, 2, 4);
        const json_t *list = json_object_get(view, "containers");
        assert_int_equal(json_array_size(list), 4);
        for (size_t i = 0; i < 4; i++) { /* the store's come first, in the order of their keys */
            const json_t *c = json_array_get(list, i);
            expect_sums(c, i < 2, i == 0 ? 0 : i == 2 ? 2 : 1);
        }
    }
    /* One more is stored, one more comes; each block was read once. */
    commit(t, &b[1]);
    struct block more;
    append(t, 1, 0, 1, &more);
    json_auto_t *sums = NULL, *own = NULL;
    assert_int_equal(ledger_sums(t->store, f, &sums), 0);
    expect_sums(sums, 4, 3);
    assert_int_equal(ledger_container(t->store, f, "0000000000000001-0", &own), 0);
    expect_sums(own, 1, 1);
    json_decref(own);
    own = NULL;
    assert_int_equal(ledger_container(t->store, f, "0000000000000001-9", &own), -ENOENT);
    commit(t, &b[2]);
    commit(t, &more);
    json_decref(sums);
    assert_int_equal(ledger_sums(t->store, f, &sums), 0);
    expect_sums(sums, 7, 0);
}

/* The hours before a boot, on the clock of the block, which began with it: in flight, and stored.
 */
static void time_before_the_boot_is_told(void **state)
{
    struct bench *t = *state;
    CLEANUP(flight_freep) struct flight *f = NULL;
    struct blind blind = {-(uint64_t)3600 * NS_PER_S, 500, "reboot"};
    struct block b = {.capture = 1,
                      .node = "n1",
                      .mono_ns = 1000,
                      .wall_ns = 1000 + (uint64_t)T0 * NS_PER_S,
                      .blinds = &blind,
                      .n_blinds = 1};
    assert_int_equal(spool_append(t->spool, &b), 0);
    assert_int_equal(flight_new(t->spool_path, &f), 0);
    for (int stored = 0; stored < 2; stored++) {
        json_auto_t *view = NULL;
        assert_int_equal(ledger_view(t->store, f, &view, NULL), 0);
        const json_t *list = json_object_get(view, "blind"), *x = json_array_get(list, 0);
        assert_int_equal(json_array_size(list), 1);
        assert_int_equal(json_real_value(json_object_get(x, "from")), T0 - 3600);
        assert_int_equal(json_real_value(json_object_get(x, "until")), T0);
        commit(t, &b);
    }
}

/* The sum is right, and yet two containers are not. */
static void one_container_does_not_make_up_for_another(void **state)
{
    struct bench *t = *state;
    struct block b;
    CLEANUP(flight_freep) struct flight *f = NULL;
    assert_int_equal(flight_new(NULL, &f), 0);
    append(t, 1, 0, 2, &b);
    commit(t, &b);
    for (int i = 0; i < 2; i++) {
        struct ledger_count wrong = {.seen = i ? 9 : 11, .delivered = 9};
        wrong.dropped[DROP_RING_FULL] = 1;
        json_auto_t *body = store_ledger_body(&wrong);
        struct store_document d = {.kind = STORE_LEDGER,
                                   .key = i ? "0000000000000001-1" : "0000000000000001-0",
                                   .time = T0,
                                   .body = body};
        assert_int_equal(store_put(t->store, &d), 0);
    }
    json_auto_t *sums = NULL;
    assert_int_equal(ledger_sums(t->store, f, &sums), 0);
    assert_int_equal(number(sums, "seen"), 20);
    assert_int_equal(number(sums, "stored") + 2, 20);
    assert_true(json_is_false(json_object_get(sums, "balanced")));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_container_is_counted_over_restarts),
        T(calls_in_flight_belong_to_their_container),
        T(time_before_the_boot_is_told),
        T(one_container_does_not_make_up_for_another),
        T(a_snapshot_without_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
