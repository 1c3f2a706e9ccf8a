/* vigia eval DATASET DIR: how well the detectors do on data with known attacks. */
#include "cli/eval.h"

#include <stdio.h>
#include <string.h>

#include "cli/command.h"

extern const struct eval_dataset eval_adfa, eval_servers;

const struct eval_dataset *const eval_table[] = {
    &eval_adfa,
    &eval_servers,
    NULL,
};

static void usage(FILE *out)
{
    fprintf(out, "Usage: vigia eval DATASET DIR [OPTION...]\n"
                 "Measure the detectors on recordings with known attacks.\n\n");
    for (const struct eval_dataset *const *d = eval_table; *d; d++)
        fprintf(out, "  %-12s %s\n", (*d)->name, (*d)->summary);
    fprintf(out, "\n`vigia eval DATASET --help` teaches each of them.\n");
}

static int run(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        usage(stdout);
        return EXIT_OK;
    }
    for (const struct eval_dataset *const *d = eval_table; argc > 1 && *d; d++) {
        if (strcmp((*d)->name, argv[1]) != 0)
            continue;
        char name[64];
        snprintf(name, sizeof(name), "vigia eval %s", (*d)->name);
        argv[1] = name;
        return (*d)->run(argc - 1, argv + 1);
    }
    if (argc > 1)
        fprintf(stderr, "vigia eval: there is no data set '%s'\n", argv[1]);
    usage(stderr);
    return EXIT_FAILED;
}

const struct command command_eval = {
    .name = "eval",
    .group = "research",
    .summary = "Measure the detectors on recordings with known attacks",
    .run = run,
};
