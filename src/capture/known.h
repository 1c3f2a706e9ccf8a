/* What the records of the kernel side say: processes, programs, texts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"
#include "capture/table.h"
#include "event/block.h"

struct known_process {
    uint64_t start_ns, exit_ns, parent_start_ns, program; /* exit_ns 0: lives */
    uint32_t tgid, parent_tgid, older;                    /* older: same tgid before, index + 1 */
    uint32_t container, number;                           /* number: the kernel's of that */
    uint8_t flags;                                        /* enum program_flag, of what it runs */
    char *path, *arguments;
};

/* Two generations; the dictionary of the kernel holds as many. */
#define KNOWN_TEXTS_MAX (1u << 17)
#define KNOWN_PROCESSES_MAX (1u << 16)

struct known {
    struct aging dictionary; /* the kernel's container << 32 | hash -> text id */
    struct aging programs;   /* exec number -> text id of the program key */
    struct aging sent;       /* hash of (container, text id) -> tick in which a block told it */
    struct table tgids;      /* tgid -> index + 1 of the newest process */
    struct known_process *processes; /* [n_processes]; a free one has tgid 0 */
    uint32_t n_processes, free;      /* free: first free, index + 1, chained by older */
    uint64_t tick;
    uint64_t refused_processes, refused_texts, unknown_programs;
    bool said_untold; /* that a snapshot had no room */
    bool forgot;      /* a text was forgotten: for the caller to tell the kernel, and to clear */
    int dictionary_map, programs_map; /* where ids are noted for a successor; -1: nowhere */
    struct block *block;              /* to which texts and processes go; set for each tick */
};

void known_init(struct known *k);
void known_done(struct known *k);

/* One record each; -ENOMEM. container: as user space numbers it. */
int known_text(struct known *k, const struct record_text *r, uint32_t container);
int known_program(struct known *k, const struct record_program *r, uint32_t container);
int known_fork(struct known *k, const struct record_process *r, uint32_t container);
int known_exit(struct known *k, const struct record_process *r, uint32_t container);

uint64_t known_program_of(struct known *k, uint32_t container, uint32_t exec, uint32_t tgid);
uint64_t known_start_of(const struct known *k, uint32_t tgid, uint64_t time_ns);
uint64_t known_argument_of(struct known *k, uint32_t container, uint32_t hash);

/* Did the process end before, or was it never heard of? */
bool known_ended(const struct known *k, uint32_t tgid, uint64_t start_ns, uint64_t before_ns);
/* A process of which only this is known (from an agent before us). */
void known_restore(struct known *k, uint32_t tgid, uint64_t start_ns, uint32_t container,
                   uint64_t program);

/* All live processes as FOUND into the block; with path and arguments while those take no more than
 * this many bytes, without, counted as refused, past that: anybody may have many with long ones. */
#define SNAPSHOT_TEXTS_MAX (4u << 20)
int known_snapshot(struct known *k, uint64_t now_ns);
/* Keeps the kernel's numbers of live processes from being forgotten. */
struct decide;
void known_hold(const struct known *k, struct decide *d);
/* The last block was not kept: what it told must be told again. */
void known_roll_back(struct known *k);
/* Forgets processes that ended before; now_ns is the end of those whose end was not told. pids:
 * ours is the machine's process namespace, so that we can ask who lives. */
void known_sweep(struct known *k, uint64_t before_ns, uint64_t now_ns, bool pids);
