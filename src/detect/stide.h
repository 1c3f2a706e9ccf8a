/* Sequence time-delay embedding: the set of n-grams seen in normal time (Forrest et al., "A Sense
 * of Self for Unix Processes", 1996). An n-gram that is not in it is a miss. */
#pragma once

#include "detect/symbols.h"
#include "detect/tally.h"

#define STIDE_N 6 /* of the detector "stide" */
#define STIDE_N_MAX 10
#define STIDE_KEYS_MAX (1u << 20) /* 24 MiB */

struct stide {
    unsigned n;
    struct tally ngrams; /* key of (program, n symbols) -> times seen */
};

int stide_init(struct stide *m, unsigned n, size_t keys_max);
void stide_done(struct stide *m);

/* Adds weight to the n-grams that end in [first, n); -ENOSPC when some were refused by the cap. */
int stide_learn(struct stide *m, const struct symbols *s, uint32_t weight);

/* Number of misses among them; those before the n-1st symbol cannot miss. Their places and keys go
 * to ret_at and ret_key [s->n - s->first], which may be NULL. */
size_t stide_misses(const struct stide *m, const struct symbols *s, uint32_t *ret_at,
                    uint64_t *ret_key);
