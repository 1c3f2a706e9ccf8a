/* Blocks that the spool lost, on their way downstream: the next block carries their ledger and a
 * gap for each container, so that seen = stored + dropped still holds there. */
#pragma once

#include "event/block.h"
#include "transport/codec.h"

struct loss_row {
    uint64_t capture;
    struct ledger_count count;
    struct gap gap;
};

struct loss {
    struct loss_row *rows; /* [n] by (capture, container) */
    uint32_t n;
    uint64_t blocks, calls;
};

void loss_done(struct loss *l);
/* What the block delivered is lost for this reason. b as of codec_decode or, with the calls of its
 * header, of codec_salvage. -ENOMEM. */
int loss_add(struct loss *l, const struct block *b, uint64_t calls, enum drop_reason reason);
/* A copy of b's gaps and ledger with the lost ones behind them: in *ret, whose other fields are
 * b's. The caller frees ret->gaps and ret->ledger, nothing else. -ENOMEM. */
int loss_join(const struct loss *l, const struct block *b, struct block *ret);
