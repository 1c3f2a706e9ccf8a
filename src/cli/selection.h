/* The containers that the configuration asks for, as capture/containers.h wants it. */
#pragma once

#include "capture/containers.h"
#include "cli/config.h"

/* NULL-ended lists; the strings stay the configuration's. -ENOMEM: selection_done() all the same.
 */
int selection_init(const struct config *config, struct container_selector *ret);
void selection_done(struct container_selector *s);
