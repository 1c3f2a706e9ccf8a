/* What the kernel side writes, for real: order, ABIs, exits, programs, arguments. */
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
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

static uint32_t random_next(uint32_t x)
{
    x ^= x << 13;
    x ^= x >> 17;
    return x ^ x << 5;
}

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

static int some_calls(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        syscall(SYS_getppid);
    syscall(5000);          /* no such number */
    syscall(SYS_close, -1); /* EBADF */
#ifdef __x86_64__
    long ret;
    for (int i = 0; i < 7; i++) /* getpid of the 32-bit table, from 64-bit code */
        __asm__ volatile("int $0x80" : "=a"(ret) : "0"(20L) : "memory", "r8", "r9", "r10", "r11");
    syscall(0x40000000 |
            SYS_getuid); /* x32: this kernel may say ENOSYS, it is a call all the same */
#endif
    return 0;
}

static void test_abis(void **state)
{
    struct harness h;
    (void)state;
    harness_open(&h, "", 0);
    assert_int_equal(harness_wait(&h, harness_start(&h, some_calls, NULL)), 0);
    assert_int_equal(harness_count(&h, SYS_getppid, -1), 100);
    assert_int_equal(harness_count(&h, SYSNO_OUT_OF_RANGE, RET_ERROR + 38), 1);
    assert_int_equal(harness_count(&h, SYS_close, RET_ERROR + 9), 1);
    assert_int_equal(harness_count(&h, SYS_exit_group, RET_NEVER), 1);
#ifdef __x86_64__
    assert_int_equal(harness_count(&h, SYSNO(ABI_COMPAT, 20), -1), 7);
    assert_int_equal(harness_count(&h, SYSNO(ABI_X32, SYS_getuid), -1), 1);
#endif
    assert_int_equal(h.seen, h.delivered);
    harness_close(&h, false);
}

static void *spin(void *arg)
{
    (void)arg;
    for (;;)
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
    (void)arg;
    pthread_create(&a, NULL, spin, NULL);
    pthread_create(&b, NULL, sleep_long, NULL);
    usleep(30000);
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
    return NULL;
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

static int go_deep_and_exec(int etc)
{
    char deep[] = "d/", longest[256], name[] = "true", *argv[] = {name, NULL};
    /* Deeper than what is walked. */
    for (int i = 0; i < 40; i++)
        if (mkdir(deep, 0700) || chdir(deep))
            return 10;
    open("too-deep", O_WRONLY);
    for (int i = 0; i < 40; i++)
        if (chdir("..") || rmdir(deep))
            return 11;
    /* Longer than one probe's buffer, and the cut is said. */
    memset(longest, 'l', 255);
    longest[255] = 0;
    open(longest, O_WRONLY);
    syscall(SYS_execveat, etc, "vigia-none", NULL, NULL, 0);
    syscall(SYS_execveat, open("/bin", O_PATH | O_CLOEXEC), "busybox", argv, NULL, 0);
    return 12;
}

/* Of most of these calls the text is all that is looked at: they fail. */
static int with_relative_paths(void *arg)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "relative.sock"};
    const char *top = arg;
    if (chdir("/etc"))
        return 1;
    close(open("shadow", O_RDONLY)); /* cd /etc; cat shadow */
    close(open("../etc/./hostname", O_RDONLY));
    int etc = open(".", O_PATH | O_DIRECTORY);
    if (chdir("/proc/self")) /* another mount */
        return 2;
    syscall(SYS_open, "vigia-none", O_WRONLY);
    openat(etc, "vigia-none/new", O_RDWR | O_CREAT, 0600);
    unlinkat(etc, "cron.d/vigia-none", 0);
    syscall(SYS_fchmodat, etc, "vigia-none", 0600);
    fchownat(etc, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH); /* the directory itself */
    openat(-7, "vigia-nowhere", O_WRONLY);
    openat(100000, "vigia-nowhere", O_WRONLY);
    if (chdir(top))
        return 3;
    /* As redis does after CONFIG SET dir: a temporary file, then its name. */
    if (mkdir("crontabs", 0700) || chdir("crontabs"))
        return 4;
    close(open("temp-1.rdb", O_WRONLY | O_CREAT, 0600));
    if (rename("temp-1.rdb", "root"))
        return 5;
    int here = open(".", O_PATH | O_DIRECTORY);
    if (renameat(here, "root", etc, "vigia-none/x") == 0 || linkat(here, "root", here, "hard", 0) ||
        symlinkat("target", here, "soft") || unlinkat(here, "soft", 0) || unlink("hard"))
        return 6;
    connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof(un));
    /* The directory gets another name: from the next call on it has that. */
    if (rename("../crontabs", "../renamed"))
        return 7;
    close(open("root", O_RDWR));
    unlink("root");
    /* It goes, and the next of the same name and perhaps the same inode is elsewhere. */
    if (rmdir("../renamed"))
        return 8;
    open("gone", O_WRONLY);
    close(open("../from-gone", O_WRONLY | O_CREAT, 0600));
    unlink("../from-gone");
    if (chdir("/") || chdir(top))
        return 9;
    return go_deep_and_exec(etc);
}

/* Roots of its own, as chroot makes one and as runtimes do; a descriptor leads out of it. */
static int with_another_root(void *arg)
{
    const char *top = arg;
    int outside = open(top, O_PATH | O_DIRECTORY);
    if (chdir(top) || mkdir("jail", 0700) || mkdir("jail/etc", 0700))
        return 1;
    if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("jail", "jail", NULL, MS_BIND, NULL) || chdir("jail"))
        return 2;
    pid_t pid = fork();
    if (pid == 0) {
        if (chroot(".") || chdir("/etc"))
            _exit(3);
        open("shadow", O_RDONLY);
        openat(outside, "vigia-escape", O_RDONLY);
        _exit(0);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status)
        return 4;
    if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/etc"))
        return 5;
    open("gshadow", O_RDONLY);
    return 0;
}

static void test_another_root(void **state)
{
    char top[] = "/tmp/vigia-root-XXXXXX", text[100];
    struct harness h;
    (void)state;
    assert_non_null(mkdtemp(top));
    harness_open(&h, "", 0);
    int status = harness_wait(&h, harness_start(&h, with_another_root, top));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_READ, "/etc/shadow"));
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_READ, "/etc/gshadow"));
    snprintf(text, sizeof(text), "%s/vigia-escape", top);
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_READ, text));
    harness_close(&h, false);
    snprintf(text, sizeof(text), "%s/jail/etc", top);
    for (int i = 0; i < 3; i++, *strrchr(text, '/') = 0)
        assert_int_equal(rmdir(text), 0);
}

static void test_relative_paths(void **state)
{
    char busybox[PATH_MAX];
    assert_non_null(realpath("/bin/busybox", busybox));
    const struct {
        enum text_kind kind;
        enum text_access access;
        const char *text; /* behind the directory of the test, unless it begins with '/' */
    } cases[] = {
        {TEXT_PATH, ACCESS_READ, "/etc/shadow"},
        {TEXT_PATH, ACCESS_READ, "/etc/hostname"},
        {TEXT_PATH, ACCESS_READ, "/etc"},
        {TEXT_PATH, ACCESS_CREATE, "/etc/vigia-none/new"},
        {TEXT_PATH, ACCESS_DELETE, "/etc/cron.d/vigia-none"},
        {TEXT_PATH, ACCESS_ATTRIBUTE, "/etc/vigia-none"},
        {TEXT_PATH, ACCESS_ATTRIBUTE, "/etc"},
        {TEXT_PATH, ACCESS_WRITE, "/relative:vigia-nowhere"},
        {TEXT_PATH, ACCESS_CREATE, "crontabs"},
        {TEXT_PATH, ACCESS_CREATE, "crontabs/temp-1.rdb"},
        {TEXT_PATH, ACCESS_RENAME, "crontabs/root"},
        {TEXT_PATH, ACCESS_RENAME, "/etc/vigia-none/x"},
        {TEXT_PATH, ACCESS_CREATE, "crontabs/hard"},
        {TEXT_PATH, ACCESS_CREATE, "crontabs/soft"},
        {TEXT_PATH, ACCESS_DELETE, "crontabs/soft"},
        {TEXT_PATH, ACCESS_RENAME, "renamed"},
        {TEXT_PATH, ACCESS_WRITE, "renamed/root"},
        {TEXT_PATH, ACCESS_DELETE, "renamed/root"},
        {TEXT_PATH, ACCESS_WRITE, "renamed/gone"},
        {TEXT_PATH, ACCESS_CREATE, "from-gone"},
        {TEXT_PATH, ACCESS_WRITE, "/relative:too-deep"},
        {TEXT_PATH, ACCESS_EXEC, "/etc/vigia-none"},
        {TEXT_PATH, ACCESS_EXEC, busybox},
        {TEXT_ADDRESS, ACCESS_CONNECT, "crontabs/relative.sock"},
    };
    char top[] = "/tmp/vigia-relative-XXXXXX", text[600];
    struct harness h;
    (void)state;
    assert_non_null(mkdtemp(top));
    harness_open(&h, "", 0);
    pid_t pid = harness_start(&h, with_relative_paths, top);
    int status = harness_wait(&h, pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *form = cases[i].kind == TEXT_ADDRESS ? "unix:" : "";
        if (!strncmp(cases[i].text, "/relative:", 10))
            snprintf(text, sizeof(text), "%s", cases[i].text + 1);
        else if (cases[i].text[0] == '/')
            snprintf(text, sizeof(text), "%s", cases[i].text);
        else
            snprintf(text, sizeof(text), "%s%s/%s", form, top, cases[i].text);
        if (!harness_has_text(&h, cases[i].kind, cases[i].access, text))
            fail_msg("no text %s", text);
    }
    snprintf(text, sizeof(text), "/proc/%d/vigia-none", pid);
    assert_true(harness_has_text(&h, TEXT_PATH, ACCESS_WRITE, text));
    assert_false(harness_has_text(&h, TEXT_PATH, ACCESS_WRITE, "relative:root"));
    harness_close(&h, false);
    rmdir(top);
}

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
        cmocka_unit_test(test_order),        cmocka_unit_test(test_abis),
        cmocka_unit_test(test_killed),       cmocka_unit_test(test_exec),
        cmocka_unit_test(test_arguments),    cmocka_unit_test(test_relative_paths),
        cmocka_unit_test(test_another_root), cmocka_unit_test(test_io_uring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
