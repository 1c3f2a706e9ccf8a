/* vigia doctor: what works on this machine, what does not, why, and what to do. It looks, and loads
 * the kernel programs for a moment; it changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/capture.h"
#include "capture/containers.h"
#include "cli/box.h"
#include "cli/command.h"
#include "cli/config.h"

#define BPF_FS_MAGIC 0xcafe4a11
#define PID_NS_INITIAL "pid:[4026531836]" /* include/linux/proc_ns.h: PROC_PID_INIT_INO */
#define CAP_PTRACE 19
#define CAP_ADMIN 21
#define CAP_PERF 38
#define CAP_BPF_ 39
#define CHECKS_MAX 32
#define WORDS_MAX 384
#define MIB (1 << 20)

enum state { STATE_OK, STATE_NOTE, STATE_FAIL };
static const char *const state_names[] = {"ok", "note", "fail"};

struct check {
    const char *name;
    enum state state;
    char found[WORDS_MAX], remedy[WORDS_MAX];
};

struct doctor {
    struct command_common common;
    struct config *config;
    struct check checks[CHECKS_MAX];
    unsigned n;
};

static struct check *add(struct doctor *d, const char *name)
{
    ASSERT(d->n < CHECKS_MAX);
    struct check *c = &d->checks[d->n++];
    *c = (struct check){.name = name};
    return c;
}

__attribute__((format(printf, 3, 4))) static void set(struct check *c, enum state state,
                                                      const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->found, sizeof(c->found), fmt, args);
    va_end(args);
    c->state = state;
}

__attribute__((format(printf, 2, 3))) static void remedy(struct check *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->remedy, sizeof(c->remedy), fmt, args);
    va_end(args);
}

/* First line of a small file, "" if it cannot be read. */
static void first_line(const char *path, char *ret, size_t size)
{
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    *ret = '\0';
    if (f && fgets(ret, (int)size, f))
        ret[strcspn(ret, "\n")] = '\0';
}

static void check_kernel(struct doctor *d)
{
    struct check *c = add(d, "kernel");
    struct utsname u;
    unsigned major = 0, minor = 0;
    uname(&u);
    sscanf(u.release, "%u.%u", &major, &minor);
    bool known = !strcmp(u.machine, "x86_64") || !strcmp(u.machine, "aarch64");
    set(c, known ? STATE_OK : STATE_NOTE, "Linux %s on %s, %d CPUs", u.release, u.machine,
        get_nprocs());
    if (!known)
        remedy(c, "x86_64 is what Vigia is tested on; the table of system calls may not fit this "
                  "machine");
    if (major > 6 || (major == 6 && minor >= 1))
        return;
    c->state = STATE_NOTE;
    remedy(c, "tested from Linux 6.1 on; on an older one see whether \"capture\" below works");
}

static void check_btf(struct doctor *d)
{
    struct check *c = add(d, "kernel types (BTF)");
    struct stat st;
    if (!stat("/sys/kernel/btf/vmlinux", &st)) {
        set(c, STATE_OK, "/sys/kernel/btf/vmlinux, %lld KiB", (long long)st.st_size / 1024);
        return;
    }
    set(c, STATE_FAIL, "/sys/kernel/btf/vmlinux: %s", strerror(errno));
    remedy(c, "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are; in a container, "
              "mount /sys");
}

static uint64_t capabilities(void)
{
    CLEANUP(fclosep) FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long bits = 0;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "CapEff: %llx", &bits) == 1)
            return bits;
    return 0;
}

static void check_privilege(struct doctor *d)
{
    static const struct {
        int bit;
        const char *name;
    } needed[] = {{CAP_BPF_, "CAP_BPF"}, {CAP_PERF, "CAP_PERFMON"}, {CAP_PTRACE, "CAP_SYS_PTRACE"}};
    struct check *c = add(d, "privileges");
    uint64_t have = capabilities();
    char missing[128] = "";
    /* CAP_SYS_ADMIN stands for the first two, capabilities(7). */
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (!(have >> needed[i].bit & 1) && !(i < 2 && (have >> CAP_ADMIN & 1)))
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s",
                     needed[i].name);
    if (!*missing) {
        set(c, STATE_OK, "CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE%s", geteuid() ? "" : " (root)");
        return;
    }
    set(c, STATE_FAIL, "missing:%s", missing);
    remedy(c, "run it as root, or give these capabilities: AmbientCapabilities= in systemd, "
              "securityContext.capabilities.add in Kubernetes");
}

static void check_lockdown(struct doctor *d)
{
    struct check *c = add(d, "kernel lockdown");
    char line[128];
    first_line("/sys/kernel/security/lockdown", line, sizeof(line));
    if (!strstr(line, "[confidentiality]")) {
        set(c, STATE_OK, "%s", *line ? line : "off or not built in");
        return;
    }
    set(c, STATE_FAIL, "%s: programs may not read kernel memory", line);
    remedy(c, "boot without lockdown=confidentiality (lockdown=integrity is fine)");
}

static void check_capture(struct doctor *d)
{
    struct check *c = add(d, "capture (eBPF)");
    char why[WORDS_MAX] = "";
    if (capture_probe(why, sizeof(why)) == 0) {
        set(c, STATE_OK, "the programs load and attach to tp_btf/sys_exit; rings take %u MiB",
            (unsigned)((uint64_t)get_nprocs() * d->config->capture.ring_kib / 1024));
        return;
    }
    set(c, STATE_FAIL, "%s", why);
    remedy(
        c,
        "mend what is marked above; until then `vigia replay` and `vigia up --or-replay FILE` show "
        "recordings");
}

static void check_pins(struct doctor *d)
{
    struct check *c = add(d, "pins (bpffs)");
    struct statfs fs;
    if (!statfs("/sys/fs/bpf", &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC) {
        bool writable = !access("/sys/fs/bpf", W_OK);
        set(c, writable ? STATE_OK : STATE_NOTE, "/sys/fs/bpf is mounted%s",
            writable ? "" : ", not writable");
        if (!writable)
            remedy(c, "run it as root, or mount a bpf file system of its own and name it as "
                      "capture: pins");
        return;
    }
    set(c, STATE_NOTE,
        "/sys/fs/bpf is not a bpf file system: calls made while Vigia restarts are lost");
    remedy(c, "mount -t bpf bpf /sys/fs/bpf");
}

static void check_namespace(struct doctor *d)
{
    struct check *c = add(d, "process namespace");
    char link[64] = "";
    ssize_t n = readlink("/proc/self/ns/pid", link, sizeof(link) - 1);
    if (n > 0 && !strcmp(link, PID_NS_INITIAL)) {
        set(c, STATE_OK, "the machine's own: all its containers can be seen");
        return;
    }
    set(c, STATE_NOTE, "%s is not the machine's own: other containers cannot be told apart",
        n > 0 ? link : "?");
    remedy(c, "run it on the machine itself, or with hostPID: true (docker run --pid=host)");
}

static void check_cgroups(struct doctor *d)
{
    struct check *c = add(d, "cgroups");
    bool v2 = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
    bool mixed = !access("/sys/fs/cgroup/unified/cgroup.procs", F_OK);
    bool v1 = !access("/sys/fs/cgroup/pids", F_OK) || !access("/sys/fs/cgroup/memory", F_OK);
    if (v2 || mixed || v1) {
        set(c, STATE_OK, "%s", v2 ? "v2" : mixed ? "v1 and v2 mixed" : "v1");
        return;
    }
    set(c, STATE_FAIL, "nothing is mounted below /sys/fs/cgroup");
    remedy(
        c,
        "mount -t cgroup2 none /sys/fs/cgroup; in a container, mount the machine's /sys/fs/cgroup");
}

static void check_runtimes(struct doctor *d)
{
    static const struct {
        const char *name, *path;
    } places[] = {{"Docker", "/var/lib/docker/containers"},
                  {"containerd", "/run/containerd/io.containerd.runtime.v2.task"},
                  {"podman", "/var/lib/containers/storage"},
                  {"CRI-O", "/run/crio"},
                  {"runc", "/run/runc"}};
    struct check *c = add(d, "container runtimes");
    char names[128] = "";
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (!access(places[i].path, R_OK))
            snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
                     *names ? ", " : "", places[i].name);
    set(c, *names ? STATE_OK : STATE_NOTE, "%s", *names ? names : "none has left traces here yet");
    if (!*names)
        remedy(c, "containers of Docker, containerd, CRI-O, podman and runc are watched as soon as "
                  "they start; "
                  "`vigia demo` makes two");
}

static void check_containers(struct doctor *d)
{
    struct check *c = add(d, "containers");
    const struct containers_options options = {0};
    struct containers *all;
    uint32_t next = 1;
    if (containers_new(&options, &all)) {
        set(c, STATE_FAIL, "no memory");
        return;
    }
    int r = containers_scan(all, clock_mono_ns(), &next);
    unsigned unresolved = (unsigned)containers_unresolved(all);
    set(c,
        r < 0        ? STATE_FAIL
        : unresolved ? STATE_NOTE
                     : STATE_OK,
        "%u running%s", containers_count(all), unresolved ? "" : ", all known by name");
    if (unresolved)
        remedy(c,
               "%u of them are known by their id only: their runtime's state is not where it is "
               "looked for "
               "(`vigia containers` says why)",
               unresolved);
    containers_free(all);
}

static void check_disk(struct doctor *d)
{
    struct check *c = add(d, "disk");
    struct statvfs fs;
    char buffer[PATH_MAX], *path = buffer;
    snprintf(buffer, sizeof(buffer), "%s", d->config->data);
    /* It may not exist yet: its nearest parent does. */
    while (statvfs(path, &fs)) {
        if (errno != ENOENT || !strcmp(path, ".")) {
            set(c, STATE_NOTE, "%s: %s", path, strerror(errno));
            return;
        }
        path = dirname(path);
    }
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        set(c, STATE_FAIL, "%s is not a directory", path);
        remedy(c, "name another data directory: --data DIR, or data: in the configuration");
        return;
    }
    uint64_t free_mib = (uint64_t)fs.f_bavail * fs.f_frsize / MIB;
    uint64_t asked = (uint64_t)d->config->spool.size_max_mib + d->config->retention.size_max_mib;
    set(c,
        free_mib >= asked ? STATE_OK
        : free_mib >= 256 ? STATE_NOTE
                          : STATE_FAIL,
        "%llu MiB free for %s; it may take %llu", (unsigned long long)free_mib, d->config->data,
        (unsigned long long)asked);
    if (free_mib < asked)
        remedy(c, "make room, name another data directory, or lower spool: size_max_mib and "
                  "retention: size_max_mib");
}

static void check_memory(struct doctor *d)
{
    struct check *c = add(d, "memory");
    CLEANUP(fclosep) FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];
    struct rlimit lock;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
            break;
    set(c, kib / 1024 >= 256 ? STATE_OK : STATE_NOTE, "%llu MiB available", kib / 1024);
    if (kib / 1024 < 256)
        remedy(c, "Vigia takes 50 to 200 MiB: make room, or lower capture: ring_kib");
    c = add(d, "locked memory");
    getrlimit(RLIMIT_MEMLOCK, &lock);
    if (lock.rlim_cur == RLIM_INFINITY)
        set(c, STATE_OK, "no limit");
    else
        set(c, STATE_OK, "limit %llu KiB (since Linux 5.11 eBPF maps do not count)",
            (unsigned long long)lock.rlim_cur / 1024);
}

static void check_clock(struct doctor *d)
{
    struct check *c = add(d, "clock");
    struct timex t = {0};
    char source[64];
    first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source,
               sizeof(source));
    bool synchronised = adjtimex(&t) != TIME_ERROR && !(t.status & STA_UNSYNC);
    set(c, synchronised ? STATE_OK : STATE_NOTE, "clock source %s, %s",
        *source ? source : "unknown",
        synchronised ? "synchronised" : "not known to be synchronised");
    if (!synchronised)
        remedy(c, "only the times shown depend on it: apt-get install chrony (or "
                  "systemd-timesyncd), so that "
                  "alerts of several machines can be compared");
}

static void check_demo(struct doctor *d)
{
    static const char *const programs[] = {"/usr/bin/busybox", "/usr/bin/dash",
                                           "/usr/bin/redis-server"};
    struct check *c = add(d, "vigia demo");
    char why[WORDS_MAX];
    if (box_probe(why, sizeof(why))) {
        set(c, STATE_NOTE, "cannot run: %s", why);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        if (access(programs[i], X_OK)) {
            set(c, STATE_NOTE, "cannot run: %s is missing", programs[i]);
            remedy(c, "apt-get install busybox dash redis-server");
            return;
        }
    }
    set(c, STATE_OK, "can run");
}

static bool works(const struct doctor *d)
{
    for (unsigned i = 0; i < d->n; i++)
        if (d->checks[i].state == STATE_FAIL)
            return false;
    return true;
}

static void print_table(const struct doctor *d)
{
    for (unsigned i = 0; i < d->n; i++) {
        const struct check *c = &d->checks[i];
        printf("%-5s %-20s %s\n", state_names[c->state], c->name, c->found);
        if (*c->remedy)
            printf("%-5s %-20s -> %s\n", "", "", c->remedy);
    }
    printf("\n%s\n", works(d) ? "Vigia can watch this machine's containers."
                              : "Vigia cannot watch this machine's containers until what is marked "
                                "\"fail\" is mended.");
}

static int print_json(const struct doctor *d)
{
    json_t *checks = json_array();
    for (unsigned i = 0; i < d->n; i++) {
        const struct check *c = &d->checks[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:s}", "name", c->name, "state",
                                                state_names[c->state], "found", c->found, "remedy",
                                                c->remedy));
    }
    json_t *o = json_pack("{s:b, s:o}", "works", works(d), "checks", checks);
    if (!o)
        return -ENOMEM;
    json_dumpf(o, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(o);
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct doctor *d = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = &d->common;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "there is nothing to give but options: '%s'", arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp argp = {
    NULL,
    parse,
    NULL,
    "Say what works on this machine, what does not, why, and what to do about it."
    "\v"
    "\"ok\" works, \"note\" works but could be better, \"fail\" keeps Vigia from watching "
    "containers. It changes "
    "nothing; it loads the kernel programs for a moment. Exit status: 0 the main job can run; 1 it "
    "cannot; "
    "2 the configuration is wrong.\n\n"
    "Examples:\n"
    "  vigia doctor\n"
    "  vigia doctor --json | jq '.checks[] | select(.state == \"fail\")'\n",
    command_common_child,
    NULL,
    NULL};

static int run(int argc, char **argv)
{
    static void (*const checks[])(struct doctor *) = {
        check_kernel, check_btf,       check_privilege, check_lockdown, check_capture,
        check_pins,   check_namespace, check_cgroups,   check_runtimes, check_containers,
        check_disk,   check_memory,    check_clock,     check_demo};
    struct doctor d = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &d))
        return EXIT_FAILED;
    CLEANUP(config_freep) struct config *config = NULL;
    if (config_load(d.common.config, d.common.data, &config))
        return EXIT_FAILED;
    d.config = config;
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        checks[i](&d);
    if (!d.common.json)
        print_table(&d);
    else if (print_json(&d))
        return EXIT_FAILED;
    return works(&d) ? EXIT_OK : EXIT_FOUND;
}

const struct command command_doctor = {
    "doctor", "care", "Say what works on this machine, what does not, and what to do", run};
