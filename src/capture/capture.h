/* The agent's side of the kernel programs: loads and pins them, reads the rings, and cuts one block
 * a tick (docs/CAPTURE.md). One thread calls all of this. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/block.h"

struct capture;
struct containers; /* capture/containers.h */

enum capture_timing { TIMING_COARSE, TIMING_STAMP, TIMING_LATENCY, TIMING_SAMPLED };
enum capture_arguments { ARGUMENTS_NONE, ARGUMENTS_HASH };

struct capture_options {
    enum capture_timing timing;       /* default sampled */
    enum capture_arguments arguments; /* default hash */
    bool host;                        /* host processes too, as container 0 */
    uint64_t ring_bytes;              /* per CPU; 0: 2 MiB */
    const char *pin_directory;        /* default /sys/fs/bpf/vigia; "" for no pins (tests) */
    const char *node;                 /* node name; NULL: host name */
};

/* Loads and attaches the programs, or takes up the pinned ones. last is the spool's last block (its
 * checkpoint and snapshot state; NULL if there is none), kept by the caller. Logs what is missing
 * and what to do (-EPERM, -ENOSYS, ...). */
int capture_open(const struct capture_options *options, struct containers *containers,
                 const struct block *last, struct capture **ret);

/* Reads up to the cut at now_ns - 1 ms and makes the block. 0 with *ret NULL when there was no
 * call: then only every second a block is made, for its checkpoint. */
int capture_tick(struct capture *c, uint64_t now_ns, struct block **ret);

/* The block is safe (spooled): move the rings' tails. Without it the next tick reads the same again
 * into the next block. */
void capture_commit(struct capture *c, const struct block *b);

/* The block was refused as too large: the next is made without a snapshot, or of fewer windows. */
void capture_lighten(struct capture *c, const struct block *b);

/* Is something left that the last block had no room for? */
bool capture_more(const struct capture *c);

/* Sleeps until the next tick is due (250 ms, or earlier when a ring is half full). */
void capture_wait(struct capture *c);

/* Step of declared degradation: set by the agent under pressure (spool behind, memory). */
void capture_set_level(struct capture *c, enum capture_level level);

/* A segment of the spool is lost, and with it texts that are sent only once: they are sent again.
 */
void capture_resend_texts(struct capture *c);

struct capture_stats {
    uint64_t capture_id;
    uint32_t cpus;
    uint64_t ring_bytes;
    uint64_t containers, threads, processes, texts; /* in tables now */
    uint64_t containers_max, threads_max, processes_max, texts_max;
    uint64_t refused_containers, refused_threads, refused_processes, refused_texts, refused_bins;
    double ring_fill_max;        /* 0..1 at the last tick */
    uint64_t audits, unbalanced; /* comparisons with the kernel's own count, and how many failed */
    uint64_t lost_records;       /* records of processes and texts for which there was no room */
    uint64_t unknown_programs;   /* programs whose record was lost: looked up in /proc */
};
void capture_get_stats(const struct capture *c, struct capture_stats *ret);

/* Detaches; the pins stay when keep_pins, so that the kernel goes on collecting. */
void capture_close(struct capture *c, bool keep_pins);

/* Can eBPF capture work here? 0, or -errno and in why (size bytes) what is missing and the remedy.
 */
int capture_probe(char *why, unsigned size);
