/* What of the captured blocks may go into a recording: the chosen containers, and nothing of any
 * other. A container is captured until its metadata is known, since it may be a chosen one; so
 * blocks are held back until that is settled for every container in them, 11 s at most. */
#pragma once

#include "base/dict.h"
#include "event/block.h"

struct chosen {
    struct dict numbers;     /* of the containers that were told */
    struct chosen_row *rows; /* [numbers.n] */
    struct block **held;     /* [n_held], oldest first */
    uint32_t n_held;
    uint64_t now_ns; /* of the newest block */
    bool all;        /* no selection: nothing is held, nothing left out */
};

void chosen_done(struct chosen *c);
/* Takes the block over. -ENOMEM. */
int chosen_put(struct chosen *c, struct block *b);
/* The oldest block if it is settled, without what was not chosen; else NULL. end: with whatever is
 * known; what is not settled is left out. */
struct block *chosen_next(struct chosen *c, bool end);
/* Containers that were left out because nobody could tell in time what they were. */
uint32_t chosen_unknown(const struct chosen *c);
