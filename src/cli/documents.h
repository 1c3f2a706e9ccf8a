/* What one block and the engine's answer to it become in the store: documents and rows. */
#pragma once

#include "base/cleanup.h"
#include "cli/batch.h"
#include "event/block.h"
#include "soc/engine.h"

struct documents;

int documents_new(const struct engine *engine, struct store *store, struct documents **ret);
void documents_free(struct documents *d);
DEFINE_CLEANUP(documents_free, struct documents *)

/* Containers, processes, texts, blind intervals, bins and ledger counts of the block. What the call
 * before put into its batch has been committed, or nothing of it will be. */
void documents_block(struct documents *d, const struct block *b, struct batch *ret);
/* Alerts, scores, windows to keep and profiles. */
void documents_output(struct documents *d, const struct engine_output *o, double now,
                      struct batch *ret);
/* Rates and phases of the containers that were active since the last call. */
void documents_containers(struct documents *d, double now, struct batch *ret);

struct documents_totals {
    uint64_t refused_processes; /* life-cycle records past the cap of a block: not listed */
};
void documents_get_totals(const struct documents *d, struct documents_totals *ret);

/* Wall time (s) of a monotonic moment of the block's clock. */
static inline double block_wall_s(const struct block *b, uint64_t mono_ns)
{
    /* Wraps: before the boot the clock is below 0. */
    return (double)(int64_t)(b->wall_ns - b->mono_ns + mono_ns) / 1e9;
}
