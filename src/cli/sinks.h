/* `vigia alerts --test-sinks`: a test alert through each sink of the configuration. */
#pragma once

#include "cli/command.h"

/* The exit status. */
int sinks_test_command(const struct command_common *common);
