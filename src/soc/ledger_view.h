/* What became of every system call: seen = stored + in flight + dropped (by reason), for each
 * container and in sum. Nothing is derived from the other figures, so that "balanced" can be false:
 * it is true when the equation holds for every container; one may not make up for another. */
#pragma once

#include <jansson.h>

#include "soc/flight.h"
#include "store/store.h"

/* {table: n}: what full tables refused, of capture and detection together, as STATE "live" says. */
json_t *refused_tables(const json_t *live);

/* {"seen", "stored", "in_flight", "dropped": {reason: calls}, "degraded", "balanced"} */
int ledger_sums(struct store *s, struct flight *f, json_t **ret);
/* The same of one container; -ENOENT. */
int ledger_container(struct store *s, struct flight *f, const char *key, json_t **ret);
/* With "containers" (each so, with its key, name and workload), "blind" and "refused". The number
 * of blocks in flight: ret_blocks, may be NULL. */
int ledger_view(struct store *s, struct flight *f, json_t **ret, uint64_t *ret_blocks);
