/* What people decide in the store (soc/decision.h) and the engine has to know: verdicts and
 * retirements, once each, and suppressions, always all of them. None of it is in the blocks: what
 * the engine was told belongs to its snapshot. */
#pragma once

#include "cli/batch.h"
#include "soc/engine.h"

struct decisions;

/* The engine begins with these suppressions, those of its snapshot; NULL: as the store has them. */
int decisions_new(struct store *store, struct engine *engine, const json_t *suppressions,
                  struct decisions **ret);
void decisions_free(struct decisions *d);

/* Looks for new ones. Verdicts and retirements that were applied are removed with the next commit.
 * Returns how many there were, with the suppressions that came, changed or went: the state of the
 * engine is to be saved in that commit. What cannot be read now is read at the next call. */
uint32_t decisions_apply(struct decisions *d, struct batch *ret);
uint32_t decisions_suppress(struct decisions *d); /* the suppressions alone */

/* Those that the engine has, {id: document}; borrowed. */
json_t *decisions_suppressions(const struct decisions *d);
