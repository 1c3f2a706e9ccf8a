/* When calls were lost: the table against a list of all that was ever told. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "bpf/event.h"
#include "capture/lost.h"

#define CONTAINERS 5
#define CUTS 200

static uint32_t random_below(uint32_t *x, uint32_t n)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x % n;
}

static bool lost_in(const struct lost_interval *all, uint32_t n, uint32_t container, uint64_t from,
                    uint64_t until)
{
    for (uint32_t i = 0; i < n; i++)
        if ((all[i].container == container || all[i].container == CONTAINER_UNKNOWN) &&
            all[i].first_ns <= until && all[i].last_ns >= from)
            return true;
    return false;
}

static void test_all(void **state)
{
    static struct lost_interval all[CUTS * 4];
    struct lost *l = calloc(1, sizeof(*l));
    uint32_t n = 0, x = 1, found = 0, asked = 0;
    (void)state;
    for (uint64_t t0 = 1000; t0 < 1000 + CUTS * 100; t0 += 100) {
        for (uint32_t i = random_below(&x, 4); i > 0; i--) {
            struct lost_interval *y = &all[n++];
            y->container = random_below(&x, 60) ? random_below(&x, CONTAINERS) : CONTAINER_UNKNOWN;
            y->first_ns = t0 - 150 + random_below(&x, 300); /* some are ahead of the cut */
            y->last_ns = y->first_ns + random_below(&x, 100);
            for (uint32_t k = 0; k < 1 + random_below(&x, 2); k++)
                lost_add(l, y->container, y->first_ns, y->last_ns);
        }
        lost_settle(l, t0 - 100);
        assert_true(l->n < 30);
        for (uint32_t i = 0; i < 50; i++) {
            uint64_t until = t0 - 100 + random_below(&x, 100);
            uint64_t from = until - random_below(&x, i % 2 ? 1000 : 50);
            uint32_t container = random_below(&x, CONTAINERS + 1);
            bool expected = lost_in(all, n, container, from, until);
            assert_int_equal(lost_between(l, container, from, until), expected);
            found += expected;
            asked++;
        }
    }
    assert_true(found > asked / 10 && found < asked / 10 * 9);
    free(l);
}

/* Containers without end: more than are remembered apart. */
static void test_full(void **state)
{
    struct lost *l = calloc(1, sizeof(*l));
    (void)state;
    for (uint32_t i = 1; i <= LOST_MAX; i++)
        lost_add(l, i, 100 + i, 100 + i);
    lost_settle(l, 9000);
    assert_true(lost_between(l, 7, 50, 9000));
    assert_false(lost_between(l, 7, 108, 9000));
    lost_add(l, LOST_MAX + 1, 9500, 9600);
    lost_settle(l, 10000);
    assert_int_equal(l->n, 1);
    assert_true(lost_between(l, 7, 108, 10000)); /* whose they were is not known any more */
    assert_false(lost_between(l, 7, 9601, 10000));
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
