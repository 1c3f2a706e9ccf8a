/* The janitor's thread: applies retention to the store every few minutes, with a handle of its own.
 */
#pragma once

#include "cli/config.h"

struct janitor;

int janitor_start(const struct config *config, const char *database, struct janitor **ret);
void janitor_stop(struct janitor *j);
