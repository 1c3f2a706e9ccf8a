/* The agent's thread: kernel rings -> blocks -> spool (docs/ARCHITECTURE.md, "The path of a call").
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "capture/containers.h"
#include "cli/config.h"
#include "transport/spool.h"

struct agent;

struct agent_stats {
    struct capture_stats capture;
    uint8_t level;    /* enum capture_level */
    uint64_t retries; /* appends that failed and will be made again */
    int error;        /* -errno of the last append, 0 when it worked */
};

/* Opens containers and capture (logs what is missing) and starts the thread. The spool stays the
 * caller's. */
int agent_start(const struct config *config, struct spool *spool, struct agent **ret);
/* A new selection of containers, at once. */
int agent_select(struct agent *a, const struct config *config);
void agent_get_stats(struct agent *a, struct agent_stats *ret);
/* Spools what the rings hold and ends the thread. keep_pins: the kernel goes on collecting for the
 * next one. */
void agent_stop(struct agent *a, bool keep_pins);
/* After agent_stop, and when nobody asks for its stats any more. */
void agent_free(struct agent *a);
