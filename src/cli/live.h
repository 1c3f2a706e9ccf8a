/* The document "live" (STORE_STATE): how capture and detection do right now, written each second
 * for the page, /metrics and the commands. */
#pragma once

#include "cli/agent.h"
#include "cli/batch.h"
#include "cli/documents.h"
#include "soc/engine.h"
#include "transport/spool.h"

struct live;

int live_new(struct live **ret);
void live_free(struct live *l);
/* Whose state is shown; without one it is a replay. */
void live_set_agent(struct live *l, struct agent *agent);

/* Takes the rates and the delay of one block. now: wall s. */
void live_block(struct live *l, const struct block *b, const struct engine_output *o, double now);
void live_document(struct live *l, const struct engine *engine, const struct documents *documents,
                   struct spool *spool, double now, struct batch *ret);
