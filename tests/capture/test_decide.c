/* Which number of the kernel's is which container, and that none outlives its end, nor ends before
 * it. */
#include "test.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/decide.h"
#include "capture/known.h"

#define FIRST (1u << 20) /* of the kernel's own numbers */
#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define S NS_PER_S

struct scene {
    struct control control;
    struct kernel kernel;
    struct containers *containers;
    struct decide decide;
    char root[64];
};

static int hash_map(uint32_t key, uint32_t value)
{
    LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_NO_PREALLOC);
    return bpf_map_create(BPF_MAP_TYPE_HASH, "test", key, value, 1024, &o);
}

/* maps: with those of the kernel programs, where they can be made. */
static void begin(struct scene *s, bool maps)
{
    char path[128];
    *s = (struct scene){.kernel = {.control = &s->control}};
    for (int i = 0; i < KERNEL_MAPS; i++)
        s->kernel.maps[i] = -1;
    snprintf(s->root, sizeof(s->root), "/tmp/vigia-test-decide-XXXXXX");
    assert_non_null(mkdtemp(s->root));
    snprintf(path, sizeof(path), "%s/proc", s->root);
    assert_int_equal(mkdir(path, 0755), 0);
    const struct containers_options o = {
        .proc = path, .cgroup = s->root, .run = "/none", .docker = "/none", .podman = "/none"};
    assert_int_equal(containers_new(&o, &s->containers), 0);
    decide_init(&s->decide, &s->kernel, s->containers, false);
    if (!maps)
        return;
    s->kernel.maps[MAP_CGROUPS] = hash_map(8, 4);
    s->kernel.maps[MAP_CONTAINERS] = hash_map(4, sizeof(struct container_entry));
    s->kernel.maps[MAP_DECISIONS] = hash_map(4, 4);
}

static void end(struct scene *s)
{
    char command[96];
    for (int i = 0; i < KERNEL_MAPS; i++)
        closep(&s->kernel.maps[i]);
    decide_done(&s->decide);
    containers_free(s->containers);
    snprintf(command, sizeof(command), "rm -rf %s", s->root);
    assert_int_equal(system(command), 0);
}

#define NEED_MAPS(s)                                                                               \
    do {                                                                                           \
        if ((s)->kernel.maps[MAP_DECISIONS] < 0) {                                                 \
            end(s);                                                                                \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static struct record_cgroup record(uint32_t number, uint64_t time_ns)
{
    struct record_cgroup r = {
        .type = RECORD_CGROUP, .container = number, .cgroup = number, .time = time_ns};
    snprintf(r.path, sizeof(r.path), "/docker/%064x", number);
    return r;
}

/* As the kernel does it when the cgroup is made; removed: and goes. */
static void kernel_makes(struct scene *s, const struct record_cgroup *r, bool removed)
{
    struct container_entry e = {.cgroup = r->cgroup};
    memcpy(e.path, r->path, sizeof(e.path));
    assert_int_equal(bpf_map_update_elem(s->kernel.maps[MAP_CONTAINERS], &r->container, &e, 0), 0);
    if (!removed)
        assert_int_equal(
            bpf_map_update_elem(s->kernel.maps[MAP_CGROUPS], &r->cgroup, &r->container, 0), 0);
}

static int state_of(struct scene *s, uint32_t number)
{
    const struct container *c = containers_get(s->containers, number);
    return c ? c->state : -1;
}

static void poll(struct scene *s, uint64_t now_ns)
{
    struct container *changed = NULL;
    uint32_t n = 0;
    assert_int_equal(containers_poll(s->containers, now_ns, &changed, &n), 0);
    while (n)
        container_done(&changed[--n]);
    free(changed);
}

/* A block that cannot be written is made again from the same records: an end is kept once. */
static void test_an_end_told_again_is_one(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, false);
    for (int tick = 0; tick < 1000; tick++) {
        for (uint32_t i = 0; i < 10; i++) {
            struct record_cgroup r = record(FIRST + i, S);
            decide_new(&s.decide, &r);
            decide_gone(&s.decide, &r);
        }
    }
    assert_int_equal(s.decide.gone.n, 10);
    assert_int_equal(state_of(&s, FIRST), CONTAINER_GONE);
    decide_forget(&s.decide, 3 * S);
    assert_int_equal(s.decide.gone.n, 10);
    decide_forget(&s.decide, 7 * S);
    assert_int_equal(s.decide.gone.n, 0);
    poll(&s, 7 * S);
    assert_int_equal(containers_count(s.containers), 0);
    end(&s);
}

/* The record of a cgroup's end did not fit into its buffer: found by its key in the kernel's map.
 */
static void test_an_untold_end_is_found(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, true);
    NEED_MAPS(&s);
    for (uint32_t i = 0; i < 3; i++) {
        struct record_cgroup r = record(FIRST + i, S);
        kernel_makes(&s, &r, i == 1);
        if (i < 2) /* of the last one not even the beginning was told */
            decide_new(&s.decide, &r);
    }
    decide_look(&s.decide, 2 * S);
    assert_int_not_equal(state_of(&s, FIRST + 1), CONTAINER_GONE); /* no reason to look */
    s.control.lost_records = 1;
    decide_look(&s.decide, 2 * S);
    assert_int_not_equal(state_of(&s, FIRST), CONTAINER_GONE);
    assert_int_equal(state_of(&s, FIRST + 1), CONTAINER_GONE);
    assert_int_equal(s.decide.gone.n, 1);
    decide_forget(&s.decide, 10 * S);
    poll(&s, 10 * S);
    assert_int_equal(state_of(&s, FIRST + 1), -1);
    assert_int_equal(s.decide.gone.n, 0);
    end(&s);
}

/* The same for what ended while no agent ran, those included that an agent had found. */
static void test_an_end_without_agent(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, true);
    NEED_MAPS(&s);
    struct record_cgroup there = record(FIRST, S), gone = record(FIRST + 1, S),
                         found = record(5, S);
    strcpy(found.path, A); /* of those it had found it noted the id */
    kernel_makes(&s, &there, false);
    kernel_makes(&s, &gone, true);
    kernel_makes(&s, &found, true);
    s.kernel.taken_up = true;
    assert_int_equal(decide_scan(&s.decide, 9 * S), 0);
    assert_int_equal(state_of(&s, FIRST), CONTAINER_UNRESOLVED);
    assert_int_equal(state_of(&s, FIRST + 1), CONTAINER_GONE);
    assert_int_equal(state_of(&s, 5), CONTAINER_GONE);
    assert_string_equal(containers_get(s.containers, 5)->id, A);
    uint32_t number = 5; /* its last calls are its own */
    assert_true(decide_wanted(&s.decide, &number));
    assert_int_equal(number, 5);
    decide_gone(&s.decide, &gone); /* the record that was still to be read knows when */
    assert_true(containers_get(s.containers, FIRST + 1)->gone_ns == S);
    end(&s);
}

/* A container that comes while the first ones are looked for has the kernel's number and another:
 * its end is the end all the same, that of a cgroup inside is not. */
static void test_one_that_came_between(void **state)
{
    (void)state;
    struct scene s;
    char path[384];
    begin(&s, true);
    NEED_MAPS(&s);
    struct stat st;
    snprintf(path, sizeof(path),
             "mkdir -p %s/docker/" A " %s/proc/7 && touch %s/cgroup.controllers", s.root, s.root,
             s.root);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof(path), "%s/docker/" A, s.root);
    assert_int_equal(stat(path, &st), 0);
    snprintf(path, sizeof(path), "%s/proc/7/cgroup", s.root);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("0::/docker/" A "\n", f);
    fclose(f);
    struct record_cgroup r = record(FIRST, S), inside = record(FIRST + 1, S);
    r.cgroup = st.st_ino;
    strcpy(r.path, "/docker/" A);
    strcpy(inside.path, "/docker/" A "/inner");
    kernel_makes(&s, &r, false);
    kernel_makes(&s, &inside, false);
    assert_int_equal(decide_scan(&s.decide, S), 0);
    assert_int_equal(containers_count(s.containers), 1);
    uint32_t number = containers_at(s.containers, 0)->number;
    decide_new(&s.decide, &r);
    decide_new(&s.decide, &inside);
    decide_gone(&s.decide, &inside);
    assert_int_not_equal(state_of(&s, number), CONTAINER_GONE);
    decide_gone(&s.decide, &r);
    assert_int_equal(state_of(&s, number), CONTAINER_GONE);
    end(&s);
}

/* A process that was moved out of its container outlives its cgroup: it is watched as long as it
 * lives, also while it makes no call; and the container is told to run. */
static void test_who_was_moved_out_is_not_forgotten(void **state)
{
    (void)state;
    struct scene s;
    struct known k;
    struct record_cgroup r = record(FIRST, S);
    struct record_process p = {
        .type = RECORD_FORK, .container = FIRST, .tgid = 50, .start = S, .time = S};
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    begin(&s, false);
    known_init(&k);
    k.block = b;
    decide_new(&s.decide, &r);
    assert_int_equal(known_fork(&k, &p, FIRST), 0);
    r.time = 2 * S;
    decide_gone(&s.decide, &r);
    assert_int_equal(state_of(&s, FIRST), CONTAINER_GONE);
    for (uint64_t t = 10; t < 200; t += 10) {
        known_hold(&k, &s.decide);
        decide_forget(&s.decide, t * S);
        poll(&s, t * S);
        assert_int_not_equal(state_of(&s, FIRST), CONTAINER_GONE);
    }
    uint32_t number = FIRST;
    assert_true(decide_wanted(&s.decide, &number));
    assert_int_equal(number, FIRST);
    assert_int_equal(known_exit(&k, &p, FIRST), 0);
    for (uint64_t t = 200; t < 240; t += 10) {
        known_hold(&k, &s.decide);
        decide_forget(&s.decide, t * S);
        poll(&s, t * S);
    }
    assert_int_equal(state_of(&s, FIRST), -1);
    known_done(&k);
    end(&s);
}

/* The same where nothing is known of it but its calls; the last ones of an end are no such. */
static void test_whose_calls_still_come_is_not_forgotten(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, false);
    struct record_cgroup r = record(FIRST, S);
    decide_new(&s.decide, &r);
    decide_gone(&s.decide, &r);
    for (uint64_t t = 10; t < 60; t += 10) {
        uint32_t number = FIRST;
        assert_true(decide_wanted(&s.decide, &number));
        assert_int_equal(number, FIRST);
        decide_forget(&s.decide, t * S);
        poll(&s, t * S);
        assert_int_equal(state_of(&s, FIRST) == CONTAINER_GONE, t == 10);
    }
    decide_forget(&s.decide, 70 * S);
    poll(&s, 70 * S);
    assert_int_equal(state_of(&s, FIRST), -1);
    end(&s);
}

int main(void)
{
    log_set_level(LOG_LEVEL_NONE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_told_again_is_one),
        cmocka_unit_test(test_an_untold_end_is_found),
        cmocka_unit_test(test_an_end_without_agent),
        cmocka_unit_test(test_one_that_came_between),
        cmocka_unit_test(test_who_was_moved_out_is_not_forgotten),
        cmocka_unit_test(test_whose_calls_still_come_is_not_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
