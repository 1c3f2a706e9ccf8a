#include "cli/command.h"

#include <stdio.h>
#include <string.h>

const struct command *const command_table[] = {
    NULL,
};

int command_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    return EXIT_FAILED;
}
