/* What a block tells of containers and processes has a bound, whatever they are like. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "capture/tell.h"

#define MANY 16000 /* with names of 250 bytes more than a block has room for */
#define FIRST (1u << 20)

static size_t bytes_of(const struct block *b)
{
    size_t size = 0;
    for (uint32_t i = 0; i < b->n_containers; i++)
        size += container_bytes(&b->containers[i]);
    return size;
}

/* Adds what the next block tells to the numbers seen. */
static void tell(struct capture *c, bool all, bool kept, bool *seen)
{
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    assert_int_equal(containers_tell(c, 0, all, b), 0);
    assert_true(bytes_of(b) <= CONTAINERS_BYTES_MAX);
    if (!kept)
        return;
    for (uint32_t i = 0; i < b->n_containers; i++)
        seen[b->containers[i].number - FIRST] = true;
    containers_told(c);
}

static uint32_t count(const bool *seen)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MANY; i++)
        n += seen[i];
    return n;
}

static void test_containers_go_over_into_the_next_block(void **state)
{
    (void)state;
    struct kernel kernel = {0};
    struct control control = {0};
    struct capture c = {.kernel = &kernel, .tell_from = ALL_TOLD};
    const struct containers_options o = {
        .run = "/none", .docker = "/none", .podman = "/none", .cgroup = "/none"};
    kernel.control = &control;
    for (int i = 0; i < KERNEL_MAPS; i++)
        kernel.maps[i] = -1;
    assert_int_equal(containers_new(&o, &c.containers), 0);
    decide_init(&c.decide, &kernel, c.containers, false);
    for (uint32_t i = 0; i < MANY; i++) {
        char path[256];
        snprintf(path, sizeof(path), "/%0250u", i);
        assert_non_null(containers_add(c.containers, FIRST + i, i + 1, path, 0));
    }
    bool *seen = calloc(MANY, sizeof(*seen));
    tell(&c, false, false, seen); /* not kept: the next tells the same */
    tell(&c, false, true, seen);
    assert_in_range(count(seen), MANY / 2, MANY - 1);
    tell(&c, false, true, seen);
    assert_int_equal(count(seen), MANY);

    memset(seen, 0, MANY * sizeof(*seen));
    tell(&c, true, true, seen); /* a snapshot: all again */
    assert_in_range(count(seen), MANY / 2, MANY - 1);
    tell(&c, false, false, seen);
    tell(&c, false, true, seen);
    assert_int_equal(count(seen), MANY);
    memset(seen, 0, MANY * sizeof(*seen));
    tell(&c, false, true, seen);
    assert_in_range(count(seen), 0, 32); /* as many are looked at again in a tick */
    free(seen);
    free(c.changed);
    decide_done(&c.decide);
    containers_free(c.containers);
}

int main(void)
{
    log_set_level(LOG_LEVEL_NONE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_containers_go_over_into_the_next_block)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
