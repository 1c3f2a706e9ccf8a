#include "capture/capture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/audit.h"
#include "capture/live.h"
#include "capture/pins.h"
#include "capture/records.h"
#include "capture/resume.h"
#include "capture/tell.h"

#define TICK_NS (250 * NS_PER_MS)
#define RUN_NS (10 * NS_PER_MS) /* a run lasts for a jiffy at most */
#define CUT_BEHIND_NS NS_PER_MS /* BPF's clock is not strictly monotonic between CPUs */
#define SNAPSHOT_NS (30 * NS_PER_S)
#define THREADS_MAX 65536
#define WINDOWS_MAX 16384 /* of a block: a million calls; what is more waits for the next one */
#define EXITED_KEPT_NS (10 * NS_PER_S)
#define SAMPLE_SECONDS 16

static void boot_id(uint8_t ret[16])
{
    CLEANUP(fclosep) FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    char hex[33] = "";
    int c, n = 0;
    while (f && n < 32 && (c = fgetc(f)) != EOF)
        if (c != '-' && c != '\n')
            hex[n++] = (char)c;
    for (int i = 0; i < 16; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        ret[i] = (uint8_t)byte;
    }
}

/* The kernel side learns who we are from a call that only we can make: see agent_check(). */
static void self_exclude(struct kernel *k)
{
    uint64_t nonce = k->capture_id ^ clock_mono_ns() ^ (uint64_t)getpid() << 40;
    k->control->self_nonce = nonce;
    __atomic_add_fetch(&k->control->generation, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 100 && k->control->self_nonce; i++)
        syscall(SYS_getppid, nonce);
    if (k->control->self_nonce)
        log_warn("leaving the agent's own calls out did not work: they count as the host's");
    k->control->self_nonce = 0;
}

static int rings_add(struct capture *c)
{
    for (uint32_t cpu = 0; cpu < c->kernel->cpus; cpu++) {
        const struct kernel_ring *r = &c->kernel->rings[cpu];
        bool known = !r->header;
        for (uint32_t i = 0; i < c->n_rings; i++)
            known |= c->rings[i].cpu == cpu;
        if (known)
            continue;
        struct ring_read *rings = realloc(c->rings, (c->n_rings + 1) * sizeof(*rings));
        if (rings)
            c->rings = rings;
        struct ring_read *committed = realloc(c->committed, (c->n_rings + 1) * sizeof(*committed));
        if (committed)
            c->committed = committed;
        if (!rings || !committed)
            return -ENOMEM;
        rings[c->n_rings] = (struct ring_read){.words = r->words,
                                               .counted = CALLS_UNKNOWN,
                                               .mask = c->kernel->ring_words - 1,
                                               .from = r->header->tail,
                                               .cpu = (uint16_t)cpu};
        committed[c->n_rings] = rings[c->n_rings];
        c->n_rings++;
    }
    return 0;
}

static bool name_wanted(void *user, uint32_t *number)
{
    return decide_wanted(&((struct capture *)user)->decide, number);
}

static uint64_t name_program(void *user, uint32_t container, uint32_t exec, uint32_t tgid)
{
    return known_program_of(&((struct capture *)user)->known, container, exec, tgid);
}

static uint64_t name_start(void *user, uint32_t tgid, uint64_t time_ns)
{
    return known_start_of(&((struct capture *)user)->known, tgid, time_ns);
}

static uint64_t name_argument(void *user, uint32_t container, uint32_t hash)
{
    return known_argument_of(&((struct capture *)user)->known, container, hash);
}

static int capture_start(struct capture *c)
{
    int error = kernel_attach_cgroups(c->kernel);
    if (!error)
        error = decide_scan(&c->decide, clock_mono_ns());
    if (!error && !c->kernel->control->joins_from)
        c->kernel->control->joins_from = clock_mono_ns();
    if (!error)
        error = kernel_attach_calls(c->kernel);
    if (error)
        return error;
    const char *directory = c->options.pin_directory ? c->options.pin_directory : PINS_DIRECTORY;
    if (!c->kernel->taken_up && *directory) {
        error = pins_make(c->kernel, directory);
        if (error)
            log_warn("pinning under %s: %s; calls made while no agent runs will be lost", directory,
                     strerror(-error));
    }
    self_exclude(c->kernel);
    return rings_add(c);
}

/* What is missing from the record since the last block. */
static int blind_since(struct capture *c, const struct block *last)
{
    if (c->kernel->taken_up || !last)
        return 0;
    if (memcmp(last->boot, c->boot, sizeof(c->boot))) {
        /* This boot's clock does not know when that was, the wall clock does. Before the boot it
         * wraps. */
        uint64_t wall_ns = last->wall_ns - (last->mono_ns - last->until_ns);
        uint64_t now_ns = clock_mono_ns(), ago_ns = clock_wall_ns() - wall_ns;
        bool believable = (int64_t)ago_ns > (int64_t)now_ns;
        return blind_add(c, believable ? now_ns - ago_ns : 0, c->cut_ns, "reboot");
    }
    return blind_add(c, last->until_ns, c->cut_ns,
                     c->kernel->upgraded ? "upgrade" : "no agent ran, and nothing was pinned");
}

static int capture_setup(struct capture *c)
{
    struct kernel *k = c->kernel;
    decide_init(&c->decide, k, c->containers, c->options.host);
    known_init(&c->known);
    c->known.dictionary_map = k->maps[MAP_DICTIONARY];
    c->known.programs_map = k->maps[MAP_PROGRAMS];
    boot_id(c->boot);
    if (c->options.node)
        snprintf(c->node, sizeof(c->node), "%s", c->options.node);
    else if (gethostname(c->node, sizeof(c->node) - 1))
        return -errno;
    k->control->arguments = c->options.arguments != ARGUMENTS_NONE;
    k->control->stamp = c->options.timing == TIMING_STAMP;
    k->control->host = c->options.host;
    c->draining = 2; /* what an agent before us left in the bins */
    c->records = c->records_committed = records_tail(k);
    c->misses = c->misses_committed = k->taken_up ? k->control->misses_told : kernel_misses(k);
    c->cut_ns = c->last_block_ns = clock_mono_ns();
    c->tell_from = ALL_TOLD;
    c->windows_max = WINDOWS_MAX;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (c->epoll < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, k->maps[MAP_RECORDS], &event))
        return -errno;
    int error = assembler_new(k->capture_id, THREADS_MAX, &c->assembler);
    if (!error)
        capture_set_level(c, LEVEL_FULL); /* whatever it had to do */
    return error;
}

static void capture_abandon(struct capture *c)
{
    /* What was taken up is not ours to throw away. */
    capture_close(c, c->kernel && c->kernel->taken_up);
}

DEFINE_CLEANUP(capture_abandon, struct capture *)

int capture_open(const struct capture_options *options, struct containers *containers,
                 const struct block *last, struct capture **ret)
{
    CLEANUP(capture_abandonp) struct capture *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->options = *options;
    c->options.node = NULL;
    c->containers = containers;
    c->epoll = -1;
    if (options->node)
        snprintf(c->node, sizeof(c->node), "%s", options->node), c->options.node = c->node;
    int error = kernel_open(&c->options, last ? last->capture : 0, &c->kernel);
    if (!error)
        error = capture_setup(c);
    if (!error)
        error = capture_start(c);
    if (!error)
        error = blind_since(c, last);
    if (!error && c->kernel->taken_up)
        error = resume(c, last);
    if (error)
        return error;
    *ret = TAKE(c);
    return 0;
}

/* What the last cut did is undone when its block was not kept. */
static void roll_back(struct capture *c)
{
    assembler_roll_back(c->assembler);
    known_roll_back(&c->known);
    memcpy(c->rings, c->committed, c->n_rings * sizeof(*c->rings));
    c->records = c->records_committed;
    c->misses = c->misses_committed;
}

static bool process_ended(void *user, uint32_t tgid, uint64_t start_ns, uint64_t before_ns)
{
    return known_ended(&((struct capture *)user)->known, tgid, start_ns, before_ns);
}

/* Forgets who has ended: 10 s later, or at once where many came. Not who ended after the last cut
 * that was kept: those calls may be read again. */
static void sweep(struct capture *c, uint64_t now_ns)
{
    bool due = now_ns >= c->sweep_ns;
    bool crowded =
        assembler_crowded(c->assembler) || c->known.tgids.n > KNOWN_PROCESSES_MAX / 4 * 3;
    if (!due && !crowded)
        return;
    uint64_t before = now_ns - (crowded ? 0 : MIN(now_ns, EXITED_KEPT_NS));
    before = MIN(before, c->cut_ns);
    bool pids = due && (pid_t)c->kernel->control->self_tgid == getpid();
    known_sweep(&c->known, before, now_ns, pids);
    assembler_sweep(c->assembler, before, process_ended, c);
    if (!due)
        return;
    c->sweep_ns = now_ns + EXITED_KEPT_NS;
    decide_look(&c->decide, now_ns);
    if (pids) /* else one whose end was not told would seem to live for ever */
        known_hold(&c->known, &c->decide);
    decide_forget(&c->decide, c->cut_ns);
}

static int housekeeping(struct capture *c, uint64_t now_ns)
{
    if (c->known.forgot)
        c->kernel->control->forgotten++;
    c->known.forgot = false;
    if (now_ns >= c->cpus_ns) {
        c->cpus_ns = now_ns + NS_PER_S;
        if (kernel_add_cpus(c->kernel) && rings_add(c))
            return -ENOMEM;
    }
    sweep(c, now_ns);
    bool time = c->options.timing == TIMING_LATENCY ||
                (c->options.timing == TIMING_SAMPLED && now_ns / NS_PER_S % SAMPLE_SECONDS == 0);
    bool timing = c->options.timing == TIMING_LATENCY ||
                  (c->options.timing == TIMING_SAMPLED && now_ns / NS_PER_S % SAMPLE_SECONDS <= 2);
    c->kernel->control->latency = timing;
    kernel_time_entries(c->kernel, time);
    return 0;
}

/* Losses of which no record is in the ring yet. To be read before its head: see gap_write(). */
static void losses_read(struct capture *c, const struct ring *r)
{
    uint64_t first_ns = __atomic_load_n(&r->gap_first, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < RING_DROPS && first_ns; i++) {
        if (__atomic_load_n(&r->drops[i].used, __ATOMIC_ACQUIRE))
            assembler_missing(c->assembler, r->drops[i].container, first_ns,
                              __atomic_load_n(&r->gap_last, __ATOMIC_ACQUIRE));
    }
}

static int heads_read(struct capture *c)
{
    c->fill_max = 0;
    for (uint32_t i = 0; i < c->n_rings; i++) {
        struct ring *r = c->kernel->rings[c->rings[i].cpu].header;
        losses_read(c, r);
        c->rings[i].head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
        double fill = (double)(c->rings[i].head - r->tail) / (double)c->kernel->ring_words;
        c->fill_max = MAX(c->fill_max, fill);
    }
    return 0;
}

/* Calls that the exit program missed because it ran already: nobody knows whose. */
static int misses_tell(struct capture *c, struct block *b)
{
    uint64_t misses = kernel_misses(c->kernel), n = misses - c->misses;
    c->misses = misses;
    if (!n)
        return 0;
    struct ledger_count *l = realloc(b->ledger, (b->n_ledger + 1) * sizeof(*l));
    if (!l)
        return -ENOMEM;
    b->ledger = l;
    l[b->n_ledger] = (struct ledger_count){.container = CONTAINER_UNKNOWN, .seen = n};
    l[b->n_ledger++].dropped[DROP_RECURSION] = n;
    return 0;
}

/* Calls on CPUs that were added to the machine since the last cut. */
static int no_ring_tell(struct capture *c, uint64_t t0, struct block *b)
{
    c->no_ring = __atomic_load_n(&c->kernel->control->no_ring, __ATOMIC_RELAXED);
    const struct gap gap = {.first_ns = c->cut_ns,
                            .last_ns = t0,
                            .calls = c->no_ring,
                            .container = CONTAINER_UNKNOWN,
                            .cpu = UINT16_MAX,
                            .reason = DROP_RING_FULL};
    return c->no_ring ? assembler_lost(c->assembler, &gap, b) : 0;
}

static void block_head(struct capture *c, uint64_t t0, struct block *b)
{
    b->capture = c->kernel->capture_id;
    memcpy(b->boot, c->boot, sizeof(b->boot));
    snprintf(b->node, sizeof(b->node), "%s", c->node);
    b->mono_ns = clock_mono_ns();
    b->wall_ns = clock_wall_ns();
    b->from_ns = c->cut_ns;
    /* What goes on at the cut has the time at which it began, before it. */
    b->until_ns = MAX(MIN(b->until_ns, t0 - RUN_NS), c->cut_ns);
    b->level = (uint8_t)c->kernel->control->level;
    b->epoch = c->kernel->control->epoch;
    b->refused_texts = c->known.refused_texts + c->kernel->control->refused_texts;
    b->refused_processes = c->known.refused_processes;
    b->refused_containers = containers_refused(c->containers);
}

static int block_fill(struct capture *c, uint64_t now_ns, uint64_t t0, struct block *b)
{
    const struct names names = {c, name_wanted, name_program, name_start, name_argument};
    c->known.block = b;
    c->known.tick++;
    heads_read(c);
    int error = records_read(c->kernel, &c->known, &c->decide, &c->records);
    if (!error)
        error = no_ring_tell(c, t0, b);
    if (!error)
        error = assembler_cut(c->assembler, c->rings, c->n_rings, t0, c->windows_max, &names, b);
    if (!error)
        error = misses_tell(c, b);
    if (!error)
        error = audit(c, b);
    if (!error)
        error = blinds_tell(c, b);
    if (!error)
        error = degraded_tell(c, now_ns, b);
    b->snapshot = now_ns >= c->snapshot_ns;
    if (!error)
        error = containers_tell(c, now_ns, b->snapshot, b);
    if (!error && b->snapshot)
        error = known_snapshot(&c->known, t0);
    if (!error && b->snapshot)
        error = assembler_save(c->assembler, b);
    c->full = b->until_ns < t0;
    block_head(c, t0, b);
    return error;
}

static bool block_empty(const struct block *b)
{
    return !b->n_windows && !b->n_bins && !b->n_texts && !b->n_processes && !b->n_containers &&
           !b->n_gaps && !b->n_ledger && !b->n_blinds && !b->snapshot;
}

int capture_tick(struct capture *c, uint64_t now_ns, struct block **ret)
{
    *ret = NULL;
    if (c->uncommitted)
        roll_back(c);
    c->uncommitted = true;
    c->next_tick_ns = now_ns + TICK_NS;
    int error = housekeeping(c, now_ns);
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    if (error || !b)
        return error ? error : -ENOMEM;
    uint64_t t0 = now_ns - CUT_BEHIND_NS;
    error = block_fill(c, now_ns, t0, b);
    c->known.block = NULL;
    if (error) {
        log_error("making a block: %s", strerror(-error));
        return error;
    }
    if (c->full)
        c->next_tick_ns = now_ns;
    if (block_empty(b) && now_ns < c->last_block_ns + NS_PER_S)
        return 0;
    *ret = TAKE(b);
    return 0;
}

void capture_commit(struct capture *c, const struct block *b)
{
    for (uint32_t i = 0; i < c->n_rings; i++)
        __atomic_store_n(&c->kernel->rings[c->rings[i].cpu].header->tail, c->rings[i].from,
                         __ATOMIC_RELEASE);
    records_free(c->kernel, c->records);
    memcpy(c->committed, c->rings, c->n_rings * sizeof(*c->rings));
    state_save(c);
    blinds_clear(c);
    degraded_clear(c);
    c->records_committed = c->records;
    c->misses_committed = c->kernel->control->misses_told = c->misses;
    __atomic_sub_fetch(&c->kernel->control->no_ring, c->no_ring, __ATOMIC_RELAXED);
    c->uncommitted = false;
    containers_told(c);
    c->windows_max = MIN(2 * c->windows_max, WINDOWS_MAX);
    c->cut_ns = b->until_ns;
    c->last_block_ns = b->until_ns + CUT_BEHIND_NS;
    if (b->snapshot)
        c->snapshot_ns = c->last_block_ns + SNAPSHOT_NS;
    uint64_t lost = c->kernel->control->lost_records;
    if (lost != c->said_lost)
        log_warn("%lu records of processes and texts did not fit into their buffer",
                 (unsigned long)(lost - c->said_lost));
    c->said_lost = lost;
}

void capture_lighten(struct capture *c, const struct block *b)
{
    if (b->snapshot)
        c->snapshot_ns = b->until_ns + SNAPSHOT_NS;
    else
        c->windows_max = MAX(c->windows_max / 2, 1);
    c->next_tick_ns = 0;
}

bool capture_more(const struct capture *c)
{
    return c->full;
}

static bool half_full(const struct capture *c)
{
    for (uint32_t i = 0; i < c->n_rings; i++) {
        const struct ring *r = c->kernel->rings[c->rings[i].cpu].header;
        if (r->head - r->tail > c->kernel->ring_words / 2)
            return true;
    }
    return false;
}

void capture_wait(struct capture *c)
{
    for (;;) {
        uint64_t now = clock_mono_ns();
        if (now >= c->next_tick_ns)
            return;
        struct epoll_event event;
        int n = epoll_wait(c->epoll, &event, 1, (int)((c->next_tick_ns - now) / NS_PER_MS) + 1);
        if (n < 0 || (n > 0 && half_full(c)))
            return;
    }
}

void capture_set_level(struct capture *c, enum capture_level level)
{
    uint32_t before = c->kernel->control->level;
    if (before == (uint32_t)level)
        return;
    c->kernel->control->level = (uint32_t)level;
    __atomic_add_fetch(&c->kernel->control->generation, 1, __ATOMIC_SEQ_CST);
    /* Calls that were only counted are missing in the streams of threads. */
    uint64_t now_ns = clock_mono_ns();
    if (before == LEVEL_BINS_ONLY)
        assembler_missing(c->assembler, CONTAINER_UNKNOWN, c->bins_only_ns, now_ns);
    c->bins_only_ns = now_ns;
}

void capture_resend_texts(struct capture *c)
{
    aging_clear(&c->known.sent);
    c->kernel->control->epoch++;
    __atomic_add_fetch(&c->kernel->control->generation, 1, __ATOMIC_SEQ_CST);
}

void capture_get_stats(const struct capture *c, struct capture_stats *ret)
{
    *ret = (struct capture_stats){
        .capture_id = c->kernel->capture_id,
        .cpus = c->n_rings,
        .ring_bytes = c->kernel->ring_words * 8,
        .containers = containers_count(c->containers),
        .threads = assembler_threads(c->assembler),
        .processes = c->known.tgids.n,
        .texts = c->known.dictionary.young.n + c->known.dictionary.old.n,
        .containers_max = containers_max(c->containers),
        .threads_max = THREADS_MAX,
        .processes_max = KNOWN_PROCESSES_MAX,
        .texts_max = KNOWN_TEXTS_MAX,
        .refused_containers = containers_refused(c->containers) + c->decide.refused,
        .refused_threads = assembler_refused(c->assembler),
        .refused_processes = c->known.refused_processes,
        .refused_texts = c->known.refused_texts + c->kernel->control->refused_texts,
        .refused_bins = assembler_refused_bins(c->assembler),
        .ring_fill_max = c->fill_max,
        .audits = c->audits,
        .unbalanced = c->unbalanced,
        .lost_records = c->kernel->control->lost_records,
        .unknown_programs = c->known.unknown_programs,
    };
}

void capture_close(struct capture *c, bool keep_pins)
{
    closep(&c->epoll);
    for (uint32_t i = 0; i < c->n_changed; i++)
        container_done(&c->changed[i]);
    free(c->changed);
    blinds_clear(c);
    degraded_clear(c);
    if (c->assembler)
        assembler_free(c->assembler);
    if (c->kernel) {
        known_done(&c->known);
        decide_done(&c->decide);
        kernel_close(c->kernel, keep_pins);
    }
    free(c->rings);
    free(c->committed);
    free(c);
}

int capture_probe(char *why, unsigned size)
{
    struct kernel *k = NULL;
    const struct capture_options options = {.pin_directory = "", .ring_bytes = 1};
    if (access("/sys/kernel/btf/vmlinux", R_OK)) {
        snprintf(why, size,
                 "the kernel has no BTF (/sys/kernel/btf/vmlinux): it takes one built with "
                 "CONFIG_DEBUG_INFO_BTF, as those of Debian are");
        return -ENOENT;
    }
    int error = kernel_open(&options, 0, &k);
    if (error) {
        snprintf(why, size,
                 "the kernel refuses to load the programs (%s): run as root, or with "
                 "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE",
                 strerror(-error));
        return error;
    }
    error = kernel_attach_calls(k);
    if (error)
        snprintf(why, size, "the programs load but do not attach: %s", strerror(-error));
    kernel_close(k, false);
    return error;
}
