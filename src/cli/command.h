/* A command: one file, one line in the table of command.c.
 *
 * Exit status: 0, 1 (it ran and found what it looks for wrong), 2 (it could not run). */
#pragma once

#include <argp.h>
#include <stdbool.h>

enum { EXIT_OK, EXIT_FOUND, EXIT_FAILED };

struct command {
    const char *name;
    const char *group;                 /* running, looking, data, research, care */
    const char *summary;               /* one line */
    int (*run)(int argc, char **argv); /* argv[0] is "vigia NAME" */
};

extern const struct command *const command_table[]; /* NULL-terminated */

int command_main(int argc, char **argv);

/* Flags that every command has: --config FILE, --data DIR, --json, --verbose: the
 * children of the command's argp. Their input is a struct command_common, which the command's
 * parser passes on at ARGP_KEY_INIT. */
struct command_common {
    const char *config; /* default /etc/vigia/vigia.yaml, none is fine when it is the default */
    const char *data;   /* overrides data: of the configuration */
    bool json, verbose;
};
extern const struct argp_child command_common_child[]; /* ends with {0} */
