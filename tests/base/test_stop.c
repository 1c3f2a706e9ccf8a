#include "test.h"

#include "base/clock.h"
#include "base/stop.h"

static void it_waits_until_the_time_is_over(void **state)
{
    (void)state;
    struct stop s;
    stop_init(&s);
    uint64_t start_ns = clock_mono_ns();
    assert_false(stop_wait(&s, 0));
    assert_false(stop_wait(&s, 20 * NS_PER_MS));
    assert_true(clock_mono_ns() - start_ns >= 20 * NS_PER_MS);
    stop_set(&s);
    assert_true(stop_wait(&s, 0));
    stop_done(&s);
}

static void *wait_long(void *s)
{
    return stop_wait(s, 3600 * NS_PER_S) ? s : NULL;
}

static void all_that_wait_are_woken(void **state)
{
    (void)state;
    struct stop s;
    pthread_t threads[3];
    stop_init(&s);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_long, &s), 0);
    stop_set(&s);
    for (int i = 0; i < 3; i++) {
        void *ret;
        pthread_join(threads[i], &ret);
        assert_ptr_equal(ret, &s);
    }
    stop_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_until_the_time_is_over),
        cmocka_unit_test(all_that_wait_are_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
