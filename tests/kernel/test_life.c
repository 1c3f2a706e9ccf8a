/* Containers and processes come and go: nothing of them is missed, nothing is mixed up. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/harness.h"
#include "test.h"

static char child_cgroup[300];

static int in_child_cgroup(void *arg)
{
    char path[340];
    (void)arg;
    syscall(SYS_getppid); /* the very first call after the one that entered */
    if (mkdir(child_cgroup, 0755))
        return 1;
    snprintf(path, sizeof(path), "%s/cgroup.procs", child_cgroup);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return 2;
    for (int i = 0; i < 50; i++)
        syscall(SYS_getppid);
    return 0;
}

/* All calls from the first on, also of a child cgroup made inside: they are the container's. */
static void test_first_call(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    snprintf(child_cgroup, sizeof(child_cgroup), "%s/inner", h.cgroup);
    pid_t pid = harness_start(&h, in_child_cgroup, NULL);
    assert_int_equal(harness_wait(&h, pid), 0);
    rmdir(child_cgroup);
    uint16_t calls[200];
    uint32_t n = harness_calls(&h, (uint32_t)pid, calls, 200);
    assert_true(n > 50);
    assert_int_equal(calls[0], SYS_write); /* the one that entered ends inside */
    assert_int_equal(calls[1], SYS_getppid);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 51);
    harness_close(&h, false);
}

static int leave(void *arg)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/cgroup.procs", (const char *)arg);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return 1;
    for (int i = 0; i < 30; i++)
        syscall(SYS_getppid);
    return 0;
}

/* Moving out of the cgroup is no way out: the calls stay the container's, and are marked. */
static void test_moved(void **state)
{
    struct harness h;
    char root[256];
    (void)state;
    harness_open(&h, "", 0);
    snprintf(root, sizeof(root), "%s", h.cgroup);
    *strrchr(root, '/') = 0;
    assert_int_equal(harness_wait(&h, harness_start(&h, leave, root)), 0);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 30);
    bool moved = false;
    for (uint32_t i = 0; i < h.n_windows; i++)
        moved |= (h.windows[i].flags & WINDOW_MOVED) != 0;
    assert_true(moved);
    harness_close(&h, false);
}

static int nothing(void *arg)
{
    return arg != NULL;
}

#define ENTERING 100

/* Makes calls until it was put inside, then a child that makes calls too. */
static int enter_and_fork(volatile int *entered)
{
    while (!*entered)
        syscall(SYS_getppid);
    syscall(SYS_getppid);
    pid_t child = fork();
    if (child == 0)
        _exit((int)syscall(SYS_getuid));
    return waitpid(child, NULL, 0) != child;
}

/* Whoever is put into the container from outside, as a runtime does it, is known to have entered,
 * also when it makes calls on another CPU at that very moment; and what it forks before it execs.
 */
static void test_entering(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    volatile int *entered =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(entered != MAP_FAILED);
    for (int i = 0, status; i < ENTERING; i++) {
        *entered = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(enter_and_fork(entered));
        harness_enter(&h, pid);
        *entered = 1;
        if (i % 10 == 0)
            assert_int_equal(harness_wait(&h, pid), 0);
        else
            assert_true(waitpid(pid, &status, 0) == pid && status == 0);
    }
    assert_int_equal(harness_wait(&h, harness_start(&h, nothing, NULL)), 0);
    uint32_t n[2] = {0}, joined[2] = {0};
    for (uint32_t i = 0; i < h.n_processes; i++) {
        int event = h.processes[i].event;
        if (event != PROCESS_FOUND && event != PROCESS_FORK)
            continue;
        n[event == PROCESS_FORK]++;
        joined[event == PROCESS_FORK] += (h.processes[i].flags & PROGRAM_JOINED) != 0;
    }
    assert_int_equal(n[1], ENTERING);
    assert_int_equal(joined[1], ENTERING);
    assert_true(n[0] > ENTERING);
    assert_int_equal(joined[0], n[0]);
    munmap((void *)entered, 4096);
    harness_close(&h, false);
}

struct service {
    char directory[300];
    volatile int *leave;
};

/* As a runtime that a service starts: in the service's cgroup, makes calls, then its child goes
 * into the container. */
static int start_from_service(const struct service *service, const char *container)
{
    char path[340];
    if (mkdir(service->directory, 0755))
        return 1;
    snprintf(path, sizeof(path), "%s/cgroup.procs", service->directory);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return 2;
    while (!*service->leave)
        syscall(SYS_getppid);
    pid_t child = fork();
    if (child == 0) {
        snprintf(path, sizeof(path), "%s/cgroup.procs", container);
        fd = open(path, O_WRONLY);
        if (fd < 0 || write(fd, "0", 1) != 1)
            _exit(3);
        for (int i = 0; i < 50; i++)
            syscall(SYS_getuid);
        _exit(0);
    }
    int status = -1;
    return waitpid(child, &status, 0) != child || status;
}

/* Services and sessions younger than the agent have numbers like containers until user space has
 * looked at them, and states afterwards: what they start is the container's all the same. */
static void test_from_a_service(void **state)
{
    (void)state;
    for (int decided = 0; decided < 2; decided++) {
        struct harness h;
        struct service service = {
            .leave = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
        assert_true(service.leave != MAP_FAILED);
        harness_open(&h, "", 0);
        snprintf(service.directory, sizeof(service.directory), "%.*s/vigia-%d-%d.scope",
                 (int)(strrchr(h.cgroup, '/') - h.cgroup), h.cgroup, (int)getpid(), decided);
        *service.leave = !decided;
        pid_t pid = fork();
        if (pid == 0)
            _exit(start_from_service(&service, h.cgroup));
        for (int i = 0; i < 10 && decided; i++) {
            usleep(50000);
            harness_tick(&h);
        }
        *service.leave = 1;
        assert_int_equal(harness_wait(&h, pid), 0);
        assert_int_equal(harness_count(&h, SYS_getuid, -1), 50);
        uint32_t joined = 0;
        for (uint32_t i = 0; i < h.n_processes; i++)
            joined += (h.processes[i].flags & PROGRAM_JOINED) != 0;
        assert_true(joined > 0);
        munmap((void *)service.leave, 4096);
        for (int i = 0; i < 100 && rmdir(service.directory) && errno == EBUSY; i++)
            usleep(10000);
        harness_close(&h, false);
    }
}

#define SHORT_LIVED 10000

static int many_forks(void *arg)
{
    (void)arg;
    for (int i = 0; i < SHORT_LIVED; i++) {
        /* Not fork(): copying a sanitizer's page tables so often takes minutes. */
        pid_t pid = vfork();
        if (pid == 0) {
            syscall(SYS_getuid);
            syscall(SYS_exit_group, 0);
        }
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            return 1;
    }
    return 0;
}

static void test_short_lived(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    assert_int_equal(harness_wait(&h, harness_start(&h, many_forks, NULL)), 0);
    assert_int_equal(harness_count(&h, SYS_getuid, -1), SHORT_LIVED);
    assert_int_equal(harness_count(&h, SYS_exit_group, RET_NEVER), SHORT_LIVED + 1);
    assert_int_equal(h.seen, h.delivered);
    uint32_t forks = 0, exits = 0, unknown = 0;
    for (uint32_t i = 0; i < h.n_processes; i++) {
        forks += h.processes[i].event == PROCESS_FORK;
        exits += h.processes[i].event == PROCESS_EXIT;
    }
    for (uint32_t i = 0; i < h.n_windows; i++)
        unknown += !h.windows[i].start_ns || !h.windows[i].program;
    struct capture_stats stats;
    capture_get_stats(h.capture, &stats);
    assert_int_equal(stats.unbalanced, 0);
    assert_int_equal(stats.lost_records, 0);
    assert_int_equal(forks, SHORT_LIVED);
    assert_int_equal(exits, SHORT_LIVED + 1);
    assert_int_equal(unknown, 0);
    harness_close(&h, false);
}

#define REUSED 30

/* A process with a given pid, by clone3's set_tid. */
static pid_t fork_as(pid_t pid)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size, cgroup;
    } args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static int reuse(void *arg)
{
    pid_t pid = *(pid_t *)arg;
    for (int i = 0; i < REUSED; i++) {
        pid_t got = -1;
        for (int k = 0; k < 1000 && (got = fork_as(pid)) < 0 && errno == EEXIST; k++)
            usleep(10000); /* another process of the machine has it */
        if (got == 0) {
            for (int k = 0; k < 5; k++)
                syscall(i & 1 ? SYS_getuid : SYS_getgid);
            syscall(SYS_exit_group, 0);
        }
        if (got != pid || waitpid(pid, NULL, 0) != pid)
            return 1;
    }
    return 0;
}

/* The same tid again and again: each life is a thread of its own, without the context of the last.
 */
static void test_reused_tid(void **state)
{
    struct harness h;
    pid_t pid = 31000, probe;
    uint64_t starts[REUSED] = {0};
    uint32_t lives = 0;
    (void)state;
    harness_open(&h, "", 0);
    /* Not by kill: the number may still be a group's or a session's. */
    for (; (probe = fork_as(pid)) < 0 && errno == EEXIST; pid++)
        ;
    if (!probe)
        syscall(SYS_exit_group, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(harness_wait(&h, harness_start(&h, reuse, &pid)), 0);
    for (uint32_t i = 0; i < h.n_windows; i++) {
        const struct window *w = &h.windows[i];
        if (w->tid != (uint32_t)pid)
            continue;
        if (w->n_context == 0 && lives < REUSED)
            starts[lives++] = w->start_ns;
        for (uint32_t k = 1; k < w->n_calls; k++) /* no window mixes two lives */
            assert_false((w->sysno[k] == SYS_getuid && w->sysno[k - 1] == SYS_getgid) ||
                         (w->sysno[k] == SYS_getgid && w->sysno[k - 1] == SYS_getuid));
    }
    assert_int_equal(lives, REUSED);
    for (uint32_t i = 1; i < lives; i++)
        assert_true(starts[i] > starts[i - 1]);
    harness_close(&h, false);
}

static int slow_calls(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        usleep(2000);
    return 0;
}

static void test_latency(void **state)
{
    struct harness h;
    struct block *b;
    uint64_t ns = 0, timed = 0;
    (void)state;
    harness_open(&h, "", 0);
    harness_close(&h, true);
    h.options.timing = TIMING_LATENCY;
    harness_reopen(&h); /* its cgroup is there already, and empty */
    harness_tick(&h);   /* attaches the entry program */
    while (clock_mono_ns() % NS_PER_S > NS_PER_S / 2)
        usleep(10000); /* all calls in one bin */
    uint64_t began_ns = clock_mono_ns();
    pid_t pid = harness_start(&h, slow_calls, NULL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    uint64_t all_ns = clock_mono_ns() - began_ns;
    usleep(10000);
    assert_int_equal(capture_tick(h.capture, clock_mono_ns(), &b), 0);
    for (uint32_t i = 0; i < b->n_bins; i++)
        for (uint32_t k = 0; k < b->bins[i].n_counts; k++)
            if (b->bins[i].counts[k].sysno == SYS_clock_nanosleep &&
                harness_ours(&h, b->bins[i].container)) {
                ns += b->bins[i].counts[k].latency_ns;
                timed += b->bins[i].counts[k].latency_calls;
            }
    assert_true(timed >= 20);
    assert_true(ns / timed >= 2000000 && ns < all_ns);
    block_free(b);
    harness_close(&h, false);
}

/* Bins only: calls are counted in the kernel to the last one, and the ledger says so. */
#define COUNTED 3000000l /* long enough for many ticks to read meanwhile */

static int counted_calls(void *arg)
{
    for (long i = 0; i < (long)arg; i++)
        syscall(SYS_getppid);
    return 0;
}

static void test_levels(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    capture_set_level(h.capture, LEVEL_BINS_ONLY);
    assert_int_equal(harness_wait(&h, harness_start(&h, counted_calls, (void *)COUNTED)), 0);
    assert_int_equal(h.n_windows, 0);
    /* The agent reads the kernel's counts when it comes to it: later on a busy machine. */
    for (int i = 0; i < 200 && h.dropped[DROP_DEGRADED] < COUNTED; i++) {
        usleep(50000);
        harness_tick(&h);
    }
    assert_int_equal(h.dropped[DROP_DEGRADED], COUNTED + 2); /* it enters with a write, and exits */
    assert_int_equal(h.seen, h.delivered);
    capture_set_level(h.capture, LEVEL_NO_ARGUMENTS);
    assert_int_equal(harness_wait(&h, harness_start(&h, counted_calls, (void *)1234l)), 0);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 1234);
    assert_int_equal(h.windows[0].level, LEVEL_NO_ARGUMENTS);
    harness_close(&h, false);
}

/* A mixed layout in which v2 leaves a container's processes in the service that starts them: v1
 * says whose they are. */
static int in_v1_alone(void *arg)
{
    char path[340];
    snprintf(path, sizeof(path), "%s/cgroup.procs", (const char *)arg);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return 1;
    for (int i = 0; i < 50; i++)
        syscall(SYS_getuid);
    return 0;
}

static void test_v2_in_a_service(void **state)
{
    struct harness h;
    char service[300];
    (void)state;
    harness_open(&h, "", 0);
    snprintf(service, sizeof(service), "/sys/fs/cgroup/unified/vigia-%d.service", (int)getpid());
    if (!strstr(h.cgroup, "/pids/") || mkdir(service, 0755)) {
        harness_close(&h, false);
        skip();
    }
    for (int i = 0; i < 3; i++) { /* user space has said that it is a service */
        usleep(20000);
        harness_tick(&h);
    }
    assert_int_equal(rmdir(h.cgroup), 0); /* and nothing yet of the container */
    assert_int_equal(mkdir(h.cgroup, 0755), 0);
    int status = 1;
    pid_t pid = harness_start(&h, in_v1_alone, service);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    usleep(10000);
    harness_tick(&h);
    assert_int_equal(harness_count(&h, SYS_getuid, -1), 50);
    for (int i = 0; i < 100 && rmdir(service) && errno == EBUSY; i++)
        usleep(10000);
    harness_close(&h, false);
}

/* A block that is too large is made again without the snapshot, then of fewer windows; and no call
 * is missing in the end. */
static void test_too_large(void **state)
{
    struct harness h;
    struct block *b;
    (void)state;
    harness_open(&h, "", 0);
    pid_t pid = harness_start(&h, counted_calls, (void *)5000l);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    usleep(10000);
    bool snapshot = true;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(capture_tick(h.capture, clock_mono_ns(), &b), 0);
        assert_non_null(b);
        assert_int_equal(b->snapshot, snapshot);
        snapshot = false;
        capture_lighten(h.capture, b);
        block_free(b);
    }
    assert_int_equal(capture_tick(h.capture, clock_mono_ns(), &b), 0);
    assert_true(b->n_windows && b->n_windows <= 8);
    block_free(b);
    for (int i = 0; i < 20; i++)
        harness_tick(&h);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 5000);
    assert_int_equal(h.seen, h.delivered);
    harness_close(&h, false);
}

/* Calls that were only counted lie between those before and those after. */
static int calls_by_turns(void *arg)
{
    volatile int *turn = arg;
    for (int i = 0; i < 3; i++) {
        while (*turn != i) { /* makes no call */
        }
        for (int k = 0; k < 10; k++)
            syscall(SYS_getppid);
        *turn = -1;
    }
    return 0;
}

static void test_levels_are_gaps(void **state)
{
    struct harness h;
    (void)state;
    volatile int *turn =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(turn != MAP_FAILED);
    harness_open(&h, "", 0);
    pid_t pid = harness_start(&h, calls_by_turns, (void *)turn);
    for (int i = 0; i < 3; i++) {
        while (*turn >= 0)
            usleep(1000);
        usleep(10000);
        harness_tick(&h);
        capture_set_level(h.capture, i == 0 ? LEVEL_BINS_ONLY : LEVEL_FULL);
        *turn = i + 1;
    }
    assert_int_equal(harness_wait(&h, pid), 0);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 20);
    uint32_t marked = 0;
    for (uint32_t i = 0; i < h.n_windows; i++) {
        const struct window *w = &h.windows[i];
        if (w->tid != (uint32_t)pid || !(w->flags & WINDOW_AFTER_GAP))
            continue;
        assert_int_equal(w->n_context, 0);
        marked++;
    }
    assert_int_equal(marked, 1);
    harness_close(&h, false);
    munmap((void *)turn, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_call),      cmocka_unit_test(test_moved),
        cmocka_unit_test(test_entering),        cmocka_unit_test(test_from_a_service),
        cmocka_unit_test(test_short_lived),     cmocka_unit_test(test_reused_tid),
        cmocka_unit_test(test_latency),         cmocka_unit_test(test_levels),
        cmocka_unit_test(test_v2_in_a_service), cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_levels_are_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
