/* What the two directions of the windows' codec share. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "transport/codec_internal.h"

#define SYSNOS SYSNO_COUNT
#define RETS 512
#define NONE UINT32_MAX

/* Values of a small range numbered by how often they occur, the commonest first. */
struct alphabet {
    uint32_t n;
    uint16_t values[SYSNOS], index[SYSNOS]; /* of value */
    uint32_t count[SYSNOS];                 /* of value; writing only */
};

/* The tables that both directions build up. */
struct tables {
    struct alphabet sysnos, rets;
    struct dict captures, cpus, process_keys, thread_keys;
    uint32_t *process_of;  /* [threads] */
    uint32_t *process_row; /* [processes] window that first showed it */
    uint32_t *thread_row;  /* [threads] */
    uint32_t *last;        /* [threads] its last window so far, or NONE */
    uint32_t *thread;      /* [windows] */
    uint32_t *start;       /* [sysnos + 1] where the results of a syscall begin */
    uint64_t *position;    /* [cpus] last position */
    uint16_t *ret;         /* [calls] grouped by syscall */
    uint16_t *flag;        /* [calls] grouped: flags << 1 | has an argument */
    uint64_t *argument;    /* [calls] grouped */
    uint32_t calls, processes, threads;
};

int codec_tables_new(size_t n, struct tables **ret);
void codec_tables_freep(struct tables **t);
/* Arrays by call; to be asked for once their number is known. */
int codec_tables_calls(struct tables *t, uint32_t calls);

/* A row of the tables: what the windows of one process, and of one thread, have in common. */
struct row {
    uint64_t capture, start_ns, program;
    uint32_t container, tgid, tid, generation;
};

void codec_process_row(struct codec_io *io, struct row *w, struct dict *captures,
                       uint64_t *start_ns);
void codec_thread_row(struct codec_io *io, struct row *w);

/* The context that a window has if it directly follows prev in its thread; its length. */
uint8_t codec_derive(const struct window *prev, uint16_t context[WINDOW_CONTEXT_MAX]);
