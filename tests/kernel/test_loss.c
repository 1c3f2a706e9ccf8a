/* Loss and restart: the ledger stays exact when rings overrun, and an agent that is killed loses
 * nothing. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "kernel/harness.h"
#include "test.h"
#include "transport/codec.h"

#define BURST 200000

static int on_cpu(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one);
}

struct bursts {
    int n;
    atomic_bool over, caught_up;
};

static int burst(void *arg)
{
    struct bursts *b = arg;
    on_cpu(0); /* what a CPU lost is told with what comes on it next */
    for (int i = 0; i < b->n; i++)
        syscall(SYS_getppid);
    b->over = true;
    while (!b->caught_up) { /* makes no call */
    }
    for (int i = 0; i < 100; i++)
        syscall(SYS_getuid);
    return 0;
}

static void test_overrun(void **state)
{
    struct harness h;
    uint64_t others = 0;
    (void)state;
    struct bursts *b =
        mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(b != MAP_FAILED);
    for (int round = 0; round < 2; round++) {
        *b = (struct bursts){.n = round ? BURST : 10}; /* the first shows what the rest makes */
        harness_open(&h, "", 256 << 10);
        pid_t pid = harness_start(&h, burst, b);
        while (!b->over) /* nobody reads */
            usleep(10000);
        for (int i = 0; i < 3; i++) {
            usleep(10000);
            harness_tick(&h);
        }
        b->caught_up = true;
        assert_int_equal(harness_wait(&h, pid), 0);
        struct capture_stats stats;
        capture_get_stats(h.capture, &stats);
        assert_true(stats.audits > 0);
        assert_int_equal(stats.unbalanced, 0);
        assert_int_equal(h.seen, h.delivered + h.dropped[DROP_RING_FULL]);
        if (!round)
            others = h.seen - 10;
        else
            assert_int_equal(h.seen, others + BURST);
        assert_true(!round || h.dropped[DROP_RING_FULL]);
        assert_int_equal(h.gap_calls, h.dropped[DROP_RING_FULL]);
        assert_int_equal(harness_count(&h, SYS_getuid, -1), 100);
        uint32_t marked = 0;
        for (uint32_t i = 0; i < h.n_windows; i++)
            marked += (h.windows[i].flags & WINDOW_AFTER_GAP) != 0;
        assert_true(!round || marked);
        harness_close(&h, false);
    }
    munmap(b, sizeof(*b));
}

/* An agent of its own process that is killed; its blocks go to a file. */

#define SPOOL "/tmp/vigia-test-spool.%d"
#define MOVERS 2
#define MOVES 12000

struct mover {
    uint32_t tid, seed;
};
static struct {
    struct mover movers[MOVERS];
    atomic_uint ticks; /* of all agents */
} *shared;

static void *move(void *arg)
{
    struct mover *m = arg;
    m->tid = (uint32_t)syscall(SYS_gettid);
    uint32_t x = m->seed, cpu = 0;
    for (int i = 1; i <= MOVES; i++) {
        x = random_next(x);
        syscall(x & 1 ? SYS_getppid : SYS_getuid);
        if (i % 10 == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu ^= 1, &one);
            sched_setaffinity(0, sizeof(one), &one);
            usleep(1000);
        }
    }
    return NULL;
}

static int run_movers(void *arg)
{
    pthread_t threads[MOVERS];
    (void)arg;
    for (int i = 0; i < MOVERS; i++)
        pthread_create(&threads[i], NULL, move, &shared->movers[i]);
    for (int i = 0; i < MOVERS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

/* Reads the file's blocks; calls each with the block; returns the last (owned by the caller), and
 * where it ends. */
static struct block *spool_read(const char *path, void (*each)(struct harness *h, struct block *b),
                                struct harness *h, off_t *ret_whole)
{
    FILE *f = fopen(path, "r");
    struct block *last = NULL;
    size_t size;
    *ret_whole = 0;
    while (f && fread(&size, sizeof(size), 1, f) == 1) {
        void *data = malloc(size);
        struct block *b;
        const char *why;
        if (fread(data, 1, size, f) == size && !codec_decode(data, size, &b, &why)) {
            if (each)
                each(h, b);
            if (last)
                block_free(last);
            last = b;
            *ret_whole = ftello(f);
        }
        free(data);
    }
    if (f)
        fclose(f);
    return last;
}

static void agent(struct harness *h, const char *path)
{
    off_t whole;
    h->last = spool_read(path, NULL, h, &whole);
    harness_reopen(h);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, whole) || lseek(fd, 0, SEEK_END) < 0)
        _exit(3);
    for (uint64_t sequence = 0;; sequence++) {
        struct block *b;
        usleep(15000);
        shared->ticks++;
        if (capture_tick(h->capture, clock_mono_ns(), &b))
            _exit(1);
        if (!b)
            continue;
        struct buf bytes;
        buf_init(&bytes, CODEC_BLOCK_MAX + 8);
        buf_u64(&bytes, 0);
        if (codec_encode(b, &bytes))
            _exit(2);
        size_t size = bytes.size - 8;
        memcpy(bytes.data, &size, sizeof(size));
        /* As a spool's append: whole or torn at the end, which the next agent cuts off. */
        if (write(fd, bytes.data, bytes.size) != (ssize_t)bytes.size)
            _exit(4);
        capture_commit(h->capture, b);
        buf_done(&bytes);
        block_free(b);
    }
}

static void windows_keep(struct harness *h, struct block *b)
{
    for (uint32_t i = 0; i < b->n_windows && h->n_windows < KEPT_MAX; i++)
        for (int k = 0; k < MOVERS; k++)
            if (b->windows[i].tid == shared->movers[k].tid)
                h->windows[h->n_windows++] = b->windows[i];
    for (uint32_t i = 0; i < b->n_blinds; i++)
        h->n_blinds++;
}

/* Each thread's calls are exactly those it made, and each window's context those before it. */
static void movers_check(const struct harness *h)
{
    uint16_t *calls = malloc(10 * MOVES * sizeof(*calls));
    for (int i = 0; i < MOVERS; i++) {
        uint32_t n = 0, made = 0, x = shared->movers[i].seed;
        for (uint32_t k = 0; k < h->n_windows; k++) {
            const struct window *w = &h->windows[k];
            if (w->tid != shared->movers[i].tid)
                continue;
            assert_int_equal(w->n_context, n < WINDOW_CONTEXT_MAX ? n : WINDOW_CONTEXT_MAX);
            for (uint32_t c = 0; c < w->n_context; c++)
                assert_int_equal(w->context[c], calls[n - w->n_context + c]);
            assert_int_not_equal(w->program, 0);
            assert_int_not_equal(w->start_ns, 0);
            for (uint32_t c = 0; c < w->n_calls; c++)
                calls[n++] = w->sysno[c];
        }
        for (uint32_t k = 0; k < n; k++) {
            if (calls[k] != SYS_getppid && calls[k] != SYS_getuid)
                continue;
            x = random_next(x);
            assert_int_equal(calls[k], x & 1 ? SYS_getppid : SYS_getuid);
            made++;
        }
        assert_int_equal(made, MOVES);
    }
    free(calls);
}

static void test_killed_agent(void **state)
{
    char path[64], pins[64];
    struct harness h;
    (void)state;
    snprintf(path, sizeof(path), SPOOL, getpid());
    snprintf(pins, sizeof(pins), "/sys/fs/bpf/vigia-test-%d", getpid());
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (uint32_t i = 0; i < MOVERS; i++)
        shared->movers[i].seed = 0x9e3779b9u * (i + 1) | 1;
    harness_open(&h, pins, 0);
    harness_close(&h, true); /* from here on the pins alone keep it going */
    pid_t load = harness_start(&h, run_movers, NULL);
    for (int round = 0; round < 6; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            agent(&h, path);
            _exit(0);
        }
        usleep(round < 5 ? 150000u + 37000u * (unsigned)round : 2500000u);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        usleep(50000); /* nobody reads, the kernel goes on */
    }
    assert_int_equal(waitpid(load, NULL, 0), load);
    pid_t pid = fork();
    if (pid == 0) {
        agent(&h, path);
        _exit(0);
    }
    for (unsigned before = shared->ticks; shared->ticks < before + 10;) /* all is written */
        usleep(20000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    off_t whole;
    struct block *last = spool_read(path, windows_keep, &h, &whole);
    block_free(last);
    movers_check(&h);
    assert_int_equal(h.n_blinds, 0);
    harness_reopen(&h);
    harness_close(&h, false);
    rmdir(pins);
    unlink(path);
    munmap(shared, sizeof(*shared));
}

/* A block that was not committed comes again, whole. */
static int few_calls(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        syscall(SYS_getppid);
    return 0;
}

static void test_uncommitted(void **state)
{
    struct harness h;
    struct block *b;
    (void)state;
    harness_open(&h, "", 0);
    pid_t pid = harness_start(&h, few_calls, NULL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    usleep(10000);
    for (int i = 0; i < 3; i++) { /* as if the spool could not be written */
        assert_int_equal(capture_tick(h.capture, clock_mono_ns(), &b), 0);
        block_freep(&b);
    }
    harness_tick(&h);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 1000);
    assert_int_equal(h.seen, h.delivered);
    assert_true(h.n_processes > 0 && h.n_texts > 0);
    uint32_t n = h.n_windows;
    harness_tick(&h);
    assert_int_equal(h.n_windows, n);
    struct capture_stats stats;
    capture_get_stats(h.capture, &stats);
    assert_int_equal(stats.unbalanced, 0);
    harness_close(&h, false);
}

/* The same for longer than who has exited is remembered: what a process of long standing did last
 * comes out whole. */
static int last_calls(void *arg)
{
    int *go = arg;
    for (int i = 0; i < 20; i++)
        syscall(SYS_getppid);
    while (!__atomic_load_n(go, __ATOMIC_ACQUIRE)) { /* makes no call */
    }
    syscall(SYS_getuid);
    return 0;
}

static void test_uncommitted_for_long(void **state)
{
    struct harness h;
    struct block *b;
    (void)state;
    int *go = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(go != MAP_FAILED);
    harness_open(&h, "", 0);
    pid_t pid = harness_start(&h, last_calls, go);
    for (int i = 0; i < 1000 && harness_count(&h, SYS_getppid, -1) < 20; i++) {
        usleep(10000);
        harness_tick(&h);
    }
    usleep(1100000); /* so that they lie well before the last cut: there is one a second */
    harness_tick(&h);
    __atomic_store_n(go, 1, __ATOMIC_RELEASE);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    usleep(10000);
    uint64_t now_ns = clock_mono_ns();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(capture_tick(h.capture, now_ns + (uint64_t)i * 11 * NS_PER_S, &b), 0);
        assert_non_null(b);
        const struct window *last = NULL;
        for (uint32_t k = 0; k < b->n_windows; k++)
            if (b->windows[k].tid == (uint32_t)pid)
                last = &b->windows[k];
        assert_non_null(last);
        assert_int_equal(last->sysno[0], SYS_getuid);
        assert_int_equal(last->n_context, WINDOW_CONTEXT_MAX);
        assert_int_not_equal(last->start_ns, 0);
        block_free(b);
    }
    harness_close(&h, false);
    munmap(go, 4096);
}

/* Floods one CPU, and is silent on it from then on. */
static int flood(void *arg)
{
    int *flooded = arg;
    on_cpu(0);
    for (int i = 0; i < 2 * BURST; i++) /* more than its ring holds */
        syscall(SYS_getppid);
    __atomic_store_n(flooded, 1, __ATOMIC_RELEASE);
    return (int)sleep(60);
}

static int steady(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 64; k++)
            syscall(SYS_getuid);
        usleep(30000);
    }
    return 0;
}

/* Losses of one CPU that are not told yet, since nothing has come on it since, are no losses of who
 * begins on another one later. */
static void test_flood(void **state)
{
    struct harness h;
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        skip();
    int *flooded = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(flooded != MAP_FAILED);
    harness_open(&h, "", 0);
    pid_t flooder = harness_start(&h, flood, flooded);
    while (!__atomic_load_n(flooded, __ATOMIC_ACQUIRE))
        usleep(10000);
    usleep(50000);
    for (int i = 0; i < 3; i++)
        harness_tick(&h);
    uint32_t first = h.n_windows, calls = 0;
    cpu_set_t all;
    sched_getaffinity(0, sizeof(all), &all);
    on_cpu(1); /* inherited */
    pid_t pid = harness_start(&h, steady, NULL);
    sched_setaffinity(0, sizeof(all), &all);
    assert_int_equal(harness_wait(&h, pid), 0);
    for (uint32_t i = first; i < h.n_windows; i++) {
        const struct window *w = &h.windows[i];
        if (w->tid != (uint32_t)pid)
            continue;
        assert_int_equal(w->flags & WINDOW_AFTER_GAP, 0);
        assert_int_equal(w->n_context, MIN(calls, WINDOW_CONTEXT_MAX));
        calls += w->n_calls;
    }
    assert_true(calls > 640);
    kill(flooder, SIGKILL);
    assert_int_equal(harness_wait(&h, flooder), SIGKILL);
    harness_close(&h, false);
    munmap(flooded, 4096);
}

/* More windows than a block holds: it says how far it reaches, and the next ones have the rest. */
#define THREADS 17500

static int thread_nothing(void *arg)
{
    return arg != NULL;
}

static int short_threads(void *arg)
{
    static char stack[16384] __attribute__((aligned(16)));
    (void)arg;
    for (int i = 0; i < THREADS; i++)
        if (clone(thread_nothing, stack + sizeof(stack),
                  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_VFORK,
                  NULL) < 0)
            return 1;
    return 0;
}

static void test_full_block(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    h.keep_last = true;
    pid_t pid = harness_start(&h, short_threads, NULL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    usleep(20000);
    harness_tick(&h);
    assert_true(capture_more(h.capture));
    assert_int_equal(h.last->n_windows, 16384);
    uint64_t until_ns = h.last->until_ns;
    for (uint32_t i = 0; i < h.n_windows; i++)
        assert_true(h.windows[i].first_ns <= until_ns);
    uint32_t first = h.n_windows;
    while (capture_more(h.capture))
        harness_tick(&h);
    assert_true(h.n_windows > first);
    for (uint32_t i = first; i < h.n_windows; i++)
        assert_true(h.windows[i].first_ns >= until_ns);
    assert_int_equal(harness_count(&h, SYS_exit, -1), THREADS);
    assert_int_equal(h.seen, h.delivered);
    harness_close(&h, false);
}

/* After a reboot it is not known what was before it either, since the agent was stopped. */
static void test_reboot(void **state)
{
    struct harness h;
    struct block last = {
        .boot = {1, 2, 3}, .mono_ns = 5000 * NS_PER_S, .until_ns = 4999 * NS_PER_S};
    (void)state;
    harness_open(&h, "", 0);
    for (int ago_h = -1; ago_h < 200; ago_h += 100) {
        capture_close(h.capture, false);
        last.wall_ns =
            clock_wall_ns() - clock_mono_ns() - (uint64_t)((int64_t)3600 * ago_h) * NS_PER_S;
        assert_int_equal(capture_open(&h.options, h.containers, &last, &h.capture), 0);
        struct block *b;
        assert_int_equal(capture_tick(h.capture, clock_mono_ns(), &b), 0);
        assert_int_equal(b->n_blinds, 1);
        assert_string_equal(b->blinds[0].reason, "reboot");
        int64_t first_s = (int64_t)b->blinds[0].first_ns / (int64_t)NS_PER_S;
        if (ago_h < 0) /* the clock was set back: not before the boot then */
            assert_int_equal(first_s, 0);
        else
            assert_in_range(first_s + 1 + 3600 * ago_h + 2, 0, 4);
        block_free(b);
    }
    harness_close(&h, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_uncommitted),
        cmocka_unit_test(test_uncommitted_for_long),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_full_block),
        cmocka_unit_test(test_reboot),
        cmocka_unit_test(test_killed_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
