/* A window: up to 64 consecutive calls of one thread and program, with up to 16 calls that came
 * before them in the thread (left context), so that it can be scored on its own.
 */
#pragma once

#include <stdint.h>

#include "event/syscall.h"

#define WINDOW_CALLS_MAX 64
#define WINDOW_CONTEXT_MAX 16

/* At which step of declared degradation, and with what, a window or bin was made. */
enum capture_level { LEVEL_FULL, LEVEL_NO_ARGUMENTS, LEVEL_BINS_ONLY };

enum window_flag {
    WINDOW_AFTER_GAP = 1 << 0,  /* calls of this thread may be missing before its first call */
    WINDOW_AFTER_EXEC = 1 << 1, /* its first call is the first of a program */
    WINDOW_MOVED = 1 << 2,      /* the thread was moved to another cgroup since it started */
};

/* Names the same calls on any retry: (capture, CPU, ring position of the first call). */
struct window_id {
    uint64_t capture;  /* made with the BPF maps; random */
    uint64_t position; /* CPU << 48 | ring position in words */
};

struct window {
    struct window_id id;
    uint64_t first_ns, last_ns; /* monotonic: context time of the first and last call's run */
    uint64_t program;           /* text id of the program key; 0 unknown */
    uint64_t start_ns;          /* with tgid: the process */
    uint32_t tgid, tid;
    uint32_t generation; /* with tid: the thread; counts execs and reuse of the tid */
    uint32_t container;  /* number within the capture; 0 is the host */
    uint8_t level;       /* enum capture_level */
    uint8_t flags;       /* enum window_flag */
    uint8_t n_context;   /* context[0..n_context) in time order, the newest last */
    uint8_t n_calls;     /* 1..WINDOW_CALLS_MAX */
    /* Calls of the context are of the same program: context starts empty after an exec. */
    uint16_t context[WINDOW_CONTEXT_MAX]; /* sysno */
    uint16_t sysno[WINDOW_CALLS_MAX];
    uint16_t ret[WINDOW_CALLS_MAX];
    uint8_t flag[WINDOW_CALLS_MAX];      /* enum call_flag */
    uint64_t argument[WINDOW_CALLS_MAX]; /* text id, 0 none */
};

/* One container x one second x one (program, syscall). */
struct bin_count {
    uint64_t program;       /* text id of the program key */
    uint64_t latency_ns;    /* sum over the calls that were timed */
    uint32_t latency_calls; /* how many were timed */
    uint32_t calls, errors;
    uint16_t sysno;
};

/* A bin: one container x one second. Partial: the bins of several blocks for one container and
 * second add up; keyed by (block, container, second). */
struct bin {
    uint32_t container;
    uint64_t second; /* monotonic time / 1 s */
    uint8_t level;
    uint32_t n_counts;
    struct bin_count *counts; /* [n_counts], sorted by (program, sysno) */
};
