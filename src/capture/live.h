/* A running capture: what capture.c, resume.c and audit.c share. */
#pragma once

#include "capture/assemble.h"
#include "capture/capture.h"
#include "capture/decide.h"
#include "capture/kernel.h"
#include "capture/known.h"

struct degraded { /* calls that were only counted */
    uint64_t program, calls, errors, second;
    uint32_t container;
    uint16_t sysno;
};

struct capture {
    struct kernel *kernel;
    struct containers *containers;
    struct decide decide;
    struct known known;
    struct assembler *assembler;
    struct capture_options options;
    char node[NODE_NAME_MAX];
    uint8_t boot[16];
    int epoll;

    struct ring_read *rings, *committed; /* [n_rings]: as the last cut, the last commit left them */
    uint32_t n_rings;
    uint64_t records, records_committed;
    uint64_t misses, misses_committed;
    uint64_t no_ring;       /* of control's count: told in the last block */
    bool uncommitted, full; /* full: the last block could not hold all before its cut */
    uint8_t draining;       /* ticks that still look for calls that were only counted */
    /* Told in no committed block yet. */
    struct container *changed;
    struct blind *blinds;
    struct degraded *degraded;
    uint32_t n_changed, n_blinds, n_degraded;
    uint32_t n_told;               /* of changed, in the last block */
    uint32_t tell_from, tell_next; /* number from which all are told again: before the last block,
                                      after it */

    uint64_t cut_ns, last_block_ns, next_tick_ns, cpus_ns, snapshot_ns, sweep_ns;
    uint64_t bins_only_ns; /* since when, while that is the level; 0: since before us */
    uint64_t state_serial, said_lost, audits, unbalanced;
    uint32_t windows_max; /* of a block */
    double fill_max;
};
