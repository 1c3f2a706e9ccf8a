/* Does the ledger balance with what the kernel counted on its own? And calls that were only
 * counted. */
#pragma once

#include "capture/live.h"

/* The kernel's count of calls of each CPU that is at rest, against what was read of its ring, what
 * still lies in it and what was dropped. A difference goes into the ledger as seen by nobody: it
 * does not balance then, and that shows. */
int audit(struct capture *c, struct block *b);

/* At LEVEL_BINS_ONLY: takes the kernel's counts into bins and ledger. */
int degraded_tell(struct capture *c, uint64_t now_ns, struct block *b);
void degraded_clear(struct capture *c);
