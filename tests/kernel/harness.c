#include "kernel/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "bpf/event.h"

static const char *cgroup_root(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified",
                                        "/sys/fs/cgroup"};
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/cgroup.procs", roots[i]);
        if (!access(path, W_OK))
            return roots[i];
    }
    return NULL;
}

void harness_open(struct harness *h, const char *pins, uint64_t ring_bytes)
{
    static int serial;
    char why[512];
    *h = (struct harness){.options = {.timing = TIMING_COARSE,
                                      .arguments = ARGUMENTS_HASH,
                                      .ring_bytes = ring_bytes,
                                      .pin_directory = pins}};
    log_set_level(LOG_LEVEL_WARN);
    if (geteuid() || (!serial && capture_probe(why, sizeof(why))) || !cgroup_root()) {
        printf("SKIP: %s\n", geteuid() ? "needs root" : cgroup_root() ? why : "no writable cgroup");
        exit(77);
    }
    h->windows = calloc(KEPT_MAX, sizeof(*h->windows));
    h->texts = calloc(KEPT_MAX, sizeof(*h->texts));
    h->processes = calloc(KEPT_MAX, sizeof(*h->processes));
    const struct containers_options found = {0};
    ASSERT(h->windows && h->texts && h->processes && !containers_new(&found, &h->containers));
    ASSERT(!capture_open(&h->options, h->containers, NULL, &h->capture));
    /* Named as runtimes name theirs: 64 hexadecimal digits. */
    snprintf(h->cgroup, sizeof(h->cgroup), "%s/%064lx", cgroup_root(),
             (unsigned long)getpid() << 32 | 0xabc0000u | (unsigned)++serial);
    ASSERT(!mkdir(h->cgroup, 0755));
}

void harness_reopen(struct harness *h)
{
    const struct containers_options found = {0};
    ASSERT(!containers_new(&found, &h->containers));
    ASSERT(!capture_open(&h->options, h->containers, h->last, &h->capture));
}

void harness_close(struct harness *h, bool keep_pins)
{
    if (h->capture)
        capture_close(h->capture, keep_pins);
    containers_free(h->containers);
    h->capture = NULL;
    h->containers = NULL;
    if (keep_pins)
        return;
    for (int i = 0; i < 100 && rmdir(h->cgroup) && errno == EBUSY; i++)
        usleep(10000);
    for (uint32_t i = 0; i < h->n_texts; i++)
        free(h->texts[i].text);
    for (uint32_t i = 0; i < h->n_processes; i++) {
        free(h->processes[i].path);
        free(h->processes[i].arguments);
    }
    block_freep(&h->last);
    free(h->windows);
    free(h->texts);
    free(h->processes);
}

pid_t harness_start(struct harness *h, int (*fn)(void *arg), void *arg)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/cgroup.procs", h->cgroup);
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed waits for nobody */
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(99);
    /* The call itself: before _exit a sanitizer makes one of its own. */
    syscall(SYS_exit_group, fn(arg));
    __builtin_unreachable();
}

void harness_enter(struct harness *h, pid_t pid)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/cgroup.procs", h->cgroup);
    FILE *file = fopen(path, "w");
    ASSERT(file && fprintf(file, "%d", (int)pid) > 0 && fclose(file) == 0);
}

/* Other containers may run on the machine: only our own counts. */
bool harness_ours(const struct harness *h, uint32_t number)
{
    const struct container *c = containers_get(h->containers, number);
    return c && !strcmp(c->id, strrchr(h->cgroup, '/') + 1);
}

static void block_keep(struct harness *h, struct block *b)
{
    for (uint32_t i = 0; i < b->n_windows && h->n_windows < KEPT_MAX; i++)
        if (harness_ours(h, b->windows[i].container))
            h->windows[h->n_windows++] = b->windows[i];
    for (uint32_t i = 0; i < b->n_texts && h->n_texts < KEPT_MAX; i++) {
        if (!harness_ours(h, b->texts[i].container))
            continue;
        h->texts[h->n_texts] = b->texts[i];
        h->texts[h->n_texts++].text = strdup(b->texts[i].text);
    }
    for (uint32_t i = 0; i < b->n_processes && h->n_processes < KEPT_MAX; i++) {
        if (!harness_ours(h, b->processes[i].container))
            continue;
        h->processes[h->n_processes] = b->processes[i];
        h->processes[h->n_processes].path = strdup(b->processes[i].path);
        h->processes[h->n_processes++].arguments = strdup(b->processes[i].arguments);
    }
    for (uint32_t i = 0; i < b->n_ledger; i++) {
        for (int k = 0; b->ledger[i].container == CONTAINER_UNKNOWN && k < DROP_REASONS; k++)
            h->nobodys[k] += b->ledger[i].dropped[k];
        if (!harness_ours(h, b->ledger[i].container))
            continue;
        h->seen += b->ledger[i].seen;
        h->delivered += b->ledger[i].delivered;
        for (int k = 0; k < DROP_REASONS; k++)
            h->dropped[k] += b->ledger[i].dropped[k];
    }
    for (uint32_t i = 0; i < b->n_gaps; i++) {
        h->gap_calls += harness_ours(h, b->gaps[i].container) ? b->gaps[i].calls : 0;
        h->n_gaps += harness_ours(h, b->gaps[i].container);
    }
    h->n_blinds += b->n_blinds;
    h->n_blocks++;
}

void harness_tick(struct harness *h)
{
    struct block *b = NULL;
    ASSERT(!capture_tick(h->capture, clock_mono_ns(), &b));
    if (!b)
        return;
    block_keep(h, b);
    capture_commit(h->capture, b);
    if (h->keep_last) {
        block_freep(&h->last);
        h->last = b;
    } else {
        block_free(b);
    }
}

int harness_wait(struct harness *h, pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        harness_tick(h);
        usleep(20000);
    }
    for (int i = 0; i < 3; i++) {
        usleep(10000); /* the cut stays a millisecond behind */
        harness_tick(h);
    }
    return status;
}

uint32_t harness_calls(const struct harness *h, uint32_t tid, uint16_t *ret, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->n_windows; i++)
        for (uint32_t k = 0; k < h->windows[i].n_calls; k++)
            if ((!tid || h->windows[i].tid == tid) && n < max)
                ret[n++] = h->windows[i].sysno[k];
    return n;
}

uint32_t harness_count(const struct harness *h, uint16_t sysno, int ret)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->n_windows; i++)
        for (uint32_t k = 0; k < h->windows[i].n_calls; k++)
            n += h->windows[i].sysno[k] == sysno && (ret < 0 || h->windows[i].ret[k] == ret);
    return n;
}

const struct text *harness_text(const struct harness *h, uint64_t id)
{
    for (uint32_t i = 0; i < h->n_texts; i++)
        if (h->texts[i].id == id)
            return &h->texts[i];
    return NULL;
}

bool harness_has_text(const struct harness *h, enum text_kind kind, enum text_access access,
                      const char *text)
{
    const struct text *t = harness_text(h, text_id(kind, access, text));
    return t && !strcmp(t->text, text) && t->kind == kind && t->access == access;
}
