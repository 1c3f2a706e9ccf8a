/* What every store must do; run for each one in the table. */
#include "samples.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"

static const struct store_ops *under_test;

struct state {
    struct place place;
    struct store *s;
};

static void reopen(struct state *t, bool read_only)
{
    store_close(t->s);
    t->s = NULL;
    struct store_options options = {.path = t->place.path, .read_only = read_only, .busy_ms = 200};
    assert_int_equal(under_test->open(&options, &t->s), 0);
}

static int setup(void **state)
{
    struct state *t = calloc(1, sizeof(*t));
    place_make(&t->place);
    reopen(t, false);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct state *t = *state;
    store_close(t->s);
    place_remove(&t->place);
    free(t);
    return 0;
}

static void put(struct store *s, enum store_kind kind, const char *key, double time,
                const char *body)
{
    json_auto_t *json = json_loads(body, 0, NULL);
    assert_non_null(json);
    struct store_document d = {.kind = kind, .key = key, .time = time, .body = json};
    assert_int_equal(store_put(s, &d), 0);
}

static void merge(struct store *s, const char *key, const char *append, const char *body)
{
    json_auto_t *json = json_loads(body, 0, NULL);
    struct store_document d = {.kind = STORE_ALERT,
                               .key = key,
                               .time = T0 + 99,
                               .body = json,
                               .merge = true,
                               .append = append};
    assert_int_equal(store_put(s, &d), 0);
}

static void expect_document(struct store *s, enum store_kind kind, const char *key,
                            const char *expected)
{
    json_auto_t *got = NULL, *want = json_loads(expected, 0, NULL);
    assert_int_equal(store_get(s, kind, key, &got, NULL, NULL), 0);
    json_object_del(got, "key");
    json_object_del(got, "time");
    assert_true(json_equal(got, want));
}

/* Keys of what a query finds, joined with spaces. */
static void expect_keys(struct store *s, struct store_query query, const char *keys, uint64_t total)
{
    json_auto_t *list = NULL;
    uint64_t n = 0;
    char got[1024] = "";
    assert_int_equal(store_find(s, &query, &list, &n), 0);
    for (size_t i = 0; i < json_array_size(list); i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
                 json_string_value(json_object_get(json_array_get(list, i), "key")));
    assert_string_equal(got, keys);
    assert_int_equal(n, total);
}

static void test_documents(void **state)
{
    struct state *t = *state;
    put(t->s, STORE_PROFILE, "shop/web", T0, "{\"state\": \"learning\", \"n\": 1}");
    put(t->s, STORE_PROFILE, "shop/web", T0 + 1, "{\"state\": \"ready\"}");
    reopen(t, false);
    expect_document(t->s, STORE_PROFILE, "shop/web", "{\"state\": \"ready\"}");
    struct store_document gone = {.kind = STORE_PROFILE, .key = "shop/web", .removed = true};
    assert_int_equal(store_put(t->s, &gone), 0);
    assert_int_equal(store_get(t->s, STORE_PROFILE, "shop/web", NULL, NULL, NULL), -ENOENT);
    assert_int_equal(store_put(t->s, &(struct store_document){.kind = STORE_PROFILE, .key = "x"}),
                     -EINVAL);
}

/* Who removes what he read does not remove what came after it. */
static void test_a_newer_document_is_not_removed(void **state)
{
    struct state *t = *state;
    json_auto_t *body = json_pack("{s:s}", "verdict", "incident");
    struct store_document d = {.kind = STORE_STATE,
                               .key = "verdict/a1",
                               .time = T0 + .125,
                               .body = body,
                               .blob = "x",
                               .blob_size = 1};
    struct store_document read = {
        .kind = STORE_STATE, .key = "verdict/a1", .time = T0, .removed = true};
    assert_int_equal(store_put(t->s, &d), 0);
    assert_int_equal(store_put(t->s, &read), 0);
    json_auto_t *row = NULL;
    CLEANUP(freep) void *blob = NULL;
    size_t size;
    assert_int_equal(store_get(t->s, STORE_STATE, "verdict/a1", &row, &blob, &size), 0);
    assert_int_equal(size, 1);
    read.time = json_number_value(json_object_get(row, "time"));
    assert_int_equal(store_put(t->s, &read), 0);
    assert_int_equal(store_get(t->s, STORE_STATE, "verdict/a1", NULL, NULL, NULL), -ENOENT);
}

static void test_blob_stays_without_a_new_one(void **state)
{
    struct state *t = *state;
    json_auto_t *body = json_pack("{s:i}", "version", 1);
    struct store_document d = {.kind = STORE_STATE,
                               .key = "engine",
                               .time = T0,
                               .body = body,
                               .blob = "a\0b",
                               .blob_size = 3};
    assert_int_equal(store_put(t->s, &d), 0);
    d.blob = NULL;
    assert_int_equal(store_put(t->s, &d), 0);
    CLEANUP(freep) void *blob = NULL;
    size_t size = 0;
    assert_int_equal(store_get(t->s, STORE_STATE, "engine", NULL, &blob, &size), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(blob, "a\0b", 3);
}

static void test_engine_and_soc_do_not_undo_each_other(void **state)
{
    struct state *t = *state;
    merge(t->s, "a1", NULL, "{\"state\": \"new\", \"score\": 60, \"history\": []}");
    merge(t->s, "a1", "history",
          "{\"state\": \"acknowledged\", \"history\": [{\"who\": \"ana\"}]}");
    merge(t->s, "a1", NULL, "{\"score\": 80}");
    merge(t->s, "a1", "history", "{\"history\": [{\"who\": \"rui\"}]}");
    expect_document(t->s, STORE_ALERT, "a1",
                    "{\"state\": \"acknowledged\", \"score\": 80,"
                    " \"history\": [{\"who\": \"ana\"}, {\"who\": \"rui\"}]}");
}

static void test_find_filters_and_orders(void **state)
{
    struct state *t = *state;
    put(t->s, STORE_ALERT, "a", T0,
        "{\"state\": \"new\", \"held\": false, \"container\": {\"key\": \"c1\"},"
        " \"headline\": \"web ran /bin/SH\"}");
    put(t->s, STORE_ALERT, "b", T0 + 2,
        "{\"state\": \"new\", \"held\": true, \"verdict\": null, \"headline\": \"50% _x\"}");
    put(t->s, STORE_ALERT, "c", T0 + 1,
        "{\"state\": \"closed\", \"held\": false, \"headline\": \"say \\\"hi\\\"\"}");
    put(t->s, STORE_USER, "d", T0, "{\"state\": \"new\"}");
    struct store_query q = {.kind = STORE_ALERT};
    expect_keys(t->s, q, "b c a", 3);
    q.limit = 1, q.offset = 1;
    expect_keys(t->s, q, "c", 3);
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .oldest_first = true}, "a c b", 3);
    expect_keys(
        t->s,
        (struct store_query){
            .kind = STORE_ALERT, .field = "state", .equals = "new", .where = {{"held", "false"}}},
        "a", 1);
    expect_keys(t->s,
                (struct store_query){.kind = STORE_ALERT, .field = "container.key", .equals = "c1"},
                "a", 1);
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .field = "verdict", .equals = ""},
                "b c a", 3);
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .from = T0 + 1, .until = T0 + 2},
                "c", 1);
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .text = "/bin/sh"}, "a", 1);
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .text = "50%"}, "b", 1);
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .text = "say \"hi"}, "c", 1);
    /* Names of members are not what a person searches for. */
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .text = "headline"}, "", 0);
    const char *keys[] = {"a", "c", "zz", "d", NULL};
    expect_keys(t->s, (struct store_query){.kind = STORE_ALERT, .keys = keys}, "c a", 2);
    q = (struct store_query){.kind = STORE_ALERT, .field = "state') OR 1=1 --", .equals = "new"};
    json_t *none = NULL;
    assert_int_equal(store_find(t->s, &q, &none, NULL), -EINVAL);
}

static void expect_brief(struct store *s, struct store_query query, const char *expected)
{
    json_auto_t *list = NULL, *want = json_loads(expected, 0, NULL);
    query.brief = true;
    assert_int_equal(store_find(s, &query, &list, NULL), 0);
    assert_true(json_equal(list, want));
}

/* However an alert came to be what it is: lists have all of it but its arrays. */
static void test_brief_alerts_follow_the_whole_ones(void **state)
{
    struct state *t = *state;
    struct store_query q = {.kind = STORE_ALERT, .text = "/bin/dash"};
    put(t->s, STORE_ALERT, "a1", 50,
        "{\"state\": \"new\", \"score\": 60.5, \"held\": true, \"verdict\": null, \"odd key\": 1,"
        " \"container\": {\"key\": \"c\"}, \"calls\": [{\"name\": \"/bin/dash\"}], \"n\": 3}");
    put(t->s, STORE_PROFILE, "p1", 50, "{\"state\": \"ready\", \"off\": []}");
    expect_brief(
        t->s, q,
        "[{\"key\": \"a1\", \"time\": 50.0, \"state\": \"new\", \"score\": 60.5, \"odd key\":"
        " 1, \"held\": true, \"verdict\": null, \"container\": {\"key\": \"c\"}, \"n\": 3}]");
    expect_brief(t->s, (struct store_query){.kind = STORE_PROFILE},
                 "[{\"key\": \"p1\", \"time\": 50.0, \"state\": \"ready\"}]");
    merge(t->s, "a1", "history", "{\"state\": \"closed\", \"history\": [{\"who\": \"rui\"}]}");
    put(t->s, STORE_ALERT, "a2", 60, "{\"state\": \"new\"}");
    q = (struct store_query){.kind = STORE_ALERT, .field = "state", .equals = "closed"};
    q.brief = true;
    expect_keys(t->s, q, "a1", 1);
    q.text = "rui";
    expect_keys(t->s, q, "a1", 1);
    put(t->s, STORE_ALERT, "a1", 70, "{\"state\": \"new\"}");
    expect_keys(t->s, q, "", 0);
    expect_brief(t->s, (struct store_query){.kind = STORE_ALERT, .from = 61},
                 "[{\"key\": \"a1\", \"time\": 70.0, \"state\": \"new\"}]");
    struct store_document gone = {.kind = STORE_ALERT, .key = "a1", .removed = true};
    assert_int_equal(store_put(t->s, &gone), 0);
    expect_brief(t->s, (struct store_query){.kind = STORE_ALERT},
                 "[{\"key\": \"a2\", \"time\": 60.0, \"state\": \"new\"}]");
}

/* The whole list is sorted, not what a page of it happens to have. */
static void test_sorts_before_it_cuts(void **state)
{
    struct state *t = *state;
    const double scores[] = {55, 99, 60, 60};
    for (int i = 0; i < 4; i++) {
        char key[8], body[64];
        snprintf(key, sizeof(key), "a%d", i);
        snprintf(body, sizeof(body), "{\"score\": %f, \"list\": []}", scores[i]);
        put(t->s, STORE_ALERT, key, T0 + i, body);
    }
    struct store_query q = {.kind = STORE_ALERT, .sort = "score", .limit = 3, .brief = true};
    expect_keys(t->s, q, "a1 a3 a2", 4);
    q.offset = 3;
    expect_keys(t->s, q, "a0", 4);
    q.offset = 9;
    expect_keys(t->s, q, "", 4);
    q.brief = false;
    q.offset = 0;
    expect_keys(t->s, q, "a1 a3 a2", 4);
    q.sort = "score') --";
    json_t *none = NULL;
    assert_int_equal(store_find(t->s, &q, &none, NULL), -EINVAL);
}

static void test_prefix(void **state)
{
    struct state *t = *state;
    put(t->s, STORE_DELIVERY, "web%/1", T0, "{}");
    put(t->s, STORE_DELIVERY, "webx/1", T0, "{}");
    put(t->s, STORE_DELIVERY, "we", T0, "{}");
    expect_keys(t->s, (struct store_query){.kind = STORE_DELIVERY, .prefix = "web%"}, "web%/1", 1);
    expect_keys(t->s, (struct store_query){.kind = STORE_DELIVERY, .prefix = "web"},
                "webx/1 web%/1", 2);
}

static void test_processes_of_a_container(void **state)
{
    struct state *t = *state;
    put(t->s, STORE_PROCESS, "1-1-1", T0, "{\"container\": \"k1\"}");
    put(t->s, STORE_PROCESS, "1-2-1", T0, "{\"container\": \"k2\"}");
    expect_keys(t->s,
                (struct store_query){.kind = STORE_PROCESS, .field = "container", .equals = "k2"},
                "1-2-1", 1);
}

static void test_counts(void **state)
{
    struct state *t = *state;
    put(t->s, STORE_ALERT, "a", T0, "{\"state\": \"new\"}");
    put(t->s, STORE_ALERT, "b", T0, "{\"state\": \"new\"}");
    put(t->s, STORE_ALERT, "c", T0, "{\"state\": \"closed\"}");
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    struct store_query q = {.kind = STORE_ALERT};
    assert_int_equal(store_counts(t->s, &q, "state", &rows), 0);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.counts[0].value, "new");
    assert_int_equal(rows.counts[0].count, 2);
}

static void test_audit_is_append_only(void **state)
{
    struct state *t = *state;
    json_auto_t *body = json_pack("{s:s}", "action", "login");
    struct store_document d = {.kind = STORE_AUDIT, .time = T0, .body = body};
    for (int i = 0; i < 11; i++)
        assert_int_equal(store_put(t->s, &d), 0);
    json_auto_t *list = NULL;
    uint64_t total;
    struct store_query q = {.kind = STORE_AUDIT, .limit = 1};
    assert_int_equal(store_find(t->s, &q, &list, &total), 0);
    assert_int_equal(total, 11);
    d.key = json_string_value(json_object_get(json_array_get(list, 0), "key"));
    assert_true(store_put(t->s, &d) < 0); /* there is one under that key */
    d.removed = true;
    assert_true(store_put(t->s, &d) < 0);
    assert_int_equal(store_find(t->s, &q, NULL, &total), 0);
    assert_int_equal(total, 11);
}

static void commit_bin(struct store *s, const uint8_t *spool, uint64_t sequence, double time)
{
    struct bin bin;
    struct bin_count counts[2];
    struct store_bin b = sample_bin(&bin, counts, 3, time);
    struct store_batch batch = {.bins = &b, .n_bins = 1, .spool = spool, .sequence = sequence};
    assert_int_equal(store_commit(s, &batch), 0);
}

static uint64_t calls_of(struct store *s, const struct store_selection *sel)
{
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    assert_int_equal(store_series(s, sel, &rows), 0);
    uint64_t calls = 0;
    for (uint32_t i = 0; i < rows.n; i++)
        calls += rows.points[i].calls;
    return calls;
}

static void test_partial_bins_add_up_and_a_block_counts_once(void **state)
{
    struct state *t = *state;
    struct store_selection all = {0};
    commit_bin(t->s, spool_a, 1, T0);
    commit_bin(t->s, spool_a, 2, T0 + .5); /* the same second, from the next block */
    commit_bin(t->s, spool_a, 2, T0 + .5); /* comes again */
    commit_bin(t->s, spool_a, 1, T0);
    commit_bin(t->s, spool_b, 1, T0); /* another node's */
    assert_int_equal(calls_of(t->s, &all), 300);
    uint64_t a = 0, b = 0, c = 9;
    assert_int_equal(store_acknowledged(t->s, spool_a, &a), 0);
    assert_int_equal(store_acknowledged(t->s, spool_b, &b), 0);
    assert_int_equal(store_acknowledged(t->s, (const uint8_t *)"never seen......", &c), 0);
    assert_int_equal(a, 2);
    assert_int_equal(b, 1);
    assert_int_equal(c, 0);
}

static void test_commit_is_all_or_nothing(void **state)
{
    struct state *t = *state;
    json_auto_t *body = json_object();
    struct store_document audit = {.kind = STORE_AUDIT, .key = "1", .time = T0, .body = body};
    assert_int_equal(store_put(t->s, &audit), 0);
    struct store_document two[] = {{.kind = STORE_USER, .key = "eve", .time = T0, .body = body},
                                   audit};
    struct bin bin;
    struct bin_count counts[2];
    struct store_bin b = sample_bin(&bin, counts, 3, T0);
    struct store_batch batch = {.documents = two,
                                .n_documents = 2,
                                .bins = &b,
                                .n_bins = 1,
                                .spool = spool_a,
                                .sequence = 7};
    assert_true(store_commit(t->s, &batch) < 0);
    uint64_t sequence = 9;
    assert_int_equal(store_get(t->s, STORE_USER, "eve", NULL, NULL, NULL), -ENOENT);
    assert_int_equal(store_acknowledged(t->s, spool_a, &sequence), 0);
    assert_int_equal(sequence, 0);
    batch.n_documents = 1; /* the handle goes on; numbers given in the failed one are not used */
    assert_int_equal(store_commit(t->s, &batch), 0);
    assert_int_equal(calls_of(t->s, &(struct store_selection){0}), 100);
    CLEANUP(store_rows_done) struct store_rows rows = {0};
    assert_int_equal(store_shares(t->s, &(struct store_selection){0}, &rows), 0);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.shares[0].program, 5);
}

static void test_series_and_shares_by_workload(void **state)
{
    struct state *t = *state;
    char key[STORE_KEY_MAX], text[STORE_KEY_MAX];
    store_container_key(CAPTURE, 3, key);
    commit_bin(t->s, spool_a, 1, T0); /* before its container is known */
    put(t->s, STORE_CONTAINER, key, T0, "{\"workload\": \"shop/web\"}");
    commit_bin(t->s, spool_a, 2, T0 + 61);
    store_text_key(UINT64_MAX, text);
    put(t->s, STORE_TEXT, text, T0, "{\"kind\": \"program\", \"text\": \"/usr/bin/web\"}");
    struct store_score scores[] = {
        {CAPTURE, 3, 1, 1, T0, 2.5f, 4, 7, "ngram", "too many calls"},
        {CAPTURE, 3, 1, 1, T0, 1.5f, 4, 7, "stide", NULL}, /* the larger stays */
        {CAPTURE, 3, 2, 1, T0 + 3600, 9, 8, 7, "mahalanobis", NULL},
    };
    struct store_batch batch = {.scores = scores, .n_scores = 3};
    assert_int_equal(store_commit(t->s, &batch), 0);

    struct store_selection sel = {.workload = "shop/web", .step_s = 60};
    CLEANUP(store_rows_done) struct store_rows series = {0};
    assert_int_equal(store_series(t->s, &sel, &series), 0);
    assert_int_equal(series.n, 3);
    assert_true(series.points[0].time == T0);
    assert_int_equal(series.points[0].calls, 100);
    assert_int_equal(series.points[0].errors, 1);
    assert_int_equal(series.points[0].latency_ns, 1000);
    assert_true(series.points[0].score[1] == 2.5f && series.points[0].threshold[1] == 4);
    assert_true(isnan(series.points[0].score[0]));
    assert_true(series.points[1].time == T0 + 60);
    assert_int_equal(series.points[2].calls, 0);
    assert_true(series.points[2].score[2] == 9);

    CLEANUP(store_rows_done) struct store_rows shares = {0};
    sel.errors_only = true;
    assert_int_equal(store_shares(t->s, &sel, &shares), 0);
    assert_int_equal(shares.n, 1);
    assert_string_equal(shares.shares[0].program_text, "/usr/bin/web");
    assert_int_equal(shares.shares[0].errors, 2);
    assert_true(shares.shares[0].share == 1);

    CLEANUP(store_rows_done) struct store_rows rows = {0};
    assert_int_equal(store_scores(t->s, &sel, &rows), 0);
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.scores[0].detector, "mahalanobis");
    assert_string_equal(rows.scores[1].detector, "ngram");
    assert_true(rows.scores[1].capture == CAPTURE);
    sel.explained = true;
    CLEANUP(store_rows_done) struct store_rows explained = {0};
    assert_int_equal(store_scores(t->s, &sel, &explained), 0);
    assert_int_equal(explained.n, 1);
    assert_string_equal(explained.scores[0].evidence, "too many calls");

    sel.workload = "shop/db";
    assert_int_equal(calls_of(t->s, &sel), 0);
    sel = (struct store_selection){.container = key, .until = T0 + 60};
    assert_int_equal(calls_of(t->s, &sel), 100);
    sel.container = "nonsense";
    assert_int_equal(calls_of(t->s, &sel), 0);
}

static void test_windows_are_kept_once(void **state)
{
    struct state *t = *state;
    enum { N = 40 };
    struct window windows[N];
    struct store_window rows[N];
    for (unsigned i = 0; i < N; i++) {
        windows[i] = sample_window(i % 2, 1000 + i * 64, MONO0 + i * 1000000000ull, 1 + i % 64);
        rows[i] = (struct store_window){.window = &windows[i], .time = T0 + i};
    }
    struct store_batch batch = {.windows = rows, .n_windows = N};
    assert_int_equal(store_commit(t->s, &batch), 0);
    rows[5].reason = STORE_ANOMALOUS;
    assert_int_equal(store_commit(t->s, &batch), 0); /* again, one for a better reason */
    rows[5].reason = STORE_SAMPLE;
    assert_int_equal(store_commit(t->s, &batch), 0); /* does not lose it */
    reopen(t, false);
    CLEANUP(store_rows_done) struct store_rows got = {0};
    assert_int_equal(store_windows(t->s, &(struct store_selection){0}, &got), 0);
    assert_int_equal(got.n, N);
    for (unsigned i = 0; i < N; i++) {
        assert_memory_equal(&got.windows[i].window, &windows[i], sizeof(windows[i]));
        assert_true(fabs(got.windows[i].time - (T0 + i)) < 1e-5);
        assert_int_equal(got.windows[i].reason, i == 5 ? STORE_ANOMALOUS : STORE_SAMPLE);
    }
    char key[STORE_KEY_MAX];
    store_container_key(CAPTURE, 1, key);
    CLEANUP(store_rows_done) struct store_rows some = {0};
    struct store_selection sel = {
        .container = key, .from = T0 + 4.5, .until = T0 + 9.5, .tgid = 101, .start_ns = MONO0};
    assert_int_equal(store_windows(t->s, &sel, &some), 0);
    assert_int_equal(some.n, 3); /* 5, 7, 9 */
    sel.reason_min = STORE_NEAR;
    store_rows_done(&some);
    assert_int_equal(store_windows(t->s, &sel, &some), 0);
    assert_int_equal(some.n, 1);
    sel.start_ns = 1; /* another process with that number */
    store_rows_done(&some);
    assert_int_equal(store_windows(t->s, &sel, &some), 0);
    assert_int_equal(some.n, 0);
}

static void test_windows_that_come_one_by_one_are_packed(void **state)
{
    struct state *t = *state;
    enum { N = 300 };
    struct store_stats before, after;
    struct window w[N];
    for (unsigned i = 0; i < N; i++) {
        w[i] = sample_window(1, 1 + i * 65, MONO0 + i * 1000000000ull, 40);
        struct store_window row = {&w[i], T0 + i, STORE_SAMPLE, NULL};
        assert_int_equal(store_commit(t->s, &(struct store_batch){.windows = &row, .n_windows = 1}),
                         0);
    }
    struct store_window better = {&w[7], T0 + 7, STORE_ANOMALOUS, NULL};
    assert_int_equal(store_commit(t->s, &(struct store_batch){.windows = &better, .n_windows = 1}),
                     0);
    assert_int_equal(store_get_stats(t->s, &before), 0);
    assert_int_equal(store_purge(t->s, &(struct store_retention){0}, T0, NULL), 0);
    assert_int_equal(store_get_stats(t->s, &after), 0);
    assert_true(after.window_bytes < before.window_bytes / 2);
    CLEANUP(store_rows_done) struct store_rows got = {0};
    assert_int_equal(store_windows(t->s, &(struct store_selection){0}, &got), 0);
    assert_int_equal(got.n, N);
    for (unsigned i = 0; i < N; i++) {
        assert_memory_equal(&got.windows[i].window, &w[i], sizeof(w[i]));
        assert_int_equal(got.windows[i].reason, i == 7 ? STORE_ANOMALOUS : STORE_SAMPLE);
    }
    /* They still count as kept. */
    struct store_window again = {&w[9], T0 + 9, STORE_SAMPLE, NULL};
    assert_int_equal(store_commit(t->s, &(struct store_batch){.windows = &again, .n_windows = 1}),
                     0);
    struct store_stats same;
    assert_int_equal(store_get_stats(t->s, &same), 0);
    assert_int_equal(same.windows, after.windows);
}

static void test_purge_by_age_sums_what_it_rolls_up(void **state)
{
    struct state *t = *state;
    for (unsigned i = 0; i < 400; i++)
        commit_bin(t->s, spool_a, i + 1, T0 + i * 30);
    struct window w[2] = {sample_window(1, 1, MONO0, 60), sample_window(1, 65, MONO0, 60)};
    struct store_window kept[2] = {{&w[0], T0, STORE_SAMPLE, NULL},
                                   {&w[1], T0, STORE_ANOMALOUS, NULL}};
    struct store_score score = {CAPTURE, 3, 0, 1, T0, 1, 1, 1, "x", NULL};
    struct store_batch batch = {.windows = kept, .n_windows = 2, .scores = &score, .n_scores = 1};
    assert_int_equal(store_commit(t->s, &batch), 0);
    put(t->s, STORE_ALERT, "open", T0, "{\"state\": \"new\"}");
    put(t->s, STORE_ALERT, "closed", T0, "{\"state\": \"closed\"}");

    put(t->s, STORE_CONTAINER, "c1", T0, "{\"state\": \"running\"}");
    put(t->s, STORE_CONTAINER, "c2", T0, "{\"state\": \"gone\", \"gone\": 1764000001}");
    put(t->s, STORE_PROCESS, "runs", T0, "{\"container\": \"c1\"}");
    put(t->s, STORE_PROCESS, "ended", T0, "{\"container\": \"c1\", \"last\": 1764000001}");
    put(t->s, STORE_PROCESS, "gone", T0, "{\"container\": \"c2\"}");

    struct store_retention keep = {.windows_age_s = 10,
                                   .processes_age_s = 10,
                                   .bins_second_age_s = 6000,
                                   .bins_minute_age_s = 8000,
                                   .alerts_age_s = 10,
                                   .scores_age_s = 10};
    json_auto_t *gone = NULL;
    double now = T0 + 400 * 30;
    assert_int_equal(store_purge(t->s, &keep, now, &gone), 0);
    assert_int_equal(json_integer_value(json_object_get(gone, "windows")), 1);
    assert_int_equal(json_integer_value(json_object_get(gone, "scores")), 1);
    assert_int_equal(calls_of(t->s, &(struct store_selection){0}), 40000);
    struct store_stats stats;
    assert_int_equal(store_get_stats(t->s, &stats), 0);
    assert_int_equal(stats.bins_second, 200);
    assert_int_equal(stats.bins_minute, 40);
    assert_int_equal(stats.bins_hour, 1);
    assert_int_equal(stats.windows, 1);
    assert_int_equal(store_get(t->s, STORE_ALERT, "open", NULL, NULL, NULL), 0);
    assert_int_equal(store_get(t->s, STORE_ALERT, "closed", NULL, NULL, NULL), -ENOENT);

    expect_keys(t->s, (struct store_query){.kind = STORE_PROCESS}, "runs", 1);
    expect_keys(t->s, (struct store_query){.kind = STORE_CONTAINER}, "c1", 1);

    /* A late bin of a minute that was rolled up before adds to it. */
    commit_bin(t->s, spool_b, 1, T0);
    assert_int_equal(store_purge(t->s, &keep, now, NULL), 0);
    assert_int_equal(calls_of(t->s, &(struct store_selection){0}), 40100);
    keep.bins_hour_age_s = 1;
    keep.anomalous_age_s = 1;
    assert_int_equal(store_purge(t->s, &keep, now + 86400, NULL), 0);
    assert_int_equal(calls_of(t->s, &(struct store_selection){0}), 0);
    /* And what comes after counts again. */
    commit_bin(t->s, spool_b, 2, now + 86400);
    assert_int_equal(calls_of(t->s, &(struct store_selection){0}), 100);
}

static void test_purge_by_size_keeps_what_is_worth_more(void **state)
{
    struct state *t = *state;
    enum { N = 2000 };
    struct window *windows = calloc(N, sizeof(*windows));
    struct store_window *rows = calloc(N, sizeof(*rows));
    for (unsigned i = 0; i < N; i++) {
        windows[i] = sample_window(1, 1 + i * 65, MONO0 + i, 64);
        for (unsigned k = 0; k < 64; k++)
            windows[i].argument[k] = (uint64_t)random() << 32 | (uint64_t)random();
        rows[i] =
            (struct store_window){&windows[i], T0, i < 100 ? STORE_ANOMALOUS : STORE_SAMPLE, NULL};
    }
    struct store_batch batch = {.windows = rows, .n_windows = N};
    assert_int_equal(store_commit(t->s, &batch), 0);
    put(t->s, STORE_ALERT, "open", T0, "{\"state\": \"new\"}");
    struct store_retention keep = {.size_max_bytes = 400 << 10};
    json_auto_t *gone = NULL;
    assert_int_equal(store_purge(t->s, &keep, T0, &gone), 0);
    struct store_stats stats;
    assert_int_equal(store_get_stats(t->s, &stats), 0);
    assert_true(stats.file_bytes - stats.free_bytes <= keep.size_max_bytes);
    assert_true(stats.free_bytes < 64 << 10); /* given back to the file system */
    assert_true(stats.windows >= 100 && stats.windows < N);
    assert_int_equal(store_get(t->s, STORE_ALERT, "open", NULL, NULL, NULL), 0);
    CLEANUP(store_rows_done) struct store_rows got = {0};
    struct store_selection sel = {.reason_min = STORE_NEAR};
    assert_int_equal(store_windows(t->s, &sel, &got), 0);
    assert_int_equal(got.n, 100);
    free(windows);
    free(rows);
}

struct reading {
    struct state *t;
    atomic_bool stop;
    atomic_uint rounds;
    unsigned wrong;
};

static void *read_all_the_time(void *argument)
{
    struct reading *r = argument;
    struct store *s = NULL;
    struct store_options options = {.path = r->t->place.path, .read_only = true};
    if (under_test->open(&options, &s) < 0)
        return NULL;
    while (!r->stop) {
        uint64_t sequence = 0;
        uint64_t calls = calls_of(s, &(struct store_selection){0});
        store_acknowledged(s, spool_a, &sequence);
        r->wrong += calls % 100 != 0 || sequence < calls / 100;
        r->rounds++;
    }
    store_close(s);
    return NULL;
}

static void test_readers_see_whole_commits_while_it_writes(void **state)
{
    struct state *t = *state;
    struct reading r = {.t = t};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &r), 0);
    uint64_t end = clock_mono_ns() + 60 * NS_PER_S;
    for (unsigned i = 0; i < 300 || (r.rounds < 3 && clock_mono_ns() < end); i++) {
        commit_bin(t->s, spool_a, i + 1, T0 + i);
        if (i >= 300)
            usleep(1000);
    }
    r.stop = true;
    pthread_join(thread, NULL);
    assert_true(r.rounds >= 3);
    assert_int_equal(r.wrong, 0);
}

static void test_read_only(void **state)
{
    struct state *t = *state;
    put(t->s, STORE_USER, "ana", T0, "{}");
    reopen(t, true);
    assert_int_equal(store_get(t->s, STORE_USER, "ana", NULL, NULL, NULL), 0);
    json_auto_t *body = json_object();
    struct store_document d = {.kind = STORE_USER, .key = "eve", .body = body};
    assert_int_equal(store_put(t->s, &d), -EROFS);
    struct store *none = NULL;
    struct store_options options = {.path = "/tmp/vigia-no-such-directory/x.db", .read_only = true};
    assert_int_equal(under_test->open(&options, &none), -ENOENT);
    assert_null(none);
}

int main(void)
{
    int failed = 0;
    for (size_t i = 0; store_table[i]; i++) {
        under_test = store_table[i];
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            T(test_documents),
            T(test_a_newer_document_is_not_removed),
            T(test_blob_stays_without_a_new_one),
            T(test_engine_and_soc_do_not_undo_each_other),
            T(test_find_filters_and_orders),
            T(test_brief_alerts_follow_the_whole_ones),
            T(test_sorts_before_it_cuts),
            T(test_prefix),
            T(test_processes_of_a_container),
            T(test_counts),
            T(test_audit_is_append_only),
            T(test_partial_bins_add_up_and_a_block_counts_once),
            T(test_commit_is_all_or_nothing),
            T(test_series_and_shares_by_workload),
            T(test_windows_are_kept_once),
            T(test_windows_that_come_one_by_one_are_packed),
            T(test_purge_by_age_sums_what_it_rolls_up),
            T(test_purge_by_size_keeps_what_is_worth_more),
            T(test_readers_see_whole_commits_while_it_writes),
            T(test_read_only),
        };
        failed += cmocka_run_group_tests_name(under_test->name, tests, NULL, NULL);
    }
    return failed;
}
