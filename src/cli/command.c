#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

extern const struct command command_alerts;
extern const struct command command_config;
extern const struct command command_containers;
extern const struct command command_demo;
extern const struct command command_doctor;
extern const struct command command_eval;
extern const struct command command_ledger;
extern const struct command command_profiles;
extern const struct command command_record;
extern const struct command command_replay;
extern const struct command command_up;
extern const struct command command_user;

const struct command *const command_table[] = {
    &command_config,
    &command_demo,
    &command_doctor,
    &command_eval,
    &command_up,
    &command_user,
    &command_alerts,
    &command_containers,
    &command_ledger,
    &command_profiles,
    &command_record,
    &command_replay,
    NULL,
};

static const char *const groups[] = {"running", "looking", "data", "research", "care"};

static void usage(FILE *out)
{
    fprintf(out,
            "Usage: vigia COMMAND [OPTION...]\n"
            "Host intrusion detection for containers: learns what is normal from system calls.\n");
    for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
        bool titled = false;
        for (const struct command *const *c = command_table; *c; c++) {
            if (strcmp((*c)->group, groups[g]) != 0)
                continue;
            if (!titled)
                fprintf(out, "\n%c%s:\n", groups[g][0] - 32, groups[g] + 1);
            titled = true;
            fprintf(out, "  %-12s %s\n", (*c)->name, (*c)->summary);
        }
    }
    fprintf(
        out,
        "\n`vigia COMMAND --help` teaches each of them. Exit status: 0; 1 it ran and found what\n"
        "it looks for wrong; 2 it could not run. Manual: man vigia.\n");
}

int command_main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_FAILED;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("vigia " VIGIA_VERSION);
        return EXIT_OK;
    }
    for (const struct command *const *c = command_table; *c; c++) {
        if (strcmp((*c)->name, argv[1]) != 0)
            continue;
        char name[64];
        snprintf(name, sizeof(name), "vigia %s", argv[1]);
        argv[1] = name;
        argp_err_exit_status = EXIT_FAILED;
        int status = (*c)->run(argc - 1, argv + 1);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            log_error("cannot write to standard output");
            return EXIT_FAILED;
        }
        return status;
    }
    fprintf(stderr, "vigia: there is no command '%s'; `vigia --help` lists them\n", argv[1]);
    return EXIT_FAILED;
}

static const struct argp_option common_options[] = {
    {"config", 'c', "FILE", 0, "Configuration file (default: /etc/vigia/vigia.yaml, if there)", 0},
    {"data", 'd', "DIR", 0, "Data directory (default: data: of the configuration, /var/lib/vigia)",
     0},
    {"json", 'j', NULL, 0, "Print JSON instead of a table", 0},
    {"verbose", 'v', NULL, 0, "Say more on standard error", 0},
    {0},
};

static error_t common_parse(int key, char *arg, struct argp_state *state)
{
    struct command_common *c = state->input;
    switch (key) {
    case 'c':
        c->config = arg;
        return 0;
    case 'd':
        c->data = arg;
        return 0;
    case 'j':
        c->json = true;
        return 0;
    case 'v':
        c->verbose = true;
        log_set_level(LOG_LEVEL_DEBUG);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp common_argp = {common_options, common_parse, NULL, NULL, NULL, NULL, NULL};

const struct argp_child command_common_child[] = {{&common_argp, 0, "Common options:", -1}, {0}};
