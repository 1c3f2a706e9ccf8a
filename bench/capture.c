/* ns that the capture adds to a system call, beside nothing and beside an empty exit program:
 * medians of interleaved rounds in one run. capture [--json] [--rounds N]. As root. */
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "bench/empty.skel.h"
#include "capture/kernel.h"

#define ROUNDS_MAX 101
#define MEASURE_NS 25e6

enum { NOTHING, EMPTY, PLAIN, HASHED, VARIANTS };
enum { GETPPID, READ, OPENCLOSE, RELATIVE, LOADS };
static const char *const load_names[] = {"getppid", "read", "open+close", "open+close, relative"};

static double thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void calls(int load, int fd, int n)
{
    char byte;
    for (int i = 0; i < n; i++) {
        if (load == GETPPID) {
            syscall(SYS_getppid);
        } else if (load == READ) {
            syscall(SYS_read, fd, &byte, 1);
        } else {
            const char *path = load == RELATIVE ? "hostname" : "/etc/hostname";
            long opened = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
            syscall(SYS_close, opened);
        }
    }
}

/* CPU ns per call; open and close count as two calls. */
static double measure(int load, int fd)
{
    int n = 0;
    double from = thread_ns(), now;
    do {
        calls(load, fd, 500);
        n += load >= OPENCLOSE ? 1000 : 500;
        now = thread_ns();
    } while (now - from < MEASURE_NS);
    return (now - from) / n;
}

static void rings_empty(struct kernel *k)
{
    for (uint32_t cpu = 0; cpu < k->cpus; cpu++)
        if (k->rings[cpu].header)
            k->rings[cpu].header->tail = k->rings[cpu].header->head;
    *(volatile uint64_t *)(void *)k->record_consumer =
        *(volatile uint64_t *)(void *)k->record_producer;
}

static int attach(struct kernel *k, const struct empty_bpf *e, int variant)
{
    if (variant == NOTHING)
        return -1;
    if (variant != EMPTY) {
        k->control->arguments = variant == HASHED;
        k->control->generation++;
        rings_empty(k);
    }
    return bpf_raw_tracepoint_open(NULL, variant == EMPTY ? bpf_program__fd(e->progs.empty)
                                                          : k->exit_program);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), compare);
    return v[n / 2];
}

static void print_row(bool json, const char *figure, double value, double floor)
{
    if (json)
        printf("{\"figure\": \"%s\", \"value\": %.1f, \"unit\": \"ns/call\", \"floor\": %.1f, "
               "\"ratio\": %.2f}\n",
               figure, value, floor, value / floor);
    else
        printf("%-34s %8.1f ns/call   floor %8.1f   ratio %.2f\n", figure, value, floor,
               value / floor);
}

/* Programs that others have attached there are part of what a call costs here. */
static int others(const struct kernel *k)
{
    struct bpf_prog_info own = {0}, info;
    uint32_t id = 0, size = sizeof(own);
    int n = 0;
    bpf_obj_get_info_by_fd(k->exit_program, &own, &size);
    while (!bpf_prog_get_next_id(id, &id)) {
        CLEANUP(closep) int fd = bpf_prog_get_fd_by_id(id);
        memset(&info, 0, sizeof(info));
        size = sizeof(info);
        if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size))
            n += id != own.id && info.type == own.type && info.attach_btf_id == own.attach_btf_id;
    }
    return n;
}

static int run(struct kernel *k, struct empty_bpf *e, int rounds, bool json)
{
    static double ns[VARIANTS][LOADS][ROUNDS_MAX];
    int fd = open("/dev/zero", O_RDONLY);
    if (chdir("/etc"))
        return 2;
    uint64_t dropped = 0;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < VARIANTS * LOADS; i++) {
            int variant = (i + round) % VARIANTS, load = i / VARIANTS; /* no one always first */
            CLEANUP(closep) int link = attach(k, e, variant);
            if (variant != NOTHING && link < 0)
                return 2;
            calls(load, fd, 200); /* warm */
            ns[variant][load][round] = measure(load, fd);
        }
    }
    close(fd);
    for (uint32_t cpu = 0; cpu < k->cpus; cpu++)
        dropped += k->rings[cpu].header ? k->rings[cpu].header->dropped : 0;
    for (int load = 0; load < LOADS; load++) {
        char figure[64];
        double of[VARIANTS];
        for (int v = 0; v < VARIANTS; v++)
            of[v] = median(ns[v][load], rounds);
        double floor = of[EMPTY] - of[NOTHING];
        snprintf(figure, sizeof(figure), "%s added, no arguments", load_names[load]);
        print_row(json, figure, of[PLAIN] - of[NOTHING], floor);
        snprintf(figure, sizeof(figure), "%s added, paths hashed", load_names[load]);
        print_row(json, figure, of[HASHED] - of[NOTHING], floor);
        snprintf(figure, sizeof(figure), "%s itself", load_names[load]);
        print_row(json, figure, of[NOTHING], of[NOTHING]);
    }
    if (dropped)
        fprintf(stderr, "%lu calls were dropped: they cost something else\n",
                (unsigned long)dropped);
    return 0;
}

int main(int argc, char **argv)
{
    bool json = false;
    int rounds = 15;
    for (int i = 1; i < argc; i++) {
        json |= !strcmp(argv[i], "--json");
        if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
            rounds = atoi(argv[++i]);
    }
    rounds = MIN(rounds, ROUNDS_MAX);
    const struct capture_options options = {
        .arguments = ARGUMENTS_HASH, .host = true, .pin_directory = ""};
    struct kernel *k;
    if (rounds < 1 || kernel_open(&options, 0, &k))
        return 2;
    if (others(k))
        fprintf(
            stderr,
            "%d other programs at the exit of system calls: floor and ratios are not those of an "
            "idle machine\n",
            others(k));
    struct empty_bpf *e = empty_bpf__open_and_load();
    if (!e)
        return 2;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one); /* the clocks of one CPU */
    int error = run(k, e, rounds, json);
    empty_bpf__destroy(e);
    kernel_close(k, false);
    return error;
}
