/* A hash index from 64-bit keys (already hashes, or mixed here) to 32-bit positions in an array of
 * the owner. Open addressing, deletion by shifting back: no tombstones. */
#pragma once

#include <stdint.h>

#define INDEX_NONE UINT32_MAX

struct index {
    uint64_t *keys;       /* [capacity] */
    uint32_t *values;     /* [capacity] INDEX_NONE: free slot */
    uint32_t capacity, n; /* capacity: 0 or a power of two */
};

void index_done(struct index *ix);
void index_clear(struct index *ix);
uint32_t index_get(const struct index *ix, uint64_t key);      /* INDEX_NONE if absent */
int index_put(struct index *ix, uint64_t key, uint32_t value); /* inserts or replaces; -ENOMEM */
void index_remove(struct index *ix, uint64_t key);
