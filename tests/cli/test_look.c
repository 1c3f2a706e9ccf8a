/* The commands that look at the store, run as a person or a script runs them, on a store and a
 * spool made by the real ones. VIGIA names the binary. */
#include "../store/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "transport/spool.h"

static struct place place;
static struct store *store;
static char output[1 << 18];

static void put(enum store_kind kind, const char *key, double time, const char *body)
{
    json_error_t error;
    json_auto_t *json = json_loads(body, 0, &error);
    if (!json)
        fail_msg("%s: %s", body, error.text);
    struct store_document d = {.kind = kind, .key = key, .time = time, .body = json};
    assert_int_equal(store_put(store, &d), 0);
}

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    snprintf(place.path, sizeof(place.path), "%s/vigia.db", place.directory);
    return store_open(NULL, &(struct store_options){.path = place.path}, &store);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    place_remove(&place);
    return 0;
}

/* Exit status; both outputs in output. */
static int vigia(const char *arguments)
{
    char command[1024];
    const char *binary = getenv("VIGIA");
    assert_non_null(binary);
    snprintf(command, sizeof(command), "TZ=UTC %s %s --data %s --config /dev/null 2>&1", binary,
             arguments, place.directory);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(output, 1, sizeof(output) - 1, f);
    output[n] = '\0';
    int status = pclose(f);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *text)
{
    if (!strstr(output, text))
        fail_msg("\"%s\" is not in:\n%s", text, output);
}

static void expect_not(const char *text)
{
    if (strstr(output, text))
        fail_msg("\"%s\" is in:\n%s", text, output);
}

/* No line wider than a terminal, and nothing that a terminal would obey. */
static void expect_readable(void)
{
    unsigned width = 0;
    for (const char *p = output; *p; p++) {
        assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
        width = *p == '\n' ? 0 : width + ((*p & 0xc0) != 0x80);
        if (width > 100)
            fail_msg("a line is wider than 100:\n%s", output);
    }
}

static void put_alert(const char *id, const char *state, double first, const char *headline)
{
    json_auto_t *a = json_pack(
        "{s:s, s:n, s:f, s:b, s:s, s:b, s:b, s:f, s:f, s:f, s:f, s:s, s:{s:s, s:s, s:s, s:s, s:s},"
        " s:s, s:[s], s:[{s:s, s:f}], s:[]}",
        "state", state, "verdict", "score", 92.0, "provisional", 1, "phase", "steady", "held", 0,
        "open", 1, "first", first, "last", first + 5, "raised", first + 1, "latency_s", .8,
        "workload", "shop/Deployment/web/web", "container", "key", "c", "id",
        "0123456789abcdef0123", "name", "web\x1b[31m", "image", "nginx:1.25", "node", "n1",
        "headline", headline, "why", "dash was never started by nginx", "detectors", "name",
        "novelty", "share", .7, "history");
    assert_non_null(a);
    json_object_set_new(
        a, "processes",
        json_loads(
            "[{\"id\":\"100-1\",\"parent\":null,\"tgid\":100,\"program\":\"/usr/sbin/nginx\","
            "\"arguments\":\"nginx: worker\",\"first\":1,\"last\":2,\"strange\":false,"
            "\"flags\":[]},"
            "{\"id\":\"120-2\",\"parent\":\"100-1\",\"tgid\":120,\"program\":\"/bin/dash\","
            "\"arguments\":\"sh -c id\",\"first\":1,\"last\":2,\"strange\":true,"
            "\"flags\":[\"not from image\"]},"
            "{\"id\":\"7-7\",\"parent\":\"7-7\",\"tgid\":7,\"program\":\"loop\","
            "\"arguments\":\"\",\"first\":1,\"last\":2,\"strange\":true,\"flags\":[]}]",
            0, NULL));
    json_object_set_new(
        a, "sequences",
        json_loads(
            "[{\"time\":1764000000,\"process\":\"120-2\",\"program\":\"/bin/dash\","
            "\"detector\":\"ngram\",\"sentence\":\"an order of calls never seen\",\"calls\":["
            "{\"name\":\"read\",\"result\":\"ok\",\"argument\":null,\"context\":true,"
            "\"strange\":false,\"meaning\":\"read from a file\"},"
            "{\"name\":\"execve\",\"result\":\"ok\",\"argument\":\"exec /usr/bin/id\","
            "\"context\":false,\"strange\":true,\"meaning\":\"run a program\"}],"
            "\"expected\":[{\"name\":\"close\",\"share\":0.8}]}]",
            0, NULL));
    json_object_set_new(
        a, "novelties",
        json_loads("[{\"kind\":\"edge\",\"time\":1764000000,\"program\":\"/bin/dash\","
                   "\"text\":\"nginx -> dash\",\"sentence\":\"x\",\"count\":3}]",
                   0, NULL));
    struct store_document d = {.kind = STORE_ALERT, .key = id, .time = first, .body = a};
    assert_int_equal(store_put(store, &d), 0);
}

static void test_nothing_there_says_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(vigia("alerts"), 0);
    expect("vigia demo");
    assert_int_equal(vigia("containers"), 0);
    expect("vigia up");
    assert_int_equal(vigia("profiles"), 0);
    expect("vigia up");
    assert_int_equal(vigia("ledger"), 0);
    expect("Balanced");
    store_close(store);
    store = NULL;
    unlink(place.path);
    assert_int_equal(vigia("alerts"), 2);
    expect("vigia up");
    assert_int_equal(vigia("alerts --acknowledge x"), 2);
    assert_int_equal(vigia("user list"), 2);
    assert_int_equal(vigia("user add ana --random"), 2);
    expect("vigia up");
    assert_true(access(place.path, F_OK) < 0);
}

static void test_alerts_are_listed_newest_first(void **state)
{
    (void)state;
    put_alert("aaaa000000000001", "new", T0,
              "web ran a shell and it is a very long sentence that"
              " goes on and on over the width of any terminal, twice"
              " over, to see that it is wrapped");
    put_alert("bbbb000000000002", "closed", T0 + 60, "evil\x1b[2J\xe2\x80\xae text");
    assert_int_equal(vigia("alerts"), 0);
    expect("2025-11-24 16:00:00");
    expect("evil\\x1b[2J\\u{202e} text");
    assert_true(strstr(output, "bbbb") < strstr(output, "aaaa"));
    expect_readable();
    assert_int_equal(vigia("alerts --state new --json"), 0);
    json_auto_t *one = json_loads(output, 0, NULL); /* one line, one object */
    assert_string_equal(json_string_value(json_object_get(one, "id")), "aaaa000000000001");
    assert_null(json_object_get(one, "key"));
    assert_int_equal(vigia("alerts -q 'ran a SHELL' -n 5"), 0);
    expect("aaaa");
    expect_not("bbbb");
    assert_int_equal(vigia("alerts --state nonsense"), 2);
    assert_int_equal(vigia("alerts --limit 1"), 0);
    expect_not("aaaa");
    const char *const limits[] = {"0", "-1", "'+ 1'", "' 1'", "''", "2x"};
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        char line[64];
        snprintf(line, sizeof(line), "alerts --limit %s", limits[i]);
        assert_int_equal(vigia(line), 2);
        expect("--limit is a number from 1 on");
    }
}

static void test_one_alert_reads_as_a_story(void **state)
{
    (void)state;
    put_alert("aaaa000000000001", "new", T0, "nginx started a shell");
    assert_int_equal(vigia("alerts --id aaaa"), 0);
    expect("nginx started a shell");
    expect("dash was never started by nginx");
    expect("  ! └─ /bin/dash pid 120 [not from image]");
    expect("! execve           ok              exec /usr/bin/id - run a program");
    expect("Normally here: close (80 %)");
    expect("nginx -> dash");
    expect("web\\x1b[31m (0123456789ab)");
    expect("--verdict incident");
    expect_readable();
    expect_not("--retire");
    json_auto_t *held = json_pack("{s:b}", "held", 1);
    struct store_document d = {
        .kind = STORE_ALERT, .key = "aaaa000000000001", .body = held, .merge = true};
    assert_int_equal(store_put(store, &d), 0);
    assert_int_equal(vigia("alerts --id aaaa"), 0);
    expect("vigia profiles --retire shop/Deployment/web/web");
    expect_readable();
    assert_int_equal(vigia("alerts --id cccc"), 1);
    assert_int_equal(vigia("alerts --id ''"), 1);
}

static void test_closing_leaves_history_word_and_audit(void **state)
{
    (void)state;
    put_alert("aaaa000000000001", "new", T0, "nginx started a shell");
    assert_int_equal(vigia("alerts --close aaaa"), 2); /* without a verdict */
    assert_int_equal(vigia("alerts --close aaaa --verdict incident --id bbbb"), 2);
    expect("not aaaa and bbbb");
    assert_int_equal(vigia("alerts --id bbbb --reopen aaaa"), 2);
    assert_int_equal(vigia("alerts --id bbbb --id aaaa"), 2);
    assert_int_equal(vigia("alerts --acknowledge aaaa --note 'on it'"), 0);
    assert_int_equal(vigia("alerts --close aaaa --verdict false-alarm --json"), 0);
    json_auto_t *a = json_loads(output, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(a, "state")), "closed");
    assert_string_equal(json_string_value(json_object_get(a, "verdict")), "false alarm");
    json_t *history = json_object_get(a, "history");
    assert_int_equal(json_array_size(history), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(history, 0), "note")),
                        "on it");
    json_auto_t *word = NULL;
    assert_int_equal(store_get(store, STORE_STATE, "verdict/aaaa000000000001", &word, NULL, NULL),
                     0);
    assert_string_equal(json_string_value(json_object_get(word, "verdict")), "false alarm");
    uint64_t audits = 0;
    assert_int_equal(store_find(store, &(struct store_query){.kind = STORE_AUDIT}, NULL, &audits),
                     0);
    assert_int_equal(audits, 2);
    assert_int_equal(vigia("alerts --id aaaa"), 0);
    expect("closed: false alarm");
    expect("on it");
    assert_int_equal(vigia("alerts --reopen aaaa"), 0);
    assert_int_equal(vigia("alerts --state new"), 0);
    expect("aaaa");
}

#define NEW_MAX 60
static atomic_bool watched;

/* A new alert each second, written twice, until some were shown; then the last one. */
static void *put_twice(void *unused)
{
    char id[17];
    for (unsigned i = 0; i < NEW_MAX && !watched; i++) {
        snprintf(id, sizeof(id), "bbbb%012u", i);
        put_alert(id, "new", T0 + 1, "came meanwhile");
        sleep(1);
        put_alert(id, "new", T0 + 1, "came meanwhile");
    }
    put_alert("cccc000000000000", "new", T0 + 2, "the last");
    return unused;
}

/* What comes while it watches is shown once, though it is written twice. */
static void test_watch_shows_what_comes(void **state)
{
    (void)state;
    char command[512];
    pthread_t thread;
    unsigned shown[NEW_MAX] = {0}, n = 0;
    put_alert("aaaa000000000001", "new", T0, "was there before");
    snprintf(command, sizeof(command),
             "echo $$; exec timeout 120 %s alerts --watch --json --data %s --config /dev/null 2>&1",
             getenv("VIGIA"), place.directory);
    FILE *f = popen(command, "r");
    assert_non_null(fgets(output, sizeof(output), f));
    pid_t pid = (pid_t)strtol(output, NULL, 10);
    assert_int_equal(pthread_create(&thread, NULL, put_twice, NULL), 0);
    while (fgets(output, sizeof(output), f) && !strstr(output, "the last")) {
        json_auto_t *one = json_loads(output, 0, NULL);
        const char *id = json_string_value(json_object_get(one, "id"));
        assert_non_null(id);
        assert_string_equal(json_string_value(json_object_get(one, "headline")), "came meanwhile");
        assert_int_equal(shown[strtoul(id + 4, NULL, 10)]++, 0);
        watched = ++n >= 2;
    }
    expect("the last");
    kill(pid, SIGTERM);
    pclose(f);
    pthread_join(thread, NULL);
    assert_true(n >= 2);
}

static void test_containers_and_profiles(void **state)
{
    (void)state;
    put(STORE_CONTAINER, "0000000000000007-1", T0,
        "{\"name\": \"web\", \"pod\": \"shop-1\", \"id\": \"00ff\", \"image\": \"nginx\", "
        "\"workload\": \"shop/web\","
        " \"state\": \"running\", \"wanted\": true, \"attached\": true, \"reason\": \"\","
        " \"born\": 1764000000, \"gone\": null, \"calls\": 1234567, \"calls_per_s\": 950.7}");
    put(STORE_CONTAINER, "0000000000000007-2", T0,
        "{\"name\": \"\", \"id\": \"..%2f\", \"image\": \"\", \"workload\": \"\","
        " \"state\": \"gone\", \"wanted\": false, \"reason\": \"pause container\"}");
    assert_int_equal(vigia("containers"), 0);
    expect("1.23 M");
    expect("951/s");
    expect("found running");
    expect("shop-1/web");
    expect_not("pause");
    expect_readable();
    assert_int_equal(vigia("containers --all"), 0);
    expect("no: pause");
    put(STORE_PROFILE, "shop/web", T0,
        "{\"state\": \"learning\", \"reason\": \"9 of 15 active minutes\", \"steady\": {\"state\":"
        " \"learning\", \"progress\": 0.6, \"eta_s\": 360}, \"startup\": {\"state\": \"ready\"},"
        " \"provisional\": true, \"learnt\": {\"calls\": 5000}, \"asked_per_day\": 1,"
        " \"alerts\": {\"count\": 0, \"per_day_upper95\": 3.2}, \"containers\": 1}");
    assert_int_equal(vigia("profiles"), 0);
    expect("60 %, 6 min left");
    expect("9 of 15 active minutes");
    expect_readable();
    assert_int_equal(vigia("profiles --retire nobody"), 1);
    assert_int_equal(vigia("profiles --retire shop/web"), 0);
    assert_int_equal(store_get(store, STORE_STATE, "retire/shop/web", NULL, NULL, NULL), 0);
    assert_int_equal(vigia("profiles --json"), 0);
    json_auto_t *p = json_loads(output, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(p, "state")), "retired");
    assert_string_equal(json_string_value(json_object_get(p, "workload")), "shop/web");
}

/* A block with n calls seen of container 1, one of them lost. */
static void append_block(struct spool *spool, uint64_t n)
{
    struct block b = {.capture = 7, .mono_ns = 1000, .wall_ns = 1000 + (uint64_t)T0 * NS_PER_S};
    struct ledger_count count = {.container = 1, .seen = n, .delivered = n - 1};
    struct blind blind = {500, 900, "reboot"};
    count.dropped[DROP_RING_FULL] = 1;
    b.ledger = &count;
    b.n_ledger = 1;
    b.blinds = &blind;
    b.n_blinds = n == 30;
    assert_int_equal(spool_append(spool, &b), 0);
}

static void test_ledger(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/spool", place.directory);
    struct spool *spool = NULL;
    uint8_t uuid[16];
    assert_int_equal(spool_open(&(struct spool_options){.directory = path}, &spool), 0);
    spool_uuid(spool, uuid);
    for (uint64_t n = 10; n <= 30; n += 10)
        append_block(spool, n);
    /* The store has the first block. */
    json_auto_t *counts = json_pack("{s:i, s:i, s:{s:i, s:i}}", "seen", 10, "stored", 9, "dropped",
                                    "ring full", 1, "degraded", 4);
    struct store_document d = {
        .kind = STORE_LEDGER, .key = "0000000000000007-1", .time = T0, .body = counts};
    struct store_batch batch = {.documents = &d, .n_documents = 1, .spool = uuid, .sequence = 1};
    assert_int_equal(store_commit(store, &batch), 0);
    assert_int_equal(vigia("ledger --json"), 0);
    json_auto_t *l = json_loads(output, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(l, "seen")), 60);
    assert_int_equal(json_integer_value(json_object_get(l, "stored")), 9);
    assert_int_equal(json_integer_value(json_object_get(l, "in_flight")), 48);
    json_t *dropped = json_object_get(l, "dropped");
    assert_int_equal(json_object_size(dropped), 1);
    assert_int_equal(json_integer_value(json_object_get(dropped, "ring full")), 3);
    assert_true(json_is_true(json_object_get(l, "balanced")));
    json_t *blind = json_array_get(json_object_get(l, "blind"), 0);
    assert_string_equal(json_string_value(json_object_get(blind, "reason")), "reboot");
    assert_int_equal(vigia("ledger"), 0);
    expect("ring full");
    expect_readable();
    spool_close(spool);
    /* A call that nothing accounts for. */
    json_object_set_new(counts, "seen", json_integer(11));
    assert_int_equal(store_put(store, &d), 0);
    assert_int_equal(vigia("ledger"), 1);
    expect("NOT BALANCED: 1 calls");
    assert_int_equal(vigia("ledger --json"), 1);
    expect("\"balanced\":false");
}

/* Capture and detection, each with tables of the same name. */
static void test_ledger_says_what_was_refused(void **state)
{
    (void)state;
    put(STORE_STATE, "live", T0,
        "{\"agent\": {\"refused\": {\"texts\": 2, \"bins\": 0}},"
        " \"engine\": {\"refused\": {\"texts\": 1, \"learning\": 1234}}}");
    assert_int_equal(vigia("ledger"), 0);
    expect("Refused by a full table: 3 texts");
    expect("Refused by a full table: 1,234 learning");
    expect_not("bins");
}

/* Each says in JSON what it did; the audit log names who sat there, not root. */
static void test_users(void **state)
{
    (void)state;
    const struct {
        const char *command, *done;
    } steps[] = {{"user add eva --random --json", "added"},
                 {"user password eva --random --json", "password changed"},
                 {"user role eva --role viewer --json", "role changed"},
                 {"user unlock eva --json", "unlocked"},
                 {"user remove eva --json", "removed"}};
    setenv("SUDO_USER", "ana", 1);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        assert_int_equal(vigia(steps[i].command), 0);
        json_auto_t *said = json_loads(output, 0, NULL);
        assert_non_null(said);
        assert_string_equal(json_string_value(json_object_get(said, "name")), "eva");
        assert_string_equal(json_string_value(json_object_get(said, "done")), steps[i].done);
        assert_int_equal(json_string_length(json_object_get(said, "password")), i < 2 ? 24 : 0);
    }
    unsetenv("SUDO_USER");
    assert_int_equal(vigia("user role eva"), 2);
    expect("which role?");
    assert_int_equal(vigia("user role eva --role analyst"), 1);
    expect("there is no user 'eva'");
    json_auto_t *audit = NULL;
    json_t *entry;
    size_t i;
    assert_int_equal(store_find(store, &(struct store_query){.kind = STORE_AUDIT}, &audit, NULL),
                     0);
    assert_int_equal(json_array_size(audit), ARRAY_SIZE(steps));
    json_array_foreach (audit, i, entry) {
        assert_string_equal(json_string_value(json_object_get(entry, "who")), "ana");
        assert_string_equal(json_string_value(json_object_get(entry, "address")), "command line");
    }
}

/* Where the data directory will be made is what counts, by whatever path it is named. */
static void test_doctor_looks_where_the_data_will_be(void **state)
{
    (void)state;
    static const char *const names[] = {"new", "new/er", "/new/est", "./new"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char command[1024], expected[64];
        snprintf(command, sizeof(command), "cd %s && %s doctor --data %s --config /dev/null",
                 place.directory, getenv("VIGIA"), names[i]);
        snprintf(expected, sizeof(expected), " MiB free for %s;", names[i]);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        output[fread(output, 1, sizeof(output) - 1, f)] = '\0';
        pclose(f);
        expect(expected);
    }
}

static void test_help_teaches(void **state)
{
    (void)state;
    const char *const commands[] = {"alerts", "containers", "ledger", "profiles", "user"};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        char line[64];
        snprintf(line, sizeof(line), "%s --help", commands[i]);
        assert_int_equal(vigia(line), 0);
        expect("Example");
        expect("--json");
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_nothing_there_says_what_to_do),
        T(test_alerts_are_listed_newest_first),
        T(test_one_alert_reads_as_a_story),
        T(test_closing_leaves_history_word_and_audit),
        T(test_watch_shows_what_comes),
        T(test_containers_and_profiles),
        T(test_ledger),
        T(test_ledger_says_what_was_refused),
        T(test_users),
        T(test_doctor_looks_where_the_data_will_be),
        T(test_help_teaches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
