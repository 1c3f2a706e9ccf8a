/* A database of every schema version that was ever released opens, is migrated, and reads the same.
 *
 * tests/store/fixtures/version-N.db was written by `test_store_migration --make FILE` of the vigia
 * that had schema N; it is never written again. */
#include "samples.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>

#define FIXTURES SOURCE "/tests/store/fixtures"

static void fill(struct store *s)
{
    char key[STORE_KEY_MAX];
    store_container_key(CAPTURE, 3, key);
    json_auto_t *alert = json_pack("{s:s, s:i, s:[]}", "state", "new", "score", 60, "history");
    json_auto_t *container = json_pack("{s:s, s:s}", "workload", "shop/web", "state", "running");
    json_auto_t *audit = json_pack("{s:s}", "action", "login");
    struct store_document documents[] = {
        {.kind = STORE_ALERT, .key = "a1", .time = T0, .body = alert},
        {.kind = STORE_CONTAINER, .key = key, .time = T0, .body = container},
        {.kind = STORE_AUDIT, .time = T0, .body = audit},
        {.kind = STORE_PROFILE,
         .key = "shop/web",
         .time = T0,
         .body = container,
         .blob = "model",
         .blob_size = 5},
    };
    struct bin bin;
    struct bin_count counts[2];
    struct store_bin b = sample_bin(&bin, counts, 3, T0);
    struct store_score score = {CAPTURE, 3, 1, 1, T0, 2.5f, 4, 7, "ngram", "[]"};
    struct window w[8];
    struct store_window kept[8];
    for (unsigned i = 0; i < 8; i++) {
        w[i] = sample_window(3, 1 + i * 64, MONO0 + i * 1000000, 40);
        kept[i] = (struct store_window){&w[i], T0 + i / 1e3, i == 4 ? STORE_ANOMALOUS : STORE_NEAR,
                                        "shop/web"};
    }
    struct store_batch batch = {documents, &score, kept, &b, 4, 1, 8, 1, spool_a, 42};
    assert_int_equal(store_commit(s, &batch), 0);
}

static void expect_filled(struct store *s)
{
    uint64_t sequence = 0;
    assert_int_equal(store_acknowledged(s, spool_a, &sequence), 0);
    assert_int_equal(sequence, 42);
    CLEANUP(freep) void *blob = NULL;
    size_t size;
    assert_int_equal(store_get(s, STORE_PROFILE, "shop/web", NULL, &blob, &size), 0);
    assert_int_equal(size, 5);
    CLEANUP(store_rows_done) struct store_rows states = {0}, series = {0}, windows = {0};
    struct store_query alerts = {.kind = STORE_ALERT};
    assert_int_equal(store_counts(s, &alerts, "state", &states), 0);
    assert_int_equal(states.n, 1);
    assert_string_equal(states.counts[0].value, "new");
    json_auto_t *brief = NULL;
    alerts.brief = true;
    assert_int_equal(store_find(s, &alerts, &brief, NULL), 0);
    assert_int_equal(json_array_size(brief), 1);
    assert_non_null(json_object_get(json_array_get(brief, 0), "score"));
    assert_null(json_object_get(json_array_get(brief, 0), "history"));
    struct store_selection sel = {.workload = "shop/web", .step_s = 1};
    assert_int_equal(store_series(s, &sel, &series), 0);
    assert_int_equal(series.n, 1);
    assert_int_equal(series.points[0].calls, 100);
    assert_true(series.points[0].score[1] == 2.5f);
    assert_int_equal(store_windows(s, &sel, &windows), 0);
    assert_int_equal(windows.n, 8);
    struct window expected = sample_window(3, 1 + 4 * 64, MONO0 + 4 * 1000000, 40);
    assert_memory_equal(&windows.windows[4].window, &expected, sizeof(expected));
    assert_int_equal(windows.windows[4].reason, STORE_ANOMALOUS);
}

static void copy_file(const char *from, const char *to)
{
    char command[512];
    snprintf(command, sizeof(command), "mkdir -p $(dirname %s) && cp %s %s", to, from, to);
    assert_int_equal(system(command), 0);
}

static void migrate_version(int version, int newest)
{
    struct place place;
    place_make(&place);
    char from[256];
    snprintf(from, sizeof(from), FIXTURES "/version-%d.db", version);
    copy_file(from, place.path);
    struct store *s = NULL;
    struct store_options look = {.path = place.path, .read_only = true};
    assert_int_equal(store_open(NULL, &look, &s), version < newest ? -EPROTONOSUPPORT : 0);
    store_close(s);
    struct store_options options = {.path = place.path};
    for (int i = 0; i < 2; i++) { /* once migrated it opens like any other */
        assert_int_equal(store_open(NULL, &options, &s), 0);
        expect_filled(s);
        store_close(s);
    }
    assert_int_equal(store_open(NULL, &look, &s), 0);
    struct store_stats stats;
    assert_int_equal(store_get_stats(s, &stats), 0);
    assert_int_equal(stats.schema, newest);
    store_close(s);
    place_remove(&place);
}

/* The schema as SQL text, to compare a migrated with a new database. */
static char *schema_of(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_open(path, &db), 0);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM"
                                        " sqlite_schema ORDER BY type, name)",
                                        -1, &row, NULL),
                     0);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(row, 0));
    sqlite3_finalize(row);
    sqlite3_close(db);
    return text;
}

static int newest_schema(void)
{
    struct place place;
    place_make(&place);
    struct store *s = NULL;
    struct store_options options = {.path = place.path};
    assert_int_equal(store_open(NULL, &options, &s), 0);
    struct store_stats stats;
    assert_int_equal(store_get_stats(s, &stats), 0);
    store_close(s);
    place_remove(&place);
    return (int)stats.schema;
}

static void test_every_version_migrates(void **state)
{
    (void)state;
    const int newest = newest_schema();
    for (int version = 1; version <= newest; version++)
        migrate_version(version, newest);
}

static void test_migrated_and_new_have_the_same_tables(void **state)
{
    (void)state;
    struct place old, new;
    place_make(&old);
    place_make(&new);
    copy_file(FIXTURES "/version-1.db", old.path);
    struct store *s = NULL;
    assert_int_equal(store_open(NULL, &(struct store_options){.path = old.path}, &s), 0);
    store_close(s);
    assert_int_equal(store_open(NULL, &(struct store_options){.path = new.path}, &s), 0);
    store_close(s);
    CLEANUP(freep) char *a = schema_of(old.path), *b = schema_of(new.path);
    assert_string_equal(a, b);
    place_remove(&old);
    place_remove(&new);
}

static int make(const char *path)
{
    struct store *s = NULL;
    if (store_open(NULL, &(struct store_options){.path = path}, &s) < 0)
        return 1;
    fill(s);
    store_close(s);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--make") == 0)
        return make(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_version_migrates),
        cmocka_unit_test(test_migrated_and_new_have_the_same_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
