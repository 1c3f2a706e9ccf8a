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
    struct blind *blinds; /* [n_blinds] bytes that nothing can be told of */
    uint32_t n_blinds;
};

void loss_done(struct loss *l);
/* What the block delivered is lost for this reason. b as of codec_decode or, with what its header
 * says was seen, of codec_salvage. -ENOMEM. */
int loss_add(struct loss *l, const struct block *b, uint64_t seen, enum drop_reason reason);
/* Nobody knows how many calls are lost: a blind interval from since_ns (0: not known either) to the
 * block that carries it, with the place in words. -ENOMEM. */
int loss_add_unknown(struct loss *l, uint64_t since_ns, const char *place);
/* A copy of b's gaps, blind intervals and ledger with the lost ones behind them: in *ret, whose
 * other fields are b's. The caller frees these three arrays, nothing else: what they point to is
 * l's and b's. -ENOMEM. */
int loss_join(const struct loss *l, const struct block *b, struct block *ret);
