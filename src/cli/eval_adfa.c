/* vigia eval adfa-ld DIR */
#include <stdio.h>

#include "cli/command.h"
#include "cli/eval.h"

static int run(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "%s: not measured yet\n", argv[0]);
    return EXIT_FAILED;
}

extern const struct eval_dataset eval_adfa;
const struct eval_dataset eval_adfa = {
    .name = "adfa-ld",
    .summary = "Linux system call traces of 2013, six classes of attacks",
    .run = run,
};
