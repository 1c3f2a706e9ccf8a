/* make_box DIRECTORY NAME [-p PROGRAM]... COMMAND [ARGUMENT]...
 * Makes a runc bundle of this machine's programs and prints its root directory: for the shell
 * tests. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/box.h"

int main(int argc, char **argv)
{
    struct box *b;
    int first = 3;
    while (first + 1 < argc && strcmp(argv[first], "-p") == 0)
        first += 2;
    if (first >= argc || box_new(argv[1], argv[2], (const char *const *)argv + first, &b))
        return 2;
    for (int i = 3; i < first; i += 2)
        if (box_add_program(b, argv[i + 1]))
            return 2;
    puts(box_root(b));
    fflush(stdout);
    _exit(0); /* not box_free(): the bundle stays */
}
