/* The broker hands blocks to workers, at least once: a block comes again until it is acknowledged.
 * local reads the spool in the same process; redis and kafka are to come. */
#pragma once

#include <stdint.h>

#include "event/block.h"

struct spool;
struct broker;

struct broker_options {
    struct spool *spool;     /* local */
    uint64_t after_sequence; /* local: begin behind this block (the store's acknowledgement) */
};

struct broker_ops {
    const char *name;
    int (*open)(const struct broker_options *options, struct broker **ret);
    void (*close)(struct broker *b);
    /* Waits up to timeout_ms: -ETIMEDOUT. The block is the caller's. */
    int (*next)(struct broker *b, int timeout_ms, struct block **ret);
    int (*acknowledge)(struct broker *b, const struct block *block);
};

extern const struct broker_ops *const broker_table[];   /* NULL-terminated */
const struct broker_ops *broker_find(const char *name); /* NULL if there is none */
