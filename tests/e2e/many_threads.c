/* many_threads N: makes N threads on each of two CPUs at once (on the one there is, if it is one).
 * Each ends as it begins, so that a block has no room for all their windows. */
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int nothing(void *arg)
{
    return arg != NULL;
}

static int threads(int cpu, long n)
{
    static char stack[16384] __attribute__((aligned(16)));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one))
        return 2;
    while (n-- > 0)
        if (clone(nothing, stack + sizeof(stack),
                  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_VFORK,
                  NULL) < 0)
            return 3;
    return 0;
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 0, cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int failed = 0, status;
    for (int cpu = 0; cpu < 2 && cpu < cpus; cpu++)
        if (fork() == 0)
            _exit(threads(cpu, n));
    while (wait(&status) > 0)
        failed |= status;
    return failed != 0;
}
