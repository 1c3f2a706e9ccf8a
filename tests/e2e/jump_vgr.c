/* jump_vgr IN OUT: the recording IN as a machine would have made it whose wall clock jumps back and
 * forth by days (and once to 1970) between its blocks. */
#include <errno.h>

#include "base/clock.h"
#include "transport/recording.h"

#define DAY_NS (86400 * (int64_t)NS_PER_S)

int main(int argc, char **argv)
{
    static const int64_t days[] = {0, 3, -5, 1, -30, 400, 0};
    struct recording *in, *out;
    if (argc != 3 || recording_open(argv[1], &in) || recording_create(argv[2], &out))
        return 2;
    int e = 0;
    for (unsigned n = 0; e == 0; n++) {
        CLEANUP(block_freep) struct block *b = NULL;
        e = recording_next(in, &b);
        if (e < 0)
            break;
        b->wall_ns += (uint64_t)(days[n % ARRAY_SIZE(days)] * DAY_NS);
        if (n % 50 == 49)
            b->wall_ns = 0;
        e = recording_append(out, b);
    }
    recording_close(in);
    return recording_close(out) || e != -ENODATA ? 2 : 0;
}
