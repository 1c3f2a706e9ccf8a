#include "test.h"

#include <errno.h>
#include <pthread.h>

#include "base/queue.h"

static void closed_queue_hands_out_what_is_left(void **state)
{
    (void)state;
    struct queue *q;
    int a, b;
    void *item;
    assert_int_equal(queue_new(2, &q), 0);
    assert_int_equal(queue_push(q, &a), 0);
    assert_int_equal(queue_push(q, &b), 0);
    assert_int_equal(queue_try_push(q, &a), -EAGAIN);
    queue_close(q);
    assert_int_equal(queue_push(q, &a), -EPIPE);
    assert_int_equal(queue_pop(q, 0, &item), 0);
    assert_ptr_equal(item, &a);
    assert_int_equal(queue_pop(q, -1, &item), 0);
    assert_ptr_equal(item, &b);
    assert_int_equal(queue_pop(q, -1, &item), -EPIPE);
    queue_free(q);
}

static void *produce(void *q)
{
    for (uintptr_t i = 1; i <= 10000; i++)
        queue_push(q, (void *)i);
    queue_close(q);
    return NULL;
}

static void order_holds_between_threads(void **state)
{
    (void)state;
    struct queue *q;
    void *item;
    pthread_t thread;
    uintptr_t next = 1;
    assert_int_equal(queue_new(3, &q), 0);
    assert_int_equal(queue_pop(q, 1, &item), -ETIMEDOUT);
    pthread_create(&thread, NULL, produce, q);
    while (queue_pop(q, -1, &item) == 0)
        assert_int_equal((uintptr_t)item, next++);
    assert_int_equal(next, 10001);
    pthread_join(thread, NULL);
    queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_queue_hands_out_what_is_left),
        cmocka_unit_test(order_holds_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
