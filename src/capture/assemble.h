/* Ring words -> windows, bins and counts: a pure function of words and names, apart from what it
 * remembers of each thread (its left context). docs/CAPTURE.md, "Words in the ring" and
 * docs/CAPTURE.md, "The cut". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/table.h"
#include "event/block.h"

/* What words stand for; answers come from the records. */
struct names {
    void *user;
    /* Is the container wanted? *number may be changed (0: it is the host's). */
    bool (*wanted)(void *user, uint32_t *number);
    /* Text id of an exec number's program key; 0 unknown. */
    uint64_t (*program)(void *user, uint32_t container, uint32_t exec, uint32_t tgid);
    /* Start time of the process with that tgid at that time; 0 unknown. */
    uint64_t (*start)(void *user, uint32_t tgid, uint64_t time_ns);
    /* Text id of an argument hash; 0: no text. */
    uint64_t (*argument)(void *user, uint32_t container, uint32_t hash);
};

/* One CPU's ring as it is to be read. */
struct ring_read {
    const uint64_t *words;
    uint64_t mask;       /* words - 1 */
    uint64_t from, head; /* positions: read [from, head) */
    uint64_t context[3]; /* in force at from */
    uint64_t counted;    /* calls read or known to be lost since the audit began; CALLS_UNKNOWN: not
                            begun */
    uint16_t cpu;
};
#define CALLS_UNKNOWN UINT64_MAX

/* How many calls there are in [from, until). */
uint64_t calls_between(const struct ring_read *r, uint64_t from, uint64_t until);

struct assembler;

int assembler_new(uint64_t capture_id, uint32_t threads_max, struct assembler **ret);
void assembler_free(struct assembler *a);

/* Reads the runs whose context time is before t0, merged by that time, and adds windows, bins,
 * gaps, ledger and checkpoint to b. Moves rings[].from and .context to where it stopped. At most
 * windows_max windows, then it stops early: b->until_ns says up to when all was read. */
int assembler_cut(struct assembler *a, struct ring_read *rings, uint32_t n, uint64_t t0,
                  uint32_t windows_max, const struct names *names, struct block *b);

/* Calls known to be lost, as the cut that follows has to know. */
int assembler_lost(struct assembler *a, const struct gap *gap, struct block *b);
/* The same of calls that are told elsewhere, or later. container: as the kernel numbers it. */
void assembler_missing(struct assembler *a, uint32_t container, uint64_t first_ns,
                       uint64_t last_ns);

/* Forgets what the last cut changed (its block was not kept). */
void assembler_roll_back(struct assembler *a);

/* Forgets threads without a call since before_ns that exited, or whose process had by then, as
 * ended() says. */
void assembler_sweep(struct assembler *a, uint64_t before_ns,
                     bool (*ended)(void *user, uint32_t tgid, uint64_t start_ns,
                                   uint64_t before_ns),
                     void *user);

/* Left contexts of live threads into a snapshot block. */
int assembler_save(const struct assembler *a, struct block *b);

/* What is remembered of a thread, for a successor. */
struct thread_memory {
    uint64_t start_ns, program, exec_key, last_ns;
    uint32_t container, tgid, tid, generation;
    uint16_t context[WINDOW_CONTEXT_MAX];
    uint8_t n_context, pad[7];
};
uint32_t assembler_dump(const struct assembler *a, struct thread_memory *ret, uint32_t max);
int assembler_restore(struct assembler *a, const struct thread_memory *from, uint32_t n);
/* As if the block's windows had been made by this assembler. */
int assembler_replay(struct assembler *a, const struct block *b);

uint32_t assembler_threads(const struct assembler *a);
/* So full that it is time to forget who has exited, however lately. A cut brings a quarter at most.
 */
bool assembler_crowded(const struct assembler *a);
uint64_t assembler_refused(const struct assembler *a);
uint64_t assembler_refused_bins(const struct assembler *a);
