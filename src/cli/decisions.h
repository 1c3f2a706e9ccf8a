/* What people decide in the store (soc/decision.h) and the engine has to
 * know: verdicts and retirements, once each, and suppressions, always all of them. */
#pragma once

#include "cli/batch.h"
#include "soc/engine.h"

struct decisions;

int decisions_new(struct store *store, struct engine *engine, struct decisions **ret);
void decisions_free(struct decisions *d);

/* Looks for new ones. Verdicts and retirements that were applied are removed with the next commit;
 * returns how many there were. What cannot be read now is read at the next call. */
uint32_t decisions_apply(struct decisions *d, struct batch *ret);
