/* The index against a plain array, with many deletions. */
#include "test.h"

#include "base/hash.h"
#include "base/index.h"

#define KEYS 1000

static void test_against_an_array(void **state)
{
    (void)state;
    struct index ix = {0};
    uint32_t want[KEYS];
    uint64_t random = 1;
    for (uint32_t i = 0; i < KEYS; i++)
        want[i] = INDEX_NONE;
    assert_int_equal(index_get(&ix, 5), INDEX_NONE);
    index_remove(&ix, 5);
    for (uint32_t i = 0; i < 200000; i++) {
        random = hash_mix(random, i);
        uint32_t key = (uint32_t)(random >> 20) % KEYS;
        if (random >> 61 < 4) {
            index_remove(&ix, key);
            want[key] = INDEX_NONE;
        } else {
            assert_int_equal(index_put(&ix, key, i), 0);
            want[key] = i;
        }
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(index_get(&ix, i), want[i]);
        n += want[i] != INDEX_NONE;
    }
    assert_int_equal(ix.n, n);
    index_clear(&ix);
    assert_int_equal(index_get(&ix, 1), INDEX_NONE);
    index_done(&ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_an_array)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
