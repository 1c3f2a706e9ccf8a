#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return status_of(status);
}

/* In the child: never returns. out < 0: standard output goes to the log too. */
_Noreturn static void become(const char *const argv[], const char *log, int out, bool group)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int in = open("/dev/null", O_RDONLY);
    int to = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (in < 0 || to < 0 || dup2(in, 0) < 0 || dup2(out < 0 ? to : out, 1) < 0 || dup2(to, 2) < 0)
        _exit(127);
    if (group) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* it does not outlive us, even if we are killed */
    }
    execvp(argv[0], (char *const *)argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int child_run(const char *const argv[], const char *log)
{
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        become(argv, log, -1, false);
    return wait_for(pid);
}

static int collect(int fd, size_t size_max, char **ret)
{
    size_t size = 0, room = 4096;
    CLEANUP(freep) char *text = malloc(room + 1);
    while (text) {
        ssize_t n = read(fd, text + size, room - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        size += (size_t)n;
        if (n == 0) {
            text[size] = '\0';
            *ret = TAKE(text);
            return 0;
        }
        if (size < room)
            continue;
        if (room >= size_max)
            return -EFBIG;
        char *more = realloc(text, 2 * room + 1);
        if (!more)
            return -ENOMEM;
        text = more;
        room *= 2;
    }
    return -ENOMEM;
}

int child_output(const char *const argv[], const char *log, size_t size_max, char **ret)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        become(argv, log, ends[1], false);
    int r = pid < 0 ? -errno : 0;
    close(ends[1]);
    CLEANUP(freep) char *text = NULL;
    if (r == 0)
        r = collect(ends[0], size_max, &text);
    close(ends[0]);
    if (pid < 0)
        return r;
    int status = wait_for(pid);
    if (r < 0)
        return r;
    *ret = TAKE(text);
    return status;
}

int child_start(const char *const argv[], const char *log, pid_t *ret)
{
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        become(argv, log, -1, true);
    *ret = pid;
    return 0;
}

int child_stop(pid_t pid, unsigned grace_ms)
{
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    int status;
    kill(pid, SIGTERM);
    for (unsigned waited = 0; waited < grace_ms; waited += 20) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status_of(status);
        nanosleep(&step, NULL);
    }
    kill(pid, SIGKILL);
    return wait_for(pid);
}
