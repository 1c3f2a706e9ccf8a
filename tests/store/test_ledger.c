/* The ledger's rows, of which there may be any number. */
#include "samples.h"

/* More than one reading of documents gives, with the acknowledgement that they belong to. */
static void every_row_is_read(void **state)
{
    enum { ROWS = STORE_FIND_MAX + 500 };
    struct place *place = *state;
    struct store *s;
    struct ledger_count counts = {.seen = 12, .delivered = 9};
    counts.dropped[DROP_RING_FULL] = 2;
    counts.dropped[DROP_TABLE_FULL] = 1;
    assert_int_equal(store_open(NULL, &(struct store_options){.path = place->path}, &s), 0);
    json_auto_t *body = store_ledger_body(&counts), *all = NULL;
    char(*keys)[STORE_KEY_MAX] = calloc(ROWS, sizeof(*keys));
    struct store_document *documents = calloc(ROWS, sizeof(*documents));
    for (uint32_t i = 0; i < ROWS; i++) {
        store_container_key(CAPTURE, i, keys[i]);
        documents[i] =
            (struct store_document){.kind = STORE_LEDGER, .key = keys[i], .time = T0, .body = body};
    }
    struct store_batch batch = {
        .documents = documents, .n_documents = ROWS, .spool = spool_a, .sequence = 77};
    assert_int_equal(store_commit(s, &batch), 0);
    store_close(s);
    assert_int_equal(
        store_open(NULL, &(struct store_options){.path = place->path, .read_only = true}, &s), 0);
    struct store_rows rows = {0};
    assert_int_equal(store_ledger(s, spool_a, NULL, &rows), 0);
    assert_int_equal(rows.n, ROWS);
    assert_int_equal(rows.sequence, 77);
    uint64_t containers = 0;
    for (uint32_t i = 0; i < rows.n; i++) {
        counts.container = rows.ledger[i].count.container;
        containers += counts.container;
        assert_true(rows.ledger[i].capture == CAPTURE);
        assert_memory_equal(rows.ledger[i].count.dropped, counts.dropped, sizeof(counts.dropped));
        assert_int_equal(rows.ledger[i].count.seen, 12);
        assert_int_equal(rows.ledger[i].count.delivered, 9);
    }
    assert_int_equal(containers, (uint64_t)ROWS * (ROWS - 1) / 2);
    store_rows_done(&rows);
    assert_int_equal(store_ledger(s, NULL, keys[3], &rows), 0);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.sequence, 0);
    assert_int_equal(rows.ledger[0].count.container, 3);
    store_rows_done(&rows);
    assert_int_equal(store_ledger(s, spool_b, "none", &rows), 0);
    assert_int_equal(rows.n, 0);
    uint64_t total = 0;
    assert_int_equal(store_find_all(s, (struct store_query){.kind = STORE_LEDGER}, 0, &all, &total),
                     0);
    assert_int_equal(json_array_size(all), ROWS);
    assert_int_equal(total, ROWS);
    json_decref(all);
    all = NULL;
    assert_int_equal(store_find_all(s, (struct store_query){.kind = STORE_LEDGER},
                                    STORE_FIND_MAX + 1, &all, NULL),
                     0);
    assert_int_equal(json_array_size(all), STORE_FIND_MAX + 1);
    store_close(s);
    free(documents);
    free(keys);
}

int main(void)
{
    struct place place;
    place_make(&place);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(every_row_is_read, &place),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    place_remove(&place);
    return failed;
}
