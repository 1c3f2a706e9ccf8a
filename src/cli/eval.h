/* A data set of `vigia eval`: one file, one line in the table of eval.c. */
#pragma once

struct eval_dataset {
    const char *name;
    const char *summary;               /* one line */
    int (*run)(int argc, char **argv); /* argv[0] is "vigia eval NAME"; an exit status */
};

extern const struct eval_dataset *const eval_table[]; /* NULL-terminated */
