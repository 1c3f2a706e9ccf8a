/* A capture on the real kernel, a cgroup of its own, and what came out of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/capture.h"
#include "capture/containers.h"

#define KEPT_MAX 60000

struct harness {
    struct containers *containers;
    struct capture *capture;
    struct capture_options options;
    char cgroup[256]; /* directory of the container's cgroup */

    struct window *windows; /* [n_windows], of all blocks, in order */
    uint32_t n_windows;
    struct text *texts;
    uint32_t n_texts;
    struct process *processes;
    uint32_t n_processes;
    uint64_t seen, delivered, dropped[DROP_REASONS];
    uint64_t nobodys[DROP_REASONS]; /* dropped, not known of which container */
    uint32_t n_gaps, n_blinds, n_blocks;
    uint64_t gap_calls;
    struct block *last; /* the last committed one, when keep_last */
    bool keep_last;
};

/* Leaves with 77 where eBPF cannot load. pins: directory, or "". */
void harness_open(struct harness *h, const char *pins, uint64_t ring_bytes);
/* The same capture again, as after a restart. */
void harness_reopen(struct harness *h);
void harness_close(struct harness *h, bool keep_pins);
/* Forks; the child enters the cgroup, then runs fn(arg) and exits with what it returns. */
pid_t harness_start(struct harness *h, int (*fn)(void *arg), void *arg);
/* Puts a process of ours into the cgroup. */
void harness_enter(struct harness *h, pid_t pid);
/* One tick, kept and committed. */
void harness_tick(struct harness *h);
/* Waits for pid while ticking every 20 ms, then ticks until nothing comes. Returns the status. */
int harness_wait(struct harness *h, pid_t pid);

/* Is this the number of our container? */
bool harness_ours(const struct harness *h, uint32_t number);
/* Calls of a thread in order: numbers into ret, at most max; returns how many. tid 0: any. */
uint32_t harness_calls(const struct harness *h, uint32_t tid, uint16_t *ret, uint32_t max);
uint32_t harness_count(const struct harness *h, uint16_t sysno, int ret); /* ret -1: any */
const struct text *harness_text(const struct harness *h, uint64_t id);
bool harness_has_text(const struct harness *h, enum text_kind kind, enum text_access access,
                      const char *text);

/* The calls of a thread in an order that can be made again: xorshift (Marsaglia 2003); x not 0. */
static inline uint32_t random_next(uint32_t x)
{
    x ^= x << 13;
    x ^= x >> 17;
    return x ^ x << 5;
}
