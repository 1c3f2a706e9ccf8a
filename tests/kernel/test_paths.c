/* Paths that are not absolute, for real: told with the directory that they are relative to. */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/harness.h"
#include "test.h"

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
    /* Up to the top of all mounts: longer than what we call it if we have another root ourselves.
     */
    snprintf(text, sizeof(text), "%s/vigia-escape", top);
    bool told = false;
    for (uint32_t i = 0; i < h.n_texts; i++) {
        const char *at = strstr(h.texts[i].text, text);
        told |= at && !at[strlen(text)];
    }
    assert_true(told);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relative_paths),
        cmocka_unit_test(test_another_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
