/* Which containers a block tells: those that changed, and with a snapshot all of them; no more at a
 * time than a block has room for, whatever labels they have. */
#pragma once

#include "capture/live.h"

#define CONTAINERS_BYTES_MAX (2u << 20)
#define ALL_TOLD UINT32_MAX /* of tell_from */

/* What does not fit goes into the blocks that follow. all: begins to tell all of them again. */
int containers_tell(struct capture *c, uint64_t now_ns, bool all, struct block *b);
/* The block is kept. */
void containers_told(struct capture *c);
