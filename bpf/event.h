/* What the kernel programs and user space share: ring words, records, maps. The only such header.
 *
 * A ring is one CPU's: a header page pair, then a power of two of 64-bit words that user space
 * maps. One producer (that CPU, preemption off), one consumer. Bits 63:62 of a word are its type:
 *
 *   syscall    type 2 | abi 2 | number 10 | ret 9 | flags 9 | argument hash 32
 *   context    three words:
 *              type 2 | kind 3 | level 3 | flags 2 | container 32 | tid 22
 *              type 2 | time ns 62
 *              type 2 | thread generation 8 | exec number 32 | tgid 22
 *   auxiliary  type 2 | kind 4 | value 58
 *
 * A context is reserved together with the first word after it, or not at all. */
#ifndef VIGIA_EVENT_H
#define VIGIA_EVENT_H

#ifndef __bpf__
#include <stdint.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef uint16_t u16;
typedef uint8_t u8;
#endif

#define VIGIA_ABI 5 /* raise with every change of this file or of what the programs write */

#define WORD_TYPE_SHIFT 62
#define WORD_TYPE(w) ((u32)((w) >> WORD_TYPE_SHIFT))
enum word_type { WORD_NONE, WORD_SYSCALL, WORD_CONTEXT, WORD_AUX };

#define WORD_SYSNO_SHIFT 50 /* abi and number: 12 bits */
#define WORD_RET_SHIFT 41
#define WORD_FLAGS_SHIFT 32
#define WORD_SYSNO(w) ((u32)((w) >> WORD_SYSNO_SHIFT) & 0xfff)
#define WORD_RET(w) ((u32)((w) >> WORD_RET_SHIFT) & 0x1ff)
#define WORD_FLAGS(w) ((u32)((w) >> WORD_FLAGS_SHIFT) & 0x1ff)
#define WORD_HASH(w) ((u32)(w))

enum word_flag { /* the low ones are enum call_flag of event/syscall.h */
                 WORD_HAS_ARGUMENT = 1 << 0,
                 WORD_TRUNCATED = 1 << 1,
                 WORD_CLAIMED = 1 << 2,
                 WORD_NO_TEXT = 1 << 3,
                 WORD_AFTER_GAP = 1 << 4,
                 WORD_EXTENSION = 1 << 8,
};

#define CONTEXT_WORDS 3
#define CONTEXT_LEVEL_SHIFT 56
#define CONTEXT_FLAGS_SHIFT 54
#define CONTEXT_CONTAINER_SHIFT 22
#define CONTEXT_LEVEL(w) ((u32)((w) >> CONTEXT_LEVEL_SHIFT) & 7)
#define CONTEXT_FLAGS(w) ((u32)((w) >> CONTEXT_FLAGS_SHIFT) & 3)
#define CONTEXT_CONTAINER(w) ((u32)((w) >> CONTEXT_CONTAINER_SHIFT))
#define CONTEXT_TID(w) ((u32)(w) & 0x3fffff)
#define CONTEXT_TIME(w) ((w) & ((1ull << 62) - 1))
#define CONTEXT_GENERATION_SHIFT 54
#define CONTEXT_PROGRAM_SHIFT 22
#define CONTEXT_GENERATION(w) ((u32)((w) >> CONTEXT_GENERATION_SHIFT) & 0xff)
#define CONTEXT_PROGRAM(w) ((u32)((w) >> CONTEXT_PROGRAM_SHIFT))
#define CONTEXT_TGID(w) ((u32)(w) & 0x3fffff)
enum context_flag { CONTEXT_MOVED = 1 << 0 }; /* not in the cgroup that named its container */

#define AUX_KIND_SHIFT 58
#define AUX_KIND(w) ((u32)((w) >> AUX_KIND_SHIFT) & 15)
#define AUX_VALUE(w) ((w) & ((1ull << AUX_KIND_SHIFT) - 1))
enum aux_kind {
    AUX_STAMP,     /* ns of the call before it */
    AUX_LATENCY,   /* ns that the call before it took */
    AUX_GAP_FIRST, /* time of the first call lost; GAP_LAST and (GAP_CONTAINER, GAP_CALLS)... follow
                    */
    AUX_GAP_LAST,
    AUX_GAP_CONTAINER,
    AUX_GAP_CALLS,
};

/* Ring header. Everything but tail is written by the kernel programs only. */
#define RING_SLOTS 64
#define RING_DROPS 32
#define RING_HEADER_BYTES 8192
#define CONTAINER_UNKNOWN 0xffffffffu

struct ring_slot { /* a task's decision, kept while active_generation stands */
    u64 task, start, exec_id;
    u64 seen; /* calls counted since the slot was taken, of this container */
    u32 generation, container, program, tid, tgid;
    u8 thread_generation, flags, wanted, pad;
};

struct ring_drop {
    u64 calls;
    u32 container, used;
};

struct ring {
    u64 head; /* words written since the ring was made */
    u64 pad0[7];
    u64 tail; /* words that user space has done with */
    u64 pad1[7];
    /* The run's key: a new context is written when any of it differs. */
    u64 task, jiffy, migrations;
    u32 pid, generation, slot, wanted;
    u64 tail_seen;   /* the tail as last read: room is certain up to it */
    u64 begun, done; /* calls counted, calls finished: equal when the state is at rest */
    u64 gap_first;   /* time of the first call lost since the last gap record; 0 none */
    u64 dropped;     /* all calls lost for want of room */
    u64 woken;       /* tail at the last wake-up */
    u64 gap_last;    /* time of the last call lost since gap_first */
    struct ring_drop drops[RING_DROPS];
    struct ring_slot slots[RING_SLOTS];
};

/* Counts of seen calls whose slot was given up, by CPU and container. */
struct seen_key {
    u32 cpu, container;
};

/* Kernfs ids are unique within a hierarchy only: those of v1 carry this bit in the map of cgroups.
 */
#define CGROUP_V1 (1ull << 63)

/* What user space decided about a container, in a map of its own: beside what the programs count.
 */
enum container_decision {
    DECISION_PENDING, /* just seen: its calls are kept until user space says */
    DECISION_WANTED,
    DECISION_UNWANTED,
    DECISION_HOST, /* no container: host processes */
};
#define CONTAINER_PATH_BYTES 256
struct container_entry {
    u64 cgroup;
    u32 texts;       /* sent in this minute, for the cap */
    u32 populated;   /* a task was attached: cgroups made below are inside it */
    u32 hierarchies; /* bit 0 v2, bit 1 v1 */
    u32 joins;       /* processes that entered from outside: the first brings the container up */
    u32 minute, pad; /* of the texts */
    char path[CONTAINER_PATH_BYTES];
};

struct dictionary_key {
    u32 container, hash;
};
struct dictionary_entry {
    u32 epoch, pad; /* in which the text was sent */
    u64 text;       /* its id, set by user space for its successor; 0: not read yet */
};

/* Records of the text ring buffer. */
enum record_type {
    RECORD_WAKE,
    RECORD_TEXT,
    RECORD_PROGRAM, /* names an exec number; event: exec or found */
    RECORD_FORK,
    RECORD_EXIT,
    RECORD_CGROUP,
    RECORD_CGROUP_GONE,
};

#define ARGUMENT_CALLS 512
enum argument_form { /* where a call has the argument that is worth hashing */
                     ARGUMENT_NONE,
                     ARGUMENT_OPEN,
                     ARGUMENT_OPENAT,
                     ARGUMENT_OPENAT2,
                     ARGUMENT_PATH0, /* a path in the first argument, ... */
                     ARGUMENT_PATH1,
                     ARGUMENT_AT1, /* the same, with the directory's descriptor before it */
                     ARGUMENT_AT2,
                     ARGUMENT_AT3,
                     ARGUMENT_EXEC, /* path: first; exec_at: second; after a success as the exec
                                       said */
                     ARGUMENT_EXECAT,
                     ARGUMENT_CHMOD,
                     ARGUMENT_FCHMODAT,
                     ARGUMENT_FCHMOD,
                     ARGUMENT_ADDRESS, /* second and third */
                     ARGUMENT_SENDTO,
                     ARGUMENT_SENDMSG,
                     ARGUMENT_PROT, /* flags */
                     ARGUMENT_CLONE,
                     ARGUMENT_CLONE3,
                     ARGUMENT_SETNS,
                     ARGUMENT_PTRACE,
                     ARGUMENT_MOUNT,
                     ARGUMENT_SOCKET,
                     ARGUMENT_SOCKETCALL, /* 32-bit calls alone: arguments in memory */
                     ARGUMENT_MMAP_OLD,
                     ARGUMENT_COMPAT = 0x80, /* and one of the above */
};

enum text_form {              /* how the bytes of a text record are to be read */
                 FORM_PATH,   /* path as given; a relative one with its base */
                 FORM_UNIX,   /* socket path; first byte NUL: abstract */
                 FORM_INET,   /* value: class << 16 | port (0: high); of paths a hash of the base */
                 FORM_FAMILY, /* value: address family */
                 FORM_FLAG,   /* value: of the call `number` */
};

#define PATH_PARTS 24
#define PATH_BYTES 1024 /* the parts, leaf first, each ending in NUL */
#define TEXT_BYTES 256
struct record_text {
    u32 type, container, hash, value;
    u8 form, access, truncated, based; /* based: it is relative to the directory in base */
    u16 number, length;
    u32 base_length, pad;
    char bytes[TEXT_BYTES];
    char base[PATH_BYTES]; /* sent only with what is based */
};

#define ARGUMENT_BYTES 512
enum join {
    JOIN_NONE,
    JOIN_START,
    JOIN_SESSION
}; /* entered from outside: first of all, or later */
enum program_event { PROGRAM_EXEC, PROGRAM_FOUND };
struct record_process { /* program (with path and argv), fork, exit */
    u32 type, container;
    u64 time, start, parent_start;
    u32 tgid, tid, parent_tgid, program, parent_program;
    int exit_code;
    u8 event, deleted, upper, joined;  /* upper: of an overlay; joined: enum join */
    u16 path_length, arguments_length; /* in data, one after the other */
};
struct record_program {
    struct record_process process;
    char data[PATH_BYTES + ARGUMENT_BYTES];
};

struct record_cgroup {
    u32 type, container;
    u64 cgroup, time;
    char path[CONTAINER_PATH_BYTES];
};

/* Address classes of FORM_INET. */
enum address_class {
    ADDRESS_ANY,
    ADDRESS_LOOPBACK,
    ADDRESS_PRIVATE,
    ADDRESS_LINK_LOCAL,
    ADDRESS_METADATA,
    ADDRESS_MULTICAST,
    ADDRESS_PUBLIC,
};
#define PORT_EPHEMERAL 32768 /* ip_local_port_range begins here: such ports say nothing */

/* What user space sets while the programs run (the .bss, mapped). */
struct control {
    u64 generation; /* raised with every change below that cached decisions depend on */
    u32 epoch;      /* dictionary epoch: raised, all texts are sent again */
    u32 level;      /* enum capture_level */
    u32 arguments;  /* hash arguments */
    u32 stamp;      /* a time word after every call */
    u32 latency;    /* look for entry times at exits */
    u32 latency_epoch;
    u32 host; /* host processes are wanted, as container 0 */
    u32 self_tgid;
    u64 self_start;
    u64 self_nonce;     /* whoever calls getppid with it is the agent */
    u32 hierarchy_v1;   /* id of the v1 hierarchy that names containers; 0 none */
    u32 memory_v1;      /* that is memory's, not pids' */
    u64 next_container; /* counters of the kernel side */
    u64 next_program;
    u64 no_ring;      /* calls on a CPU without ring, less those that user space has told */
    u64 lost_records; /* records that did not fit into the text ring */
    u64 lost_seen;    /* seen counts that found no room */
    u64 refused_texts;
    u64 seed[2];
    u64 capture_id, ring_words;
    u32 bins_side;   /* 0, 1: where calls are counted now; the other one is at rest, and may be read
                      */
    u32 forgotten;   /* raised when user space forgot texts: what a CPU remembers is looked up again
                      */
    u64 misses_told; /* calls for which the program was not run, as the last block told (kept by
                        user space alone) */
    u64 joins_from;  /* ns, monotonic: all containers of before were known then; 0 not yet */
};

/* What the agent keeps for its successor (kept by user space alone). */
#define STATE_BYTES (2u << 20) /* half of it holds one copy */

struct entry_time {
    u64 ns;
    u32 tid, epoch;
};
#define ENTRIES 65536

struct bin_key {
    u32 container, program;
    u32 sysno, side; /* of control.bins_side when it was counted */
};
struct bin_value {
    u64 calls, errors;
};

#endif
