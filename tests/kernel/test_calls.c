/* What the kernel side writes, for real: order, ABIs, exits, programs, arguments. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <unistd.h>

#include "kernel/harness.h"
#include "test.h"

#define THREADS 4
#define CALLS 30000

struct mover {
    uint32_t tid, seed;
    int every;
};
static struct mover *movers; /* shared with the child */

static void *move(void *arg)
{
    struct mover *m = arg;
    m->tid = (uint32_t)syscall(SYS_gettid);
    uint32_t x = m->seed, cpu = 0;
    for (int i = 1; i <= CALLS; i++) {
        x = random_next(x);
        syscall(x & 1 ? SYS_getppid : SYS_getuid);
        if (i % m->every == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu ^= 1, &one);
            sched_setaffinity(0, sizeof(one), &one);
        }
    }
    return NULL;
}

static int run_movers(void *arg)
{
    pthread_t threads[THREADS];
    (void)arg;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, move, &movers[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

/* Threads that change CPU all the time keep their exact order across cuts. */
static void test_order(void **state)
{
    static const int every[THREADS] = {1, 7, 50, 1000};
    struct harness h;
    (void)state;
    movers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (uint32_t i = 0; i < THREADS; i++)
        movers[i] = (struct mover){.seed = 0x9e3779b9u * (i + 1) | 1, .every = every[i]};
    harness_open(&h, "", 0);
    assert_int_equal(harness_wait(&h, harness_start(&h, run_movers, NULL)), 0);
    uint16_t *calls = malloc(4 * CALLS * sizeof(*calls));
    for (uint32_t i = 0; i < THREADS; i++) {
        uint32_t n = harness_calls(&h, movers[i].tid, calls, 4 * CALLS), at = 0, x = movers[i].seed;
        for (uint32_t k = 0; k < n; k++) {
            if (calls[k] != SYS_getppid && calls[k] != SYS_getuid)
                continue;
            x = random_next(x);
            assert_int_equal(calls[k], x & 1 ? SYS_getppid : SYS_getuid);
            at++;
        }
        assert_int_equal(at, CALLS);
    }
    assert_int_equal(h.seen, h.delivered);
    free(calls);
    harness_close(&h, false);
    munmap(movers, 4096);
}

#ifdef __x86_64__
/* A 32-bit call from 64-bit code; pointers must lie below 4 GiB. */
static long compat(long nr, const void *a, const void *b, const void *c, const void *d,
                   const void *e)
{
    long ret;
    __asm__ volatile("int $0x80"
                     : "=a"(ret)
                     : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory", "r8", "r9", "r10", "r11");
    return ret;
}

/* Kernels may be built or started without them. */
static bool has_compat(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(compat(20, NULL, NULL, NULL, NULL, NULL) != getpid());
    return waitpid(pid, &status, 0) == pid && status == 0;
}
#else
static bool has_compat(void)
{
    return false;
}
#endif

static int some_calls(void *arg)
{
    const int *n_compat = arg;
    for (int i = 0; i < 100; i++)
        syscall(SYS_getppid);
    syscall(5000);          /* no such number */
    syscall(SYS_close, -1); /* EBADF */
#ifdef __x86_64__
    for (int i = 0; i < *n_compat; i++)
        compat(20, NULL, NULL, NULL, NULL, NULL); /* getpid */
    syscall(0x40000000 |
            SYS_getuid); /* x32: this kernel may say ENOSYS, it is a call all the same */
#endif
    return 0;
}

static void test_abis(void **state)
{
    struct harness h;
    int n_compat = has_compat() ? 7 : 0;
    (void)state;
    harness_open(&h, "", 0);
    assert_int_equal(harness_wait(&h, harness_start(&h, some_calls, &n_compat)), 0);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 100);
    assert_int_equal(harness_count(&h, SYSNO_OUT_OF_RANGE, RET_ERROR + 38), 1);
    assert_int_equal(harness_count(&h, SYS_close, RET_ERROR + 9), 1);
    assert_int_equal(harness_count(&h, SYS_exit_group, RET_NEVER), 1);
#ifdef __x86_64__
    assert_int_equal(harness_count(&h, SYSNO(ABI_COMPAT, 20), -1), n_compat);
    assert_int_equal(harness_count(&h, SYSNO(ABI_X32, SYS_getuid), -1), 1);
#endif
    assert_int_equal(h.seen, h.delivered);
    harness_close(&h, false);
}

static void *spin(void *arg)
{
    for (atomic_uint *spun = arg;; (*spun)++)
        syscall(SYS_getppid);
    return NULL;
}

static void *sleep_long(void *arg)
{
    (void)arg;
    sleep(100);
    return NULL;
}

static int be_killed(void *arg)
{
    pthread_t a, b;
    atomic_uint spun = 0;
    (void)arg;
    pthread_create(&a, NULL, spin, &spun);
    pthread_create(&b, NULL, sleep_long, NULL);
    while (spun < 1000)
        usleep(10000);
    kill(getpid(), SIGKILL);
    return 0;
}

/* Killed threads did not call exit; a process that ends is told. */
static void test_killed(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    pid_t pid = harness_start(&h, be_killed, NULL);
    int status = harness_wait(&h, pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(harness_count(&h, SYS_exit, -1), 0);
    assert_int_equal(harness_count(&h, SYS_exit_group, -1), 0);
    assert_true(harness_count(&h, SYS_getppid, -1) > 100);
    bool told = false;
    for (uint32_t i = 0; i < h.n_processes; i++)
        told |= h.processes[i].event == PROCESS_EXIT && h.processes[i].tgid == (uint32_t)pid &&
                (h.processes[i].exit_code & 0x7f) == SIGKILL;
    assert_true(told);
    harness_close(&h, false);
}

static void *exec_true(void *arg)
{
    (void)arg;
    execl("/bin/busybox", "true", "of", "arguments", NULL);
    _exit(127);
}

static int exec_in_thread(void *arg)
{
    pthread_t a;
    (void)arg;
    syscall(SYS_getppid);
    pthread_create(&a, NULL, exec_true, NULL);
    pause();
    return 1;
}

/* An exec by a thread that is not the leader: the tid changes to the tgid; the program is told
 * first. */
static void test_exec(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    pid_t pid = harness_start(&h, exec_in_thread, NULL);
    assert_int_equal(harness_wait(&h, pid), 0);
    const struct process *exec = NULL;
    for (uint32_t i = 0; i < h.n_processes; i++)
        if (h.processes[i].event == PROCESS_EXEC)
            exec = &h.processes[i];
    assert_non_null(exec);
    assert_int_equal(exec->tgid, pid);
    assert_int_not_equal(exec->tid, pid);
    assert_string_equal(exec->arguments, "true of arguments");
    const struct text *program = harness_text(&h, exec->program);
    assert_non_null(program);
    assert_non_null(strstr(program->text, "busybox true"));
    uint32_t after = 0;
    for (uint32_t i = 0; i < h.n_windows; i++) {
        if (h.windows[i].program != exec->program)
            continue;
        assert_int_equal(h.windows[i].tid, pid);
        assert_int_equal(h.windows[i].start_ns, exec->start_ns);
        if (!after++) {
            assert_int_equal(h.windows[i].sysno[0], SYS_execve);
            assert_int_equal(h.windows[i].n_context, 0);
            assert_true(h.windows[i].flags & WINDOW_AFTER_EXEC);
        }
    }
    assert_true(after > 0);
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_EXEC, "/bin/busybox"));
    harness_close(&h, false);
}

static int with_arguments(void *arg)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nowhere/vigia.sock"};
    (void)arg;
    for (int i = 0; i < 3; i++)
        close(open("/etc//./hostname", O_RDONLY));
    unlink("/tmp/vigia-no-such-file");
    rename("/tmp/vigia-a", "/tmp/vigia-b");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect(fd, (void *)&in, sizeof(in));
    in.sin_addr.s_addr = htonl(0x08080808);
    in.sin_port = htons(40000);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    sendto(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (void *)&in,
           2); /* too short an address: no call leaves */
    connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof(un));
    mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    chmod("/tmp/vigia-no-such-file", 04755);
    return 0;
}

static void test_arguments(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    assert_int_equal(harness_wait(&h, harness_start(&h, with_arguments, NULL)), 0);
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_READ, "/etc/hostname"));
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_DELETE, "/tmp/vigia-no-such-file"));
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_RENAME, "/tmp/vigia-b"));
    assert_true(harness_has_text(&h, TEXT_ADDRESS, ACCESS_CONNECT, "loopback:80"));
    assert_true(harness_has_text(&h, TEXT_ADDRESS, ACCESS_CONNECT, "unix:/nowhere/vigia.sock"));
    assert_true(harness_has_text(&h, TEXT_FLAG, ACCESS_NONE, "mmap PROT_WRITE|PROT_EXEC"));
    assert_true(harness_has_text(&h, TEXT_FLAG, ACCESS_NONE, "chmod +s"));
    assert_true(harness_has_text(&h, TEXT_FLAG, ACCESS_NONE, "socket AF_INET SOCK_STREAM"));
    uint64_t id = text_id(TEXT_PATH, ACCESS_READ, "/etc/hostname");
    uint32_t n = 0, told = 0;
    for (uint32_t i = 0; i < h.n_windows; i++)
        for (uint32_t k = 0; k < h.windows[i].n_calls; k++)
            n += h.windows[i].argument[k] == id && h.windows[i].flag[k] == CALL_HAS_ARGUMENT;
    for (uint32_t i = 0; i < h.n_texts; i++)
        told += h.texts[i].id == id;
    assert_int_equal(n, 3);
    assert_int_equal(told, 1); /* once per container */
    harness_close(&h, false);
}

#ifdef __x86_64__
#define N(n) ((const void *)(uintptr_t)(n))

/* Numbers of <asm/unistd_32.h>, which cannot be had beside those of the native table. */
static int with_compat_arguments(void *arg)
{
    char *low =
        mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    char *a = low, *b = low + 256, *edge = low + 4096 - 12;
    uint32_t *call = (uint32_t *)(void *)(low + 512), *message = (uint32_t *)(void *)(low + 640);
    uint64_t *how = (uint64_t *)(void *)(low + 768);
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)(low + 1024);
    const void *here = N(AT_FDCWD);
    (void)arg;
    if (low == MAP_FAILED || mprotect(low + 4096, 4096, PROT_NONE))
        return 1;
    compat(5, strcpy(a, "/c/open"), N(O_RDONLY), NULL, NULL, NULL);
    compat(8, strcpy(a, "/c/creat"), N(0600), NULL, NULL, NULL);
    compat(295, here, strcpy(a, "/c/openat"), N(O_WRONLY), NULL, NULL);
    *how = O_RDWR;
    compat(437, here, strcpy(a, "/c/openat2"), how, N(24), NULL);
    compat(11, strcpy(a, "/c/execve"), NULL, NULL, NULL, NULL);
    compat(358, here, strcpy(a, "/c/execveat"), NULL, NULL, NULL);
    compat(10, strcpy(a, "/c/unlink"), NULL, NULL, NULL, NULL);
    compat(301, here, strcpy(a, "/c/unlinkat"), NULL, NULL, NULL);
    compat(38, strcpy(a, "/c/from"), strcpy(b, "/c/rename"), NULL, NULL, NULL);
    compat(302, here, a, here, strcpy(b, "/c/renameat"), NULL);
    compat(353, here, a, here, strcpy(b, "/c/renamed"), NULL);
    compat(9, a, strcpy(b, "/c/link"), NULL, NULL, NULL);
    compat(303, here, a, here, strcpy(b, "/c/linkat"), NULL);
    compat(83, a, strcpy(b, "/c/symlink"), NULL, NULL, NULL);
    compat(212, strcpy(a, "/c/chown"), N(0), N(0), NULL, NULL);
    compat(193, strcpy(a, "/c/truncate"), NULL, NULL, NULL, NULL);
    compat(15, strcpy(a, "/c/chmod"), N(04755), NULL, NULL, NULL);
    compat(125, low, N(4096), N(PROT_READ | PROT_WRITE | PROT_EXEC), NULL, NULL);
    compat(192, NULL, N(4096), N(PROT_READ | PROT_EXEC), N(MAP_PRIVATE | MAP_ANONYMOUS), N(-1));
    *in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(81), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    compat(362, N(-1), in, N(sizeof(*in)), NULL, NULL);
    in->sin_port = htons(82);
    compat(361, N(-1), in, N(sizeof(*in)), NULL, NULL);
    in->sin_port = htons(83);
    message[0] = (uint32_t)(uintptr_t)in;
    message[1] = sizeof(*in);
    compat(370, N(-1), message, NULL, NULL, NULL);
    /* the same through socketcall, once with arguments that end where the page does */
    in->sin_port = htons(84);
    memcpy(edge, (uint32_t[]){(uint32_t)-1, (uint32_t)(uintptr_t)in, sizeof(*in)}, 12);
    compat(102, N(3), edge, NULL, NULL, NULL);
    in->sin_port = htons(85);
    memcpy(call, (uint32_t[]){(uint32_t)-1, 0, 0, 0, (uint32_t)(uintptr_t)in, sizeof(*in)}, 24);
    compat(102, N(11), call, NULL, NULL, NULL);
    memcpy(call, (uint32_t[]){AF_UNIX, SOCK_DGRAM, 0}, 12);
    compat(102, N(1), call, NULL, NULL, NULL);
    strcpy(a, "/bin/busybox");
    call[0] = (uint32_t)(uintptr_t)strcpy(b, "true");
    call[1] = 0;
    return (int)compat(11, a, call, NULL, NULL, NULL); /* a 64-bit program: that is native again */
}

/* 32-bit calls have the arguments of native ones, under the same texts. */
static void test_compat_arguments(void **state)
{
    static const struct {
        uint16_t number, access;
        const char *text;
    } paths[] = {
        {5, ACCESS_READ, "/c/open"},
        {8, ACCESS_CREATE, "/c/creat"},
        {295, ACCESS_WRITE, "/c/openat"},
        {437, ACCESS_WRITE, "/c/openat2"},
        {11, ACCESS_EXEC, "/c/execve"},
        {358, ACCESS_EXEC, "/c/execveat"},
        {10, ACCESS_DELETE, "/c/unlink"},
        {301, ACCESS_DELETE, "/c/unlinkat"},
        {38, ACCESS_RENAME, "/c/rename"},
        {302, ACCESS_RENAME, "/c/renameat"},
        {353, ACCESS_RENAME, "/c/renamed"},
        {9, ACCESS_CREATE, "/c/link"},
        {303, ACCESS_CREATE, "/c/linkat"},
        {83, ACCESS_CREATE, "/c/symlink"},
        {212, ACCESS_ATTRIBUTE, "/c/chown"},
        {193, ACCESS_WRITE, "/c/truncate"},
        {362, ACCESS_CONNECT, "loopback:81"},
        {361, ACCESS_BIND, "loopback:82"},
        {370, ACCESS_SEND, "loopback:83"},
        {102, ACCESS_CONNECT, "loopback:84"},
        {102, ACCESS_SEND, "loopback:85"},
        {15, ACCESS_NONE, "chmod +s"},
        {125, ACCESS_NONE, "mprotect PROT_WRITE|PROT_EXEC"},
        {192, ACCESS_NONE, "mmap PROT_EXEC"},
        {102, ACCESS_NONE, "socket AF_UNIX SOCK_DGRAM"},
    };
    struct harness h;
    (void)state;
    if (!has_compat())
        skip();
    harness_open(&h, "", 0);
    assert_int_equal(harness_wait(&h, harness_start(&h, with_compat_arguments, NULL)), 0);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        enum text_kind kind = paths[i].access == ACCESS_NONE       ? TEXT_FLAG
                              : strchr(paths[i].text, ':') != NULL ? TEXT_ADDRESS
                                                                   : TEXT_PATH;
        uint64_t id = text_id(kind, paths[i].access, paths[i].text);
        uint32_t n = 0;
        for (uint32_t w = 0; w < h.n_windows; w++)
            for (uint32_t k = 0; k < h.windows[w].n_calls; k++)
                n += h.windows[w].sysno[k] == SYSNO(ABI_COMPAT, paths[i].number) &&
                     h.windows[w].argument[k] == id;
        if (n != 1)
            fail_msg("%s: in %u calls, not one", paths[i].text, n);
    }
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_EXEC, "/bin/busybox"));
    assert_int_equal(h.seen, h.delivered);
    harness_close(&h, false);
}
#endif

static int uring(void *arg)
{
    struct io_uring_params p = {0};
    (void)arg;
    int fd = (int)syscall(SYS_io_uring_setup, 4, &p);
    if (fd < 0)
        return 77;
    uint8_t *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
    if (sq == MAP_FAILED || sqes == MAP_FAILED)
        return 1;
    for (uint32_t i = 0; i < 3; i++) {
        sqes[i] = (struct io_uring_sqe){.opcode = IORING_OP_NOP};
        ((uint32_t *)(void *)(sq + p.sq_off.array))[i] = i;
    }
    __atomic_store_n((uint32_t *)(void *)(sq + p.sq_off.tail), 3, __ATOMIC_RELEASE);
    return syscall(SYS_io_uring_enter, fd, 3, 0, 0, NULL, 0) == 3 ? 0 : 1;
}

static void test_io_uring(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    int status = harness_wait(&h, harness_start(&h, uring, NULL));
    if (WEXITSTATUS(status) == 77) {
        printf("SKIP: io_uring is off on this machine\n");
    } else {
        assert_int_equal(status, 0);
        assert_int_equal(harness_count(&h, SYSNO(ABI_IO_URING, IORING_OP_NOP), RET_ASYNC), 3);
        assert_int_equal(harness_count(&h, SYS_io_uring_enter, 3), 1);
    }
    harness_close(&h, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_abis),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_exec),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_io_uring),
#ifdef __x86_64__
        cmocka_unit_test(test_compat_arguments),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
