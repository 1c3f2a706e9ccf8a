/* The calls in flight: the counts of the blocks that are in the spool and not yet in the store. The
 * blocks are read as they come, each once, by a reader of its own that changes nothing. Any thread
 * may call. */
#pragma once

#include "base/cleanup.h"
#include "store/store.h"
#include "transport/ledger.h"

struct flight;

/* Directory of the spool; it need not be there yet. NULL: there is none. */
int flight_new(const char *directory, struct flight **ret);
void flight_free(struct flight *f);
DEFINE_CLEANUP(flight_free, struct flight *)

/* The store's counts (of the container KEY; NULL: of all) and, in ret_flight (from ledger_init()),
 * those of the blocks behind the acknowledgement that came with them: no call is in both. */
int flight_read(struct flight *f, struct store *s, const char *key, struct store_rows *ret_stored,
                struct ledger *ret_flight);
