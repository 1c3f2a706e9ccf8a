#include "cli/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/cleanup.h"

#define STATE_MAX (UINT64_C(1) << 30)
#define ZSTD_LEVEL 1 /* higher ones take longer and save nothing here */

int snapshot_pack(const struct engine *e, struct buf *ret)
{
    CLEANUP(buf_done) struct buf state;
    buf_init(&state, STATE_MAX);
    engine_save(e, &state);
    if (state.error)
        return state.error;
    size_t bound = ZSTD_compressBound(state.size);
    buf_init(ret, bound);
    if (buf_reserve(ret, bound) < 0)
        return -ENOMEM;
    size_t n = ZSTD_compress(ret->data, bound, state.data, state.size, ZSTD_LEVEL);
    if (ZSTD_isError(n))
        return -ENOMEM;
    ret->size = n;
    return 0;
}

int snapshot_unpack(const void *data, size_t size, const struct engine_options *options,
                    struct engine **ret)
{
    unsigned long long n = ZSTD_getFrameContentSize(data, size);
    if (n == ZSTD_CONTENTSIZE_UNKNOWN || n == ZSTD_CONTENTSIZE_ERROR || n > STATE_MAX)
        return -EBADMSG;
    CLEANUP(freep) void *state = malloc(n + 1);
    if (!state)
        return -ENOMEM;
    if (ZSTD_decompress(state, n, data, size) != n)
        return -EBADMSG;
    return engine_load(state, n, options, ret);
}
