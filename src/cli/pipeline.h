/* The pipeline's thread: broker -> engine -> store, one commit a block that also acknowledges it.
 *
 * Its state outlives kill -9: the engine's bytes are put in the store every minute together with
 * the acknowledgement; a new pipeline loads them and gives the engine the blocks between them and
 * the acknowledgement again, which the spool still has, without writing anything twice. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/agent.h"
#include "cli/config.h"
#include "store/store.h"
#include "transport/spool.h"

struct pipeline;

struct pipeline_options {
    const struct config *config;
    struct spool *spool;
};

/* Opens the store and takes up its state. Logs and returns -errno. */
int pipeline_open(const struct pipeline_options *options, struct pipeline **ret);
int pipeline_start(struct pipeline *p); /* its thread */
/* 0, or what ended its thread: blocks wait in the spool for the next start. */
int pipeline_error(struct pipeline *p);
/* Before pipeline_start: the agent for what is shown live (without one: replay), which lives until
 * pipeline_stop has returned. It starts after the pipeline's state is known to be good. */
void pipeline_set_agent(struct pipeline *p, struct agent *agent);
/* Works off what is in the spool, saves its state and ends. Logs and returns -errno. */
int pipeline_stop(struct pipeline *p);
void pipeline_close(struct pipeline *p);
DEFINE_CLEANUP(pipeline_close, struct pipeline *)

/* Without the thread, for replay: works off the spool as it stands. */
int pipeline_drain(struct pipeline *p);
