/* What is known of processes, and that it is forgotten. */
#include "test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture/known.h"

#define CONTAINER 7

static void fork_of(struct known *k, uint32_t tgid, uint64_t start_ns)
{
    struct record_process r = {
        .type = RECORD_FORK, .tgid = tgid, .start = start_ns, .time = start_ns};
    assert_int_equal(known_fork(k, &r, CONTAINER), 0);
}

static uint32_t of_the_dead(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return (uint32_t)pid;
}

/* A process whose exit was never told (its record was lost) does not stay for ever. */
static void test_untold_ends(void **state)
{
    (void)state;
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    CLEANUP(known_done) struct known k;
    known_init(&k);
    k.block = b;
    uint32_t self = (uint32_t)getpid(), dead = of_the_dead();
    fork_of(&k, self, 100); /* the number was another's before */
    fork_of(&k, self, 200);
    fork_of(&k, dead, 300);
    known_sweep(&k, 1000, 2000, false); /* whoever cannot ask waits for what is told */
    assert_true(known_ended(&k, self, 100));
    assert_false(known_ended(&k, self, 200));
    assert_false(known_ended(&k, dead, 300));
    known_sweep(&k, 1000, 2000, true);
    assert_true(known_ended(&k, dead, 300));
    assert_int_equal(known_start_of(&k, dead, 400), 300); /* late calls still find it */
    known_sweep(&k, 3000, 4000, true);
    assert_int_equal(known_start_of(&k, dead, 400), 0);
    assert_int_equal(known_start_of(&k, self, 400), 200);
    uint32_t before = k.n_processes;
    fork_of(&k, dead, 500); /* their places are used again */
    fork_of(&k, dead + 1, 500);
    assert_int_equal(k.n_processes, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_untold_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
