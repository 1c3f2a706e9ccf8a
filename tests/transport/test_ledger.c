#include "transport/ledger.h"

#include "test.h"
#include "transport/blocks.h"
#include "transport/loss.h"

static void counts_add_up_per_container(void **state)
{
    (void)state;
    struct ledger l;
    ledger_init(&l);
    struct ledger_count rows[] = {{.container = 1, .seen = 10, .delivered = 7},
                                  {.container = 2, .seen = 5, .delivered = 5}};
    rows[0].dropped[DROP_RING_FULL] = 2;
    rows[0].dropped[DROP_RECURSION] = 1;
    rows[1].dropped[DROP_DEGRADED] = 4; /* binned: delivered all the same */
    struct blind blind = {100, 200, (char *)"reboot"};
    struct block b = {.capture = 9,
                      .ledger = rows,
                      .n_ledger = 2,
                      .blinds = &blind,
                      .n_blinds = 1,
                      .mono_ns = 1000,
                      .wall_ns = 6000};
    assert_int_equal(ledger_add(&l, &b), 0);
    assert_int_equal(ledger_add(&l, &b), 0);
    b.capture = 10; /* another boot: its container 1 is not ours */
    assert_int_equal(ledger_add(&l, &b), 0);
    assert_int_equal(l.n_rows, 4);
    assert_int_equal(l.rows[0].count.seen, 20);
    for (uint32_t i = 0; i < l.n_rows; i++)
        assert_true(ledger_balanced(&l.rows[i].count));
    struct ledger_count total = ledger_total(&l);
    assert_true(ledger_balanced(&total));
    assert_int_equal(total.seen, 45);
    assert_int_equal(ledger_dropped(&total), 9);
    assert_int_equal(l.n_blinds, 3);
    assert_true(l.blinds[0].first_ns == 5100 && l.blinds[0].last_ns == 5200);
    total.delivered--;
    assert_false(ledger_balanced(&total));
    ledger_done(&l);
}

static void many_containers_stay_bounded(void **state)
{
    (void)state;
    struct ledger l;
    ledger_init(&l);
    struct ledger_count c = {.seen = 3, .delivered = 3};
    for (uint32_t i = 0; i < LEDGER_ROWS_MAX + 100; i++) {
        c.container = i;
        assert_int_equal(ledger_add_count(&l, 1, &c), 0);
    }
    assert_int_equal(l.n_rows, LEDGER_ROWS_MAX + 1);
    assert_int_equal(ledger_find(&l, 0, UINT32_MAX)->count.seen, 3 * 100);
    assert_null(ledger_find(&l, 1, LEDGER_ROWS_MAX));
    struct ledger_count total = ledger_total(&l);
    assert_int_equal(total.seen, 3 * (LEDGER_ROWS_MAX + 100));
    ledger_done(&l);
}

static void what_a_lost_block_delivered_is_dropped(void **state)
{
    (void)state;
    CLEANUP(loss_done) struct loss loss = {0};
    struct ledger_count row = {.container = 4, .seen = 100, .delivered = 90};
    row.dropped[DROP_RING_FULL] = 10;
    struct block lost = {
        .capture = 1, .from_ns = 50, .until_ns = 60, .ledger = &row, .n_ledger = 1};
    struct block unreadable = {.capture = 1, .from_ns = 60, .until_ns = 70};
    assert_int_equal(loss_add(&loss, &lost, 90, DROP_SPOOL_FULL), 0);
    assert_int_equal(loss_add(&loss, &lost, 90, DROP_SPOOL_FULL), 0);
    assert_int_equal(loss_add(&loss, &unreadable, 7, DROP_CORRUPT), 0);
    struct block carrier = {.capture = 1}, joined;
    assert_int_equal(loss_join(&loss, &carrier, &joined), 0);
    assert_int_equal(joined.n_gaps, 2);
    assert_true(joined.gaps[0].calls == 180 && joined.gaps[0].first_ns == 50 &&
                joined.gaps[0].last_ns == 60 && joined.gaps[0].container == 4);
    assert_true(joined.gaps[1].calls == 7 && joined.gaps[1].container == UINT32_MAX);
    struct ledger l;
    ledger_init(&l);
    assert_int_equal(ledger_add(&l, &joined), 0);
    struct ledger_count total = ledger_total(&l);
    assert_true(ledger_balanced(&total));
    assert_int_equal(total.delivered, 0);
    assert_int_equal(total.dropped[DROP_SPOOL_FULL], 180);
    assert_int_equal(total.dropped[DROP_RING_FULL], 20);
    assert_int_equal(total.dropped[DROP_CORRUPT], 7);
    ledger_done(&l);
    free(joined.gaps);
    free(joined.ledger);
    free(joined.blinds);
    carrier.capture = 2;
    assert_int_equal(loss_join(&loss, &carrier, &joined), 0);
    assert_int_equal(joined.gaps[0].container, UINT32_MAX);
    free(joined.gaps);
    free(joined.ledger);
    free(joined.blinds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_add_up_per_container),
        cmocka_unit_test(many_containers_stay_bounded),
        cmocka_unit_test(what_a_lost_block_delivered_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
