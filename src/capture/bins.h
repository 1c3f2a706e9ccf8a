/* Sparse counts of one tick: (container, second, program, syscall). */
#pragma once

#include <stdint.h>

#include "event/block.h"

struct bin_entry {
    uint64_t second;
    uint32_t container;
    uint8_t level, used;
    struct bin_count count;
};

struct bins {
    struct bin_entry *entries; /* [capacity], open addressing */
    uint32_t n, capacity;
    uint64_t refused;
};

void bins_done(struct bins *b);
/* The count to add to; NULL when the cap refused it or memory is out. Valid until the next call. */
struct bin_count *bins_at(struct bins *b, uint32_t container, uint64_t second, uint64_t program,
                          uint16_t sysno, uint8_t level);
/* Moves all counts into the block, sorted; leaves b empty. */
int bins_flush(struct bins *b, struct block *block);
