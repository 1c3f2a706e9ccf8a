/* Plays a recording into the spool at its own speed, as if it were captured now: what is shown
 * where eBPF cannot be loaded. */
#pragma once

#include "transport/spool.h"

struct feed;

int feed_start(const char *path, struct spool *spool, struct feed **ret);
void feed_stop(struct feed *f);
