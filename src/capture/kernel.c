#include "capture/kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "bpf/vigia.skel.h"
#include "capture/arguments.h"
#include "capture/pins.h"

#define RING_BYTES_DEFAULT (2u << 20)
#define RING_BYTES_MIN (64u << 10)

static int libbpf_log(enum libbpf_print_level level, const char *fmt, va_list args)
{
    char line[512];
    if (level != LIBBPF_WARN)
        return 0;
    vsnprintf(line, sizeof(line), fmt, args);
    line[strcspn(line, "\n")] = 0;
    log_debug("libbpf: %s", line);
    return 0;
}

/* Id of the v1 hierarchy that names containers: that of pids, else of memory; 0: pure v2. */
static uint32_t hierarchy_v1(bool *ret_memory)
{
    uint32_t pids = 0, memory = 0;
    CLEANUP(fclosep) FILE *f = fopen("/proc/self/cgroup", "re");
    char line[4352], names[4096];
    unsigned id;
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%u:%4095[^:]:", &id, names) != 2)
            continue;
        if (!strcmp(names, "pids"))
            pids = id;
        else if (!strcmp(names, "memory"))
            memory = id;
    }
    *ret_memory = !pids && memory;
    return pids ? pids : memory;
}

/* Device of the host's root, as the kernel keeps it: 12 bits major, 20 bits minor. */
static uint32_t root_device(void)
{
    struct stat st;
    if (stat("/proc/1/root/", &st) < 0 && stat("/", &st) < 0)
        return 0;
    return (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev));
}

/* Has the running kernel that tracepoint? */
static bool tracepoint_exists(const char *name)
{
    char type[128];
    struct btf *btf = btf__load_vmlinux_btf();
    if (!btf)
        return false;
    snprintf(type, sizeof(type), "btf_trace_%s", name);
    bool found = btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) > 0;
    btf__free(btf);
    return found;
}

/* What the kernel refused, and the capabilities that this process lacks for it, by name. */
static void log_refused(const char *doing, int error)
{
    static const struct {
        int bit;
        const char *name;
    } needed[] = {{39, "CAP_BPF"}, {38, "CAP_PERFMON"}}, admin = {21, "CAP_SYS_ADMIN"};
    CLEANUP(fclosep) FILE *f = fopen("/proc/self/status", "re");
    unsigned long long have = 0;
    char line[256], missing[64] = "";
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "CapEff: %llx", &have) == 1)
            break;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (!(have >> needed[i].bit & 1) && !(have >> admin.bit & 1))
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), "%s%s",
                     *missing ? " and " : "", needed[i].name);
    if (*missing)
        log_error("%s: %s: this process lacks %s; run it as root or give it these capabilities "
                  "(`vigia doctor` checks the rest)",
                  doing, strerror(-error), missing);
    else
        log_error("%s: %s; it takes a kernel from 6.1 on with BTF: `vigia doctor` says what is "
                  "missing",
                  doing, strerror(-error));
}

static int ring_make(const struct kernel *k)
{
    LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
    uint32_t bytes = RING_HEADER_BYTES + (uint32_t)(k->ring_words * 8);
    return bpf_map_create(BPF_MAP_TYPE_ARRAY, "vigia_ring", 4, bytes, 1, &o);
}

static void control_init(struct control *c, const struct capture_options *o)
{
    bool memory;
    c->hierarchy_v1 = hierarchy_v1(&memory);
    c->memory_v1 = memory;
    c->generation = 1;
    c->epoch = 1;
    c->next_container = 1u << 20; /* below: those that were there before us */
    c->arguments = o->arguments != ARGUMENTS_NONE;
    c->host = o->host;
}

static void map_fds(struct kernel *k)
{
    struct bpf_map *const maps[KERNEL_MAPS] = {
        [MAP_CONTROL] = k->skeleton->maps.bss,
        [MAP_RINGS] = k->skeleton->maps.rings,
        [MAP_RECORDS] = k->skeleton->maps.records,
        [MAP_CGROUPS] = k->skeleton->maps.cgroups,
        [MAP_CONTAINERS] = k->skeleton->maps.containers,
        [MAP_DECISIONS] = k->skeleton->maps.decisions,
        [MAP_SEEN] = k->skeleton->maps.seen,
        [MAP_DICTIONARY] = k->skeleton->maps.dictionary,
        [MAP_BINS] = k->skeleton->maps.bins,
        [MAP_STATE] = k->skeleton->maps.state,
        [MAP_PROGRAMS] = k->skeleton->maps.programs,
    };
    for (int i = 0; i < KERNEL_MAPS; i++)
        k->maps[i] = bpf_map__fd(maps[i]);
    k->exit_program = bpf_program__fd(k->skeleton->progs.vigia_exit);
    k->enter_program = bpf_program__fd(k->skeleton->progs.vigia_enter);
}

static int kernel_load(struct kernel *k, const struct capture_options *o)
{
    k->skeleton = vigia_bpf__open();
    if (!k->skeleton)
        return -errno;
    CLEANUP(closep) int model = ring_make(k);
    if (model < 0) {
        log_refused("making a ring", model);
        return model;
    }
    bool sqe =
        !tracepoint_exists("io_uring_submit_req") && tracepoint_exists("io_uring_submit_sqe");
    bpf_program__set_autoload(k->skeleton->progs.vigia_submit_req,
                              tracepoint_exists("io_uring_submit_req"));
    bpf_program__set_autoload(k->skeleton->progs.vigia_submit_sqe, sqe);
    bpf_map__set_inner_map_fd(k->skeleton->maps.rings, model);
    bpf_map__set_max_entries(k->skeleton->maps.rings, k->cpus);
    *(uint64_t *)&k->skeleton->rodata->ring_words = k->ring_words;
    arguments_fill((uint16_t *)k->skeleton->rodata->argument_of,
                   (uint32_t *)k->skeleton->rodata->argument_of_compat);
    k->skeleton->rodata->root_device = root_device();
    control_init(&k->skeleton->bss->control, o);
    if (getrandom(k->skeleton->bss->control.seed, sizeof(k->skeleton->bss->control.seed), 0) < 0)
        return -errno;
    int error = vigia_bpf__load(k->skeleton);
    if (error) {
        log_refused("loading the kernel programs", error);
        return error;
    }
    map_fds(k);
    return 0;
}

static int map_ring(struct kernel *k, uint32_t cpu, int fd)
{
    size_t size = RING_HEADER_BYTES + k->ring_words * 8;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    k->rings[cpu] = (struct kernel_ring){p, (uint64_t *)((char *)p + RING_HEADER_BYTES), fd};
    return 0;
}

static int map_all(struct kernel *k)
{
    void *p = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
                   k->maps[MAP_CONTROL], 0);
    if (p == MAP_FAILED)
        return -errno;
    k->control = p;
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(k->maps[MAP_RECORDS], &info, &size))
        return -errno;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    k->record_bytes = info.max_entries;
    p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, k->maps[MAP_RECORDS], 0);
    if (p == MAP_FAILED)
        return -errno;
    k->record_consumer = p;
    p = mmap(NULL, page + 2 * k->record_bytes, PROT_READ, MAP_SHARED, k->maps[MAP_RECORDS],
             (off_t)page);
    if (p == MAP_FAILED)
        return -errno;
    k->record_producer = p;
    p = mmap(NULL, STATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, k->maps[MAP_STATE], 0);
    if (p == MAP_FAILED)
        return -errno;
    k->state = p;
    return 0;
}

static uint64_t ring_words_of(uint64_t bytes)
{
    uint64_t size = RING_BYTES_MIN;
    if (!bytes)
        bytes = RING_BYTES_DEFAULT;
    while (size < bytes && size < RING_BYTES_DEFAULT) /* a map's value has to fit kmalloc's limit */
        size *= 2;
    return size / 8;
}

static int kernel_fresh(struct kernel *k, const struct capture_options *o)
{
    k->ring_words = ring_words_of(o->ring_bytes);
    if (getrandom(&k->capture_id, sizeof(k->capture_id), 0) < 0)
        return -errno;
    int error = kernel_load(k, o);
    if (!error)
        error = map_all(k);
    if (error)
        return error;
    k->control->capture_id = k->capture_id;
    k->control->ring_words = k->ring_words;
    return kernel_add_cpus(k) > 0 ? 0 : -ENOMEM;
}

/* The maps of an agent that went away. */
static int kernel_take_up(struct kernel *k, const char *directory, uint64_t capture_id)
{
    int error = pins_find(k, directory, capture_id);
    if (error)
        return error;
    error = pins_open(k);
    if (error) {
        pins_remove(k); /* an agent died while it made them */
        return error;
    }
    error = map_all(k);
    if (error)
        return error;
    k->capture_id = k->control->capture_id;
    k->ring_words = k->control->ring_words;
    for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
        int fd = pins_open_ring(k, cpu);
        if (fd >= 0 && map_ring(k, cpu, fd))
            return -EIO;
    }
    k->taken_up = true;
    return 0;
}

static int kernel_new(struct kernel **ret)
{
    struct kernel *k = calloc(1, sizeof(*k));
    if (!k)
        return -ENOMEM;
    k->enter_link = k->lock = -1;
    for (int i = 0; i < KERNEL_MAPS; i++)
        k->maps[i] = -1;
    k->exit_program = k->enter_program = -1;
    int cpus = libbpf_num_possible_cpus();
    k->cpus = cpus > 0 ? MIN((uint32_t)cpus, CPUS_MAX) : 1;
    k->rings = calloc(k->cpus, sizeof(*k->rings));
    if (!k->rings) {
        free(k);
        return -ENOMEM;
    }
    *ret = k;
    return 0;
}

DEFINE_CLEANUP(kernel_abandon, struct kernel *)

int kernel_open(const struct capture_options *o, uint64_t resume, struct kernel **ret)
{
    CLEANUP(kernel_abandonp) struct kernel *k = NULL;
    libbpf_set_print(libbpf_log);
    int error = kernel_new(&k);
    if (error)
        return error;
    const char *directory = o->pin_directory ? o->pin_directory : PINS_DIRECTORY;
    if (*directory) {
        error = kernel_take_up(k, directory, resume);
        if (!error) {
            *ret = TAKE(k);
            return 0;
        }
        bool upgraded = k->upgraded;
        kernel_abandonp(&k);
        k = NULL;
        error = kernel_new(&k);
        if (error)
            return error;
        k->upgraded = upgraded;
    }
    error = kernel_fresh(k, o);
    if (error)
        return error;
    *ret = TAKE(k);
    return 0;
}

static int attach_one(struct kernel *k, const struct bpf_program *p)
{
    if (bpf_program__fd(p) < 0)
        return 0; /* not loaded: this kernel has no such tracepoint */
    int fd = bpf_raw_tracepoint_open(NULL, bpf_program__fd(p));
    if (fd < 0) {
        log_error("attaching %s: %s", bpf_program__name(p), strerror(errno));
        return fd;
    }
    ASSERT(k->n_links < ARRAY_SIZE(k->links));
    k->links[k->n_links++] = fd;
    return 0;
}

int kernel_attach_cgroups(struct kernel *k)
{
    if (k->taken_up)
        return 0;
    int error = attach_one(k, k->skeleton->progs.vigia_mkdir);
    if (!error)
        error = attach_one(k, k->skeleton->progs.vigia_attach);
    return error ? error : attach_one(k, k->skeleton->progs.vigia_rmdir);
}

int kernel_attach_calls(struct kernel *k)
{
    if (k->taken_up)
        return 0;
    const struct bpf_program *const programs[] = {
        k->skeleton->progs.vigia_fork,         k->skeleton->progs.vigia_exec,
        k->skeleton->progs.vigia_process_exit, k->skeleton->progs.vigia_submit_req,
        k->skeleton->progs.vigia_submit_sqe,   k->skeleton->progs.vigia_exit,
    };
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        int error = attach_one(k, programs[i]);
        if (error)
            return error;
    }
    return 0;
}

int kernel_add_cpus(struct kernel *k)
{
    int added = 0;
    CLEANUP(fclosep) FILE *f = fopen("/sys/devices/system/cpu/present", "re");
    unsigned first, last;
    int c = ',';
    while (f && c == ',' && fscanf(f, "%u", &first) == 1) {
        last = first;
        c = fgetc(f);
        if (c == '-' && fscanf(f, "%u", &last) == 1)
            c = fgetc(f);
        for (uint32_t cpu = first; cpu <= last && cpu < k->cpus; cpu++) {
            if (k->rings[cpu].header)
                continue;
            int fd = ring_make(k);
            if (fd < 0 || map_ring(k, cpu, fd) ||
                bpf_map_update_elem(k->maps[MAP_RINGS], &cpu, &fd, 0)) {
                log_error("making the ring of CPU %u: %s", cpu, strerror(errno));
                continue;
            }
            pins_add_ring(k, cpu);
            added++;
        }
    }
    return added;
}

int kernel_time_entries(struct kernel *k, bool on)
{
    if (on == (k->enter_link >= 0))
        return 0;
    if (!on) {
        closep(&k->enter_link);
        k->enter_link = -1;
        return 0;
    }
    k->control->latency_epoch++;
    k->enter_link = bpf_raw_tracepoint_open(NULL, k->enter_program);
    return k->enter_link < 0 ? k->enter_link : 0;
}

uint64_t kernel_misses(const struct kernel *k)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);
    return bpf_obj_get_info_by_fd(k->exit_program, &info, &size) ? 0 : info.recursion_misses;
}

void kernel_close(struct kernel *k, bool keep_pins)
{
    closep(&k->enter_link);
    for (uint32_t i = 0; i < k->n_links; i++)
        close(k->links[i]);
    if (!keep_pins)
        pins_remove(k);
    for (uint32_t cpu = 0; cpu < k->cpus; cpu++)
        if (k->rings[cpu].header) {
            munmap(k->rings[cpu].header, RING_HEADER_BYTES + k->ring_words * 8);
            close(k->rings[cpu].fd);
        }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (k->control)
        munmap(k->control, page);
    if (k->record_consumer)
        munmap(k->record_consumer, page);
    if (k->record_producer)
        munmap(k->record_producer, page + 2 * k->record_bytes);
    if (k->state)
        munmap(k->state, STATE_BYTES);
    closep(&k->lock);
    if (k->skeleton) {
        vigia_bpf__destroy(k->skeleton);
    } else {
        for (int i = 0; i < KERNEL_MAPS; i++)
            closep(&k->maps[i]);
        closep(&k->exit_program);
        closep(&k->enter_program);
    }
    free(k->rings);
    free(k);
}

void kernel_abandon(struct kernel *k)
{
    kernel_close(k, true);
}
