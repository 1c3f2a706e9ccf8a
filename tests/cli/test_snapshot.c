/* The engine's state through the store's bytes: whole, and refused when damaged. */
#include "test.h"

#include <errno.h>

#include "cli/snapshot.h"
#include "soc/run.h"

static void test_state_comes_back(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    struct buf packed, before, after;
    buf_init(&before, 1 << 28), buf_init(&after, 1 << 28);
    engine_save(r.engine, &before);
    assert_int_equal(snapshot_pack(r.engine, &packed), 0);
    assert_true(packed.size < before.size / 2);
    struct engine *e = NULL;
    assert_int_equal(snapshot_unpack(packed.data, packed.size, &r.options, &e), 0);
    engine_save(e, &after);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.data, before.data, before.size);
    engine_free(e);
    e = NULL;
    assert_int_equal(snapshot_unpack(before.data, before.size, &r.options, &e), -EBADMSG);
    for (size_t n = 0; n < packed.size; n += 1 + packed.size / 100)
        assert_int_equal(snapshot_unpack(packed.data, n, &r.options, &e), -EBADMSG);
    assert_null(e);
    buf_done(&packed), buf_done(&before), buf_done(&after);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
