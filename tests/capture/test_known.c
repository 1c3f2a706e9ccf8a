/* What is known of processes, and that it is forgotten. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
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
    assert_true(known_ended(&k, self, 100, 2001));
    assert_false(known_ended(&k, self, 200, 2001));
    assert_false(known_ended(&k, dead, 300, 2001));
    known_sweep(&k, 1000, 2000, true);
    assert_true(known_ended(&k, dead, 300, 2001));
    assert_false(known_ended(&k, dead, 300, 2000));       /* not before then */
    assert_int_equal(known_start_of(&k, dead, 400), 300); /* late calls still find it */
    known_sweep(&k, 3000, 4000, true);
    assert_int_equal(known_start_of(&k, dead, 400), 0);
    assert_int_equal(known_start_of(&k, self, 400), 200);
    uint32_t before = k.n_processes;
    fork_of(&k, dead, 500); /* their places are used again */
    fork_of(&k, dead + 1, 500);
    assert_int_equal(k.n_processes, before);
}

/* More programs and texts than any table holds: the new ones are known, and so is what is in use.
 */
static void test_many_programs_and_texts(void **state)
{
    (void)state;
    CLEANUP(known_done) struct known k;
    known_init(&k);
    static struct record_program r = {.process = {.type = RECORD_PROGRAM, .event = PROGRAM_EXEC}};
    static struct record_text t = {.type = RECORD_TEXT, .form = FORM_PATH, .container = CONTAINER};
    uint64_t used = 0;
    for (uint32_t i = 1; i <= 300000; i++) {
        CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
        k.block = b;
        r.process.program = i, r.process.tgid = 1, r.process.start = i;
        r.process.path_length = (uint16_t)(snprintf(r.data, PATH_BYTES, "p%c", 'a' + i % 26) + 1);
        assert_int_equal(known_program(&k, &r, CONTAINER), 0);
        t.hash = i;
        t.length = (uint16_t)snprintf(t.bytes, TEXT_BYTES, "/data/%u", i);
        assert_int_equal(known_text(&k, &t, CONTAINER), 0);
        assert_true(known_argument_of(&k, CONTAINER, i));
        if (i == 1)
            used = known_argument_of(&k, CONTAINER, 1);
        assert_int_equal(known_argument_of(&k, CONTAINER, 1), used);
        assert_true(known_program_of(&k, CONTAINER, i, 1) && known_program_of(&k, CONTAINER, 1, 1));
        known_sweep(&k, i, i, false);
    }
    assert_int_equal(k.unknown_programs, 0);
    assert_int_equal(k.refused_texts, 0);
    assert_int_equal(known_argument_of(&k, CONTAINER, 2), 0); /* not asked for since: sent again */
}

/* Many processes with long arguments, which anybody may have, do not make a snapshot larger than a
 * block may be: past its room they are told without. */
static void test_a_snapshot_has_a_bound(void **state)
{
    (void)state;
    CLEANUP(known_done) struct known k;
    known_init(&k);
    static struct record_program r = {.process = {.type = RECORD_PROGRAM, .event = PROGRAM_EXEC}};
    uint32_t fit = 0;
    size_t bytes = 0;
    memset(r.data, 'x', sizeof(r.data));
    r.data[PATH_BYTES - 1] = 0;
    r.process.path_length = PATH_BYTES, r.process.arguments_length = ARGUMENT_BYTES;
    log_set_level(LOG_LEVEL_NONE);
    for (uint32_t i = 1; i <= 6000; i++) {
        CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
        k.block = b;
        r.process.program = r.process.start = r.process.tgid = i;
        assert_int_equal(known_program(&k, &r, CONTAINER), 0);
    }
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    k.block = b;
    assert_int_equal(known_snapshot(&k, 7000), 0);
    assert_int_equal(b->n_processes, 6000);
    for (uint32_t i = 0; i < b->n_processes; i++) {
        fit += b->processes[i].path[0] != 0;
        bytes += strlen(b->processes[i].path) + strlen(b->processes[i].arguments);
        assert_true(b->processes[i].program);
    }
    assert_in_range(bytes, SNAPSHOT_TEXTS_MAX / 2, SNAPSHOT_TEXTS_MAX);
    assert_int_equal(k.refused_processes, 6000 - fit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_untold_ends),
                                       cmocka_unit_test(test_a_snapshot_has_a_bound),
                                       cmocka_unit_test(test_many_programs_and_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
