/* The local broker: the spool, read in the same process. The store's acknowledgement is where it
 * begins after a restart, so a block comes again until it is in the store. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "transport/broker.h"
#include "transport/spool.h"

struct broker {
    struct spool *spool;
    uint64_t next;
};

static int broker_open(const struct broker_options *options, struct broker **ret)
{
    struct broker *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->spool = options->spool;
    b->next = options->after_sequence + 1;
    spool_acknowledge(b->spool, options->after_sequence);
    *ret = b;
    return 0;
}

static void broker_close(struct broker *b)
{
    free(b);
}

static int broker_next(struct broker *b, int timeout_ms, struct block **ret)
{
    CLEANUP(block_freep) struct block *block = NULL;
    int r = spool_read(b->spool, b->next, timeout_ms, &block);
    if (r < 0)
        return r;
    b->next = block->sequence + 1;
    *ret = TAKE(block);
    return 0;
}

static int broker_acknowledge(struct broker *b, const struct block *block)
{
    spool_acknowledge(b->spool, block->sequence);
    return 0;
}

const struct broker_ops broker_local = {
    .name = "local",
    .open = broker_open,
    .close = broker_close,
    .next = broker_next,
    .acknowledge = broker_acknowledge,
};
