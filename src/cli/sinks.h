/* Sinks as the configuration has them, for soc/sink.h. */
#pragma once

#include "cli/command.h"
#include "cli/config.h"
#include "soc/sink.h"

/* Fills at most SINKS_MAX; strings stay the configuration's. Returns how many. */
uint32_t sinks_of_config(const struct config *c, struct sink_options ret[static SINKS_MAX]);

/* `vigia alerts --test-sinks`: the exit status. */
int sinks_test_command(const struct command_common *common);
