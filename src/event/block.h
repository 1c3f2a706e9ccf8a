/* A block: what one tick of one node made; the unit on disk and on the wire (docs/FORMAT.md).
 * Immutable once made. This is its decoded form; src/transport/codec.h reads and writes the bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "event/container.h"
#include "event/window.h"

/* What a text stands for. The id is hash of (kind, access, text): text_id(). */
enum text_kind {
    TEXT_PROGRAM, /* program key: resolved path, digits as '#', plus applet or script */
    TEXT_PATH,    /* normalised path argument; access says what for */
    TEXT_ADDRESS, /* "loopback:6379", "public:high", "unix:/run/x.sock", ... ; display form */
    TEXT_FLAG,    /* "mmap PROT_EXEC", "clone CLONE_NEWUSER", "chmod +x", ... */
};

enum text_access {
    ACCESS_NONE,
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_CREATE,
    ACCESS_EXEC,
    ACCESS_DELETE,
    ACCESS_RENAME,
    ACCESS_ATTRIBUTE, /* chmod, chown, xattr, link targets */
    ACCESS_CONNECT,
    ACCESS_BIND,
    ACCESS_SEND,
};

#define TEXT_MAX 512

struct text {
    uint64_t id;
    uint32_t container; /* sent once per container and id */
    uint8_t kind, access;
    char *text; /* any bytes but NUL, at most TEXT_MAX */
};

uint64_t text_id(enum text_kind kind, enum text_access access, const char *text);
const char *text_kind_name(enum text_kind kind);
const char *text_access_name(enum text_access access); /* "read", "write", ... */

/* Why calls are missing. "Dropped" counts calls; the reasons are the ledger's. */
enum drop_reason {
    DROP_RING_FULL,   /* kernel: no room in the CPU's ring, or no ring yet */
    DROP_RECURSION,   /* kernel: the program was not run (recursion_misses) */
    DROP_DEGRADED,    /* declared: windows left out at LEVEL_BINS_ONLY; still binned */
    DROP_SPOOL_FULL,  /* the spool's oldest segment went before it was read */
    DROP_SPOOL_WRITE, /* the block could not be written (full disk) */
    DROP_CORRUPT,     /* a block failed its checks and was kept aside */
    DROP_TABLE_FULL,  /* a capped table (threads, containers) refused them */
    DROP_REASONS,
};
const char *drop_reason_name(enum drop_reason reason); /* "ring full", ... */

/* Calls known to be lost. */
struct gap {
    uint64_t first_ns, last_ns; /* monotonic */
    uint64_t calls;
    uint32_t container; /* UINT32_MAX: not known which */
    uint16_t cpu;       /* UINT16_MAX: not of one CPU */
    uint8_t reason;     /* enum drop_reason */
};

/* Time without capture. */
struct blind {
    uint64_t first_ns, last_ns;
    char *reason; /* "agent did not run and the rings overran", "reboot", "upgrade" */
};

/* Counts per container in this block; seen = delivered + dropped, exact. delivered = calls in the
 * windows of this block + calls counted only in bins (DROP_DEGRADED counts those a second time and
 * is not part of seen). */
struct ledger_count {
    uint32_t container;
    uint64_t seen, delivered;
    uint64_t dropped[DROP_REASONS];
};

/* Where each CPU's ring was read up to, for the next agent. */
struct checkpoint_cpu {
    uint16_t cpu;
    uint64_t position;   /* words read */
    uint64_t context[3]; /* the context record in force there, raw words */
};

/* A live thread in a snapshot block: what the next agent needs so that no n-gram vanishes. */
struct thread_state {
    uint64_t start_ns, program;
    uint32_t container, tgid, tid, generation;
    uint8_t n_context;
    uint16_t context[WINDOW_CONTEXT_MAX];
};

#define NODE_NAME_MAX 64

struct block {
    uint8_t spool[16];          /* UUID of the spool it was first written to */
    uint64_t sequence;          /* within that spool, from 1 */
    uint64_t capture;           /* capture id */
    uint8_t boot[16];           /* boot id of the kernel */
    char node[NODE_NAME_MAX];   /* node name */
    uint64_t mono_ns, wall_ns;  /* the same moment on both clocks */
    uint64_t from_ns, until_ns; /* monotonic: until the one before, until this one has all */
    uint8_t level;              /* enum capture_level in force */
    uint8_t snapshot; /* 1: threads and processes (FOUND) list all live ones: a restart rebuilds
                       * from the last snapshot and the blocks after it */

    struct window *windows;            /* [n_windows] */
    struct bin *bins;                  /* [n_bins] */
    struct text *texts;                /* [n_texts] first use in this dictionary epoch */
    struct process *processes;         /* [n_processes] in time order */
    struct container *containers;      /* [n_containers] new or changed */
    struct gap *gaps;                  /* [n_gaps] */
    struct blind *blinds;              /* [n_blinds] */
    struct ledger_count *ledger;       /* [n_ledger] */
    struct checkpoint_cpu *checkpoint; /* [n_checkpoint] */
    struct thread_state *threads;      /* [n_threads] snapshot blocks only */
    uint32_t n_threads, n_windows, n_bins, n_texts, n_processes, n_containers, n_gaps, n_blinds,
        n_ledger, n_checkpoint;
    uint32_t epoch; /* dictionary epoch: raised when texts must be sent again */

    /* What caps have refused so far in this capture, by table: for who reads a recording. */
    uint64_t refused_texts, refused_containers, refused_processes;
};

/* Frees what the block owns, and the block. */
void block_free(struct block *b);
DEFINE_CLEANUP(block_free, struct block *)
