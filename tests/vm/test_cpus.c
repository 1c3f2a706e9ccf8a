/* CPUs come and go while a container works: its calls stay exact, and in their order. For the
 * emulated machine of tests/vm alone. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "kernel/harness.h"
#include "test.h"

#define THREADS 4
#define CALLS_MIN 1000 /* of a thread */
#define CALLS_MAX 100000
#define PINNED 1000
#define TOGGLES 4

static bool emulated(void)
{
    char line[1024] = "";
    FILE *f = fopen("/proc/cmdline", "re");
    bool read = f && fgets(line, sizeof(line), f);
    if (f)
        fclose(f);
    return read && strstr(line, "vigia.emulated");
}

static void cpu_switch(int cpu, bool on)
{
    char path[64];
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputc(on ? '1' : '0', f) != EOF);
    assert_int_equal(fclose(f), 0);
}

static int pin(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one);
}

static int pinned_calls(void *arg)
{
    if (pin(*(int *)arg))
        return 1;
    for (int i = 0; i < PINNED; i++)
        syscall(SYS_getppid);
    return 0;
}

/* getppid calls in windows that began on that CPU. */
static uint32_t count_on(const struct harness *h, int cpu)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->n_windows; i++)
        for (uint32_t k = 0; k < h->windows[i].n_calls; k++)
            n += h->windows[i].id.position >> 48 == (uint64_t)cpu &&
                 h->windows[i].sysno[k] == SYS_getppid;
    return n;
}

/* A process makes its calls there, and all of them are in the windows. */
static void captured_on(struct harness *h, int cpu)
{
    uint32_t all = harness_count(h, SYS_getppid, -1), there = count_on(h, cpu);
    assert_int_equal(harness_wait(h, harness_start(h, pinned_calls, &cpu)), 0);
    assert_int_equal(harness_count(h, SYS_getppid, -1), all + PINNED);
    /* A window goes on when its thread moves: the first may have begun elsewhere. */
    assert_true(count_on(h, cpu) > there + PINNED - WINDOW_CALLS_MAX);
}

struct mover {
    uint32_t tid, seed;
    atomic_uint calls;
};
static struct { /* shared with the child */
    struct mover movers[THREADS];
    volatile bool stop;
} *shared;

static void *move(void *arg)
{
    struct mover *m = arg;
    m->tid = (uint32_t)syscall(SYS_gettid);
    uint32_t x = m->seed;
    int cpu = 0;
    for (uint32_t i = 1; i <= CALLS_MAX && !shared->stop; i++) {
        x = random_next(x);
        syscall(x & 1 ? SYS_getppid : SYS_getuid);
        if (i % 50 == 0)
            pin(cpu ^= 1); /* refused while it is offline */
        if (i % 500 == 0)
            usleep(20000); /* slow enough for the tables of the harness */
        m->calls = i;
    }
    return NULL;
}

static int run_movers(void *arg)
{
    pthread_t threads[THREADS];
    (void)arg;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, move, &shared->movers[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void order_check(const struct harness *h)
{
    uint16_t *calls = malloc(2 * CALLS_MAX * sizeof(*calls));
    for (int i = 0; i < THREADS; i++) {
        const struct mover *m = &shared->movers[i];
        uint32_t n = harness_calls(h, m->tid, calls, 2 * CALLS_MAX), at = 0, x = m->seed;
        for (uint32_t k = 0; k < n; k++) {
            if (calls[k] != SYS_getppid && calls[k] != SYS_getuid)
                continue;
            x = random_next(x);
            assert_int_equal(calls[k], x & 1 ? SYS_getppid : SYS_getuid);
            at++;
        }
        assert_int_equal(at, m->calls);
        assert_true(at > CALLS_MIN);
    }
    free(calls);
}

/* It goes and comes again and again, under the load of threads that move between CPUs. */
static void under_load(struct harness *h)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (uint32_t i = 0; i < THREADS; i++)
        shared->movers[i] = (struct mover){.seed = 0x9e3779b9u * (i + 1) | 1};
    pid_t pid = harness_start(h, run_movers, NULL);
    for (int i = 0; i < 2 * TOGGLES; i++) {
        usleep(50000);
        harness_tick(h);
        cpu_switch(1, i % 2);
    }
    for (int i = 0, k = 0; i < THREADS && k < 1200; k++) { /* each has had its turn */
        for (i = 0; i < THREADS && shared->movers[i].calls > CALLS_MIN; i++)
            ;
        usleep(50000);
        harness_tick(h);
    }
    shared->stop = true;
    assert_int_equal(harness_wait(h, pid), 0);
    order_check(h);
    munmap(shared, sizeof(*shared));
}

/* While it is away all is on the other one; on its return it counts again. */
static void away_and_back(struct harness *h)
{
    int one = 1;
    uint32_t before = count_on(h, 1);
    cpu_switch(1, false);
    assert_int_equal(WEXITSTATUS(harness_wait(h, harness_start(h, pinned_calls, &one))), 1);
    captured_on(h, 0);
    assert_int_equal(count_on(h, 1), before);
    cpu_switch(1, true);
    captured_on(h, 1);
}

/* By the machine's monitor on the second serial line. What the line echoed of the monitor's
 * greeting before it was raw went back to the monitor: the empty line ends that. */
static void cpu_add(void)
{
    static const char command[] =
        "\ndevice_add max-x86_64-cpu,socket-id=2,core-id=0,thread-id=0,id=added\n";
    char answer[4096] = "";
    struct termios raw;
    int monitor = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(tcgetattr(monitor, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(monitor, TCSAFLUSH, &raw), 0);
    assert_int_equal(write(monitor, command, strlen(command)), strlen(command));
    for (int i = 0; i < 3000 && access("/sys/devices/system/cpu/cpu2/online", F_OK); i++)
        usleep(20000);
    if (access("/sys/devices/system/cpu/cpu2/online", F_OK)) {
        (void)!read(monitor, answer, sizeof(answer) - 1);
        fail_msg("no CPU was added; the monitor says: %s", answer);
    }
    close(monitor);
}

/* A CPU is added to the machine: what it does before it has a ring is told, what follows captured.
 */
static void added(struct harness *h)
{
    int two = 2;
    char possible[32] = "";
    FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
    assert_non_null(f);
    assert_non_null(fgets(possible, sizeof(possible), f));
    fclose(f);
    if (strcmp(possible, "0-2\n") != 0) {
        printf("no CPU is added: this kernel believes only hypervisors that it knows in that\n");
        return;
    }
    cpu_add();
    cpu_switch(2, true);
    assert_true(waitpid(harness_start(h, pinned_calls, &two), NULL, 0) > 0); /* no tick */
    sleep(1); /* CPUs are looked for once a second */
    harness_tick(h);
    assert_true(h->nobodys[DROP_RING_FULL] >= PINNED);
    assert_true(h->nobodys[DROP_RING_FULL] < PINNED + 100);
    captured_on(h, 2);
    assert_true(h->nobodys[DROP_RING_FULL] < PINNED + 100);
}

static void test_cpus(void **state)
{
    struct harness h;
    struct capture_stats stats;
    (void)state;
    cpu_switch(1, false);
    harness_open(&h, "", 0);
    cpu_switch(1, true); /* it was offline when the capture began: its first call is captured */
    captured_on(&h, 1);
    under_load(&h);
    away_and_back(&h);
    assert_int_equal(h.nobodys[DROP_RING_FULL], 0);
    added(&h);
    assert_int_equal(h.seen, h.delivered);
    capture_get_stats(h.capture, &stats);
    assert_int_equal(stats.cpus, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(stats.audits > 0);
    assert_int_equal(stats.unbalanced, 0);
    harness_close(&h, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cpus)};
    if (!emulated()) {
        printf("SKIP: it switches CPUs off, which only the machine of tests/vm is for\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
