/* Maps and globals. */
#pragma once

#define RB_NO_WAKEUP BPF_RB_NO_WAKEUP
#define barrier_value(v) asm volatile("" : "+r"(v))

/* Set before loading: words of a ring, a power of two. */
const volatile u64 ring_words = 1 << 18;
#define RING_WORDS_MAX (1 << 18)

struct control control;

struct ring_map {
    struct ring header;
    u8 pad[RING_HEADER_BYTES - sizeof(struct ring)];
    u64 words[RING_WORDS_MAX];
};

/* The real inner map is made by user space, of the size that ring_words says. */
struct ring_inner {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, u32);
    __type(value, struct ring_map);
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1); /* possible CPUs, set before loading */
    __type(key, u32);
    __array(values, struct ring_inner);
} rings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 << 20);
} records SEC(".maps");

struct task_state {
    u32 container; /* the first it was in; CONTAINER_UNKNOWN: none */
    u32 program, parent_program;
    u32 sent_epoch;          /* epoch in which the program's record was sent */
    u32 joined, joined_file; /* enum join, until its first exec inside; inode it ran then */
    u64 exec; /* argument of the exec that is about to exit, as argument_word(); 0 none */
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct task_state);
} tasks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, u64);
    __type(value, u32);
} cgroups SEC(".maps"); /* cgroup id, CGROUP_V1 -> container number */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, u64);
    __type(value, u32);
} paths SEC(".maps"); /* hash of a cgroup's path -> number, so that all hierarchies share it */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, u32);
    __type(value, struct container_entry);
} containers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, u32);
    __type(value, u32);
} decisions SEC(".maps"); /* container number -> enum container_decision; none: pending */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct seen_key);
    __type(value, u64);
} seen SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 131072);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct dictionary_key);
    __type(value, struct dictionary_entry);
} dictionary SEC(".maps");

/* The texts last seen on each CPU: most paths are opened again soon, and a look here costs a tenth.
 */
#define RECENT 256
struct recent {
    u64 key[RECENT]; /* container << 32 | hash */
    u32 epoch[RECENT];
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct recent);
} recents SEC(".maps");

/* Hashes of the paths of directories that relative paths began in, on each CPU. */
#define BASES 64
struct base_seen {
    u64 mount, entry, root, age;
    u32 name; /* the kernel's hash of its name and parent: another after a rename */
    u32 hash; /* 0: too deep */
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, BASES);
    __type(key, u32);
    __type(value, struct base_seen);
} bases SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, u32);
    __type(value, u64);
} programs
    SEC(".maps"); /* exec number -> text id of its key: user space's notes for its successor */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, ENTRIES);
    __type(key, u32);
    __type(value, struct entry_time);
} entries SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 65536);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct bin_key);
    __type(value, struct bin_value);
} bins SEC(".maps");

struct agent_state {
    u8 bytes[STATE_BYTES];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, u32);
    __type(value, struct agent_state);
} state SEC(".maps");

struct scratch {
    union {
        struct record_program program;
        struct {
            struct record_text text;
            u64 base_mount, base_entry; /* what a path that is not absolute is relative to */
            int directory;              /* the descriptor of that, or AT_CWD */
        };
        struct record_cgroup cgroup;
        struct container_entry entry;
        u64 words[200];
    };
    u32 registers[6]; /* arguments of a 32-bit call */
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, u32);
    __type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_get(u32 i)
{
    return bpf_map_lookup_elem(&scratches, &i);
}

static __always_inline int record_send(void *data, u64 size)
{
    int error = bpf_ringbuf_output(&records, data, size, RB_NO_WAKEUP);
    if (error)
        __sync_fetch_and_add(&control.lost_records, 1);
    return error;
}
