/* Restart: what an agent leaves to its successor, and how that one goes on. */
#pragma once

#include "capture/live.h"

/* After each commit: ring positions and threads' memories, in one half of the state map by turns,
 * so that a kill at any time leaves one of them whole. */
void state_save(struct capture *c);

/* Goes on where the last block ended (or later, where the rings' tails are); last may be NULL. */
int resume(struct capture *c, const struct block *last);

/* A blind interval, told in the next block. */
int blind_add(struct capture *c, uint64_t first_ns, uint64_t last_ns, const char *reason);
int blinds_tell(const struct capture *c, struct block *b);
void blinds_clear(struct capture *c);
