/* The kernel programs as loaded, or taken up from their pins: maps, links, mapped rings. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"
#include "capture/capture.h"

#define CPUS_MAX 1024

enum kernel_map {
    MAP_CONTROL,
    MAP_RINGS,
    MAP_RECORDS,
    MAP_CGROUPS,
    MAP_CONTAINERS,
    MAP_DECISIONS,
    MAP_SEEN,
    MAP_DICTIONARY,
    MAP_BINS,
    MAP_STATE,
    MAP_PROGRAMS,
    KERNEL_MAPS
};

/* A ring as mapped here; NULL header: the CPU has none. */
struct kernel_ring {
    struct ring *header;
    uint64_t *words;
    int fd;
};

struct kernel {
    struct vigia_bpf *skeleton; /* NULL when taken up */
    int maps[KERNEL_MAPS];
    int exit_program, enter_program; /* for counting misses; for attaching now and then */
    int enter_link;                  /* -1: not attached */
    int links[16];
    uint32_t n_links;
    struct control *control;
    struct kernel_ring *rings; /* [cpus] */
    uint32_t cpus;             /* possible ones */
    uint64_t ring_words, capture_id;
    bool taken_up, upgraded; /* upgraded: pins of another version were there */
    char pin[256];           /* directory of the pins; "" for none */

    uint8_t *state; /* mapped: STATE_BYTES */
    int lock;       /* the pins' directory, locked while we use them; -1 */

    uint8_t *record_consumer; /* mapped: position page of the records' buffer */
    uint8_t *record_producer; /* mapped: position page, then the data twice */
    uint64_t record_bytes;
};

/* Loads, or takes up what is pinned (the capture of this number before others), and maps; attaches
 * nothing yet. */
int kernel_open(const struct capture_options *options, uint64_t resume, struct kernel **ret);
/* The programs that number cgroups, then those that see processes and calls. */
int kernel_attach_cgroups(struct kernel *k);
int kernel_attach_calls(struct kernel *k);

/* Makes the rings of CPUs that are there and have none; of those offline too, since they may come
 * online at any moment. Returns how many. */
int kernel_add_cpus(struct kernel *k);
/* Attaches or detaches the entry program. */
int kernel_time_entries(struct kernel *k, bool on);
/* Calls that the exit program missed because it was already running. */
uint64_t kernel_misses(const struct kernel *k);
void kernel_abandon(struct kernel *k); /* as kernel_close, pins kept */
void kernel_close(struct kernel *k, bool keep_pins);
