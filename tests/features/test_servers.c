#include "features/servers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "test.h"

static char directory[64];

static void put(const char *name, const void *data, size_t size)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

/* 200 calls: a process (pid 10, threads 10 and 11) that runs sh after 100 calls, a second apart a
 * restart with pid 20. */
static void make(void)
{
    int64_t time_ns[200];
    uint32_t pid[200], tid[200];
    uint16_t nr[200];
    uint8_t ret[200], prog[200];
    for (int i = 0; i < 200; i++) {
        time_ns[i] = i < 150 ? i * 1000000 : INT64_C(5000000000) + i;
        pid[i] = i < 150 ? 10 : 20;
        tid[i] = i < 150 ? 10 + (i % 10 == 9) : 20;
        nr[i] = i == 3 ? 1023 : (uint16_t)(i % 5);
        ret[i] = i % 7 ? 3 : 128 + 2;
        prog[i] = i >= 150 ? 0 : i >= 100 ? 2 : 1;
    }
    put("time_ns.i64", time_ns, sizeof(time_ns));
    put("pid.u32", pid, sizeof(pid));
    put("tid.u32", tid, sizeof(tid));
    put("nr.u16", nr, sizeof(nr));
    put("ret.u8", ret, sizeof(ret));
    put("prog.u8", prog, sizeof(prog));
    put("programs.txt", "<joined>\nserver\nsh\n", 19);
    put("attacks.csv", "start_s,end_s,name\n1.5,2.5,some, attack\n", 40);
    put("events.csv", "time_s,event\n4.000,restart x\n5.100,restarted x\n", 47);
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/vigia-servers-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static void calls_become_windows_at_ticks(void **state)
{
    (void)state;
    CLEANUP(servers_closep) struct servers *s = NULL;
    assert_int_equal(servers_open(directory, &s), 0);
    assert_int_equal(servers_calls(s), 200);
    CLEANUP(block_freep) struct block *b = NULL;
    assert_int_equal(servers_next(s, &b), 0);
    assert_int_equal(b->sequence, 1);
    assert_int_equal(b->n_windows, 5); /* 64 + 26, 10; after the exec 45, 5 */
    const struct window *w = b->windows;
    assert_int_equal(w[0].n_calls, 64);
    assert_int_equal(w[0].n_context, 0);
    assert_int_equal(w[0].flags, 0);
    assert_int_equal(w[0].sysno[3], 15);
    assert_int_equal(w[0].ret[3], 0);
    assert_int_equal(w[0].ret[0], RET_ERROR + ENOENT);
    assert_int_equal(w[1].tid, 11);
    assert_int_equal(w[1].n_calls, 10);
    assert_int_equal(w[2].n_calls, 26);
    assert_int_equal(w[2].n_context, 16);
    assert_memory_equal(w[2].context, w[0].sysno + 48, 32);
    assert_int_equal(w[3].flags, WINDOW_AFTER_EXEC);
    assert_int_equal(w[3].n_context, 0);
    assert_true(w[3].generation != w[2].generation && w[3].program != w[2].program);
    assert_int_equal(b->n_processes, 2);
    assert_int_equal(b->processes[1].event, PROCESS_EXEC);
    assert_true(b->processes[1].parent_program == w[0].program);
    assert_int_equal(b->n_texts, 2);
    assert_int_equal(b->n_bins, 1);
    uint32_t calls = 0, errors = 0;
    for (uint32_t i = 0; i < b->bins[0].n_counts; i++) {
        calls += b->bins[0].counts[i].calls;
        errors += b->bins[0].counts[i].errors;
    }
    assert_int_equal(calls, 150);
    assert_int_equal(errors, 22);
    assert_int_equal(b->ledger[0].seen, 150);
}

static void a_restart_is_a_new_container(void **state)
{
    (void)state;
    CLEANUP(servers_closep) struct servers *s = NULL;
    assert_int_equal(servers_open(directory, &s), 0);
    uint32_t n = 0, ticks = 0, containers = 0;
    for (int again = 0; again < 2; again++) {
        for (;;) {
            CLEANUP(block_freep) struct block *b = NULL;
            if (servers_next(s, &b) < 0)
                break;
            ticks++;
            for (uint32_t i = 0; i < b->n_windows; i++) {
                n += b->windows[i].n_calls;
                assert_int_equal(b->windows[i].container, b->windows[i].tgid == 20 ? 2 : 1);
            }
            containers += b->n_containers;
        }
        servers_rewind(s);
    }
    assert_int_equal(n, 400);
    assert_int_equal(ticks, 2 * 21);
    assert_int_equal(containers, 2 * 3); /* 1 runs; 1 is gone, 2 runs */
    uint32_t marks;
    const struct servers_mark *attacks = servers_attacks(s, &marks);
    assert_int_equal(marks, 1);
    assert_string_equal(attacks[0].name, "some, attack");
    assert_true(attacks[0].end_s > 2.4 && attacks[0].end_s < 2.6);
}

static void arrays_that_disagree_are_refused(void **state)
{
    (void)state;
    struct servers *s = NULL;
    put("tid.u32", "1234", 4);
    assert_int_equal(servers_open(directory, &s), -EBADMSG);
    make();
    put("ret.u8", "", 0);
    assert_int_equal(servers_open(directory, &s), -EBADMSG);
    make();
    put("programs.txt", "one\n", 4);
    assert_int_equal(servers_open(directory, &s), -EBADMSG);
    make();
    put("attacks.csv", "start_s,end_s,name\nx,y,z\n", 25);
    assert_int_equal(servers_open(directory, &s), -EBADMSG);
    assert_int_equal(servers_open("/nonexistent", &s), -ENOENT);
}

/* A number that comes again after its process ended is another process, not an exec. */
static void a_number_used_again_is_a_new_process(void **state)
{
    (void)state;
    int64_t time_ns[20];
    uint32_t pid[20];
    uint16_t nr[20];
    uint8_t ret[20] = {0}, prog[20];
    for (int i = 0; i < 20; i++) {
        time_ns[i] = i * 1000000;
        pid[i] = 10;
        nr[i] = i == 9 ? 231 : 1;
        prog[i] = i < 10 ? 1 : 2;
    }
    put("time_ns.i64", time_ns, sizeof(time_ns));
    put("pid.u32", pid, sizeof(pid));
    put("tid.u32", pid, sizeof(pid));
    put("nr.u16", nr, sizeof(nr));
    put("ret.u8", ret, sizeof(ret));
    put("prog.u8", prog, sizeof(prog));
    CLEANUP(servers_closep) struct servers *s = NULL;
    assert_int_equal(servers_open(directory, &s), 0);
    CLEANUP(block_freep) struct block *b = NULL;
    assert_int_equal(servers_next(s, &b), 0);
    assert_int_equal(b->n_processes, 3);
    assert_int_equal(b->processes[1].event, PROCESS_EXIT);
    assert_int_equal(b->processes[2].event, PROCESS_FORK);
    assert_true(b->processes[2].start_ns > b->processes[0].start_ns);
    assert_int_equal(b->n_windows, 2);
    assert_int_equal(b->windows[1].flags, 0);
    assert_int_equal(b->windows[1].n_context, 0);
    assert_true(b->windows[1].start_ns == b->processes[2].start_ns);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(calls_become_windows_at_ticks),
        TEST(a_restart_is_a_new_container),
        TEST(a_number_used_again_is_a_new_process),
        TEST(arrays_that_disagree_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
