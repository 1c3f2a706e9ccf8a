/* Inside the assembler: shared by assemble.c (cuts) and memory.c (what outlives them). */
#pragma once

#include "capture/assemble.h"
#include "capture/bins.h"
#include "capture/lost.h"

#define NO_WINDOW UINT32_MAX

struct memory { /* who a thread is, and what a window needs of the calls before it */
    uint64_t program, start_ns, last_ns, exec_key;
    uint32_t tgid, generation, container;
    uint8_t n_context;
    bool known, fresh; /* fresh: the next call is the first of a program */
    bool ended;        /* the last call was the thread's exit: its tid may come again */
    bool adopted;      /* from an agent before us, without its exec number */
    uint16_t context[WINDOW_CONTEXT_MAX];
};

struct thread {
    uint32_t tid;
    uint32_t window;           /* its open window in the block, or NO_WINDOW */
    uint64_t cut;              /* the last that touched it */
    struct memory now, before; /* before: as it was when the cut began */
};

struct gap_found {
    uint64_t position;
    uint32_t ring;
    struct gap gap;
};

struct run {
    uint64_t time_ns, from, until;
    uint64_t context[3];
    uint32_t ring;
};

struct assembler {
    uint64_t capture_id, cut;
    struct lost lost;
    struct table threads; /* tid -> index in slots */
    struct thread *slots; /* [n_slots] */
    uint32_t n_slots, slots_size, threads_max;
    uint64_t refused;
    struct bins bins;
    struct run *runs;
    struct gap_found *found; /* [n_found]: gap records of this cut */
    uint32_t n_runs, runs_size, n_found, found_size;
    uint32_t windows_size, gaps_size, ledger_size;
};

/* NULL when the cap refused it, counted, or memory is out. */
struct thread *assembler_thread_new(struct assembler *a, uint32_t tid);
void memory_clear(struct memory *m);
void memory_add(struct memory *m, uint16_t sysno);
