/* A tally: an open-addressing table from 64-bit keys to counts, shared by the detectors: linear
 * probing, at most half full, with a cap on keys. Keys are hashes already; key 0 is kept apart as
 * key 1. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct tally {
    uint64_t *keys;   /* [slots]; 0 marks a free slot */
    uint32_t *counts; /* [slots] saturating; never 0 for a key that is there */
    size_t n, n_max;
    unsigned shift; /* 64 - log2(slots) */
};

/* -ENOMEM. n_max is at most 2^30. */
int tally_init(struct tally *t, size_t n_max);
void tally_done(struct tally *t);

/* Adds weight to the key's count (saturating). -ENOSPC: n_max keys are there and this is not one.
 */
int tally_add(struct tally *t, uint64_t key, uint32_t weight);

/* Adds all of other. The first error, but goes on: known keys are counted in any case. */
int tally_merge(struct tally *t, const struct tally *other);

/* Keys ascending, as differences: the same contents give the same bytes. */
void tally_save(const struct tally *t, struct buf *ret);
/* Reads what tally_save wrote into an empty table. -EBADMSG, -ENOMEM. */
int tally_load(struct tally *t, struct reader *r);

static inline size_t tally_slot(const struct tally *t, uint64_t key)
{
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> t->shift);
}

/* 0 for a key that is not there. */
static inline uint32_t tally_get(const struct tally *t, uint64_t key)
{
    size_t mask = ((size_t)1 << (64 - t->shift)) - 1;
    key = key ? key : 1;
    for (size_t i = tally_slot(t, key);; i = (i + 1) & mask) {
        if (t->keys[i] == key)
            return t->counts[i];
        if (t->keys[i] == 0)
            return 0;
    }
}
