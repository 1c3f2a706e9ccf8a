/* Decodes anything as a block. Since no mutation gets past the CRCs, the input is mostly taken as
 * the sections' unpacked data (type, size, data), put into a block whose checks all pass. What
 * decodes must encode again, to a block that is equal. */
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "tests/transport/blocks.h"
#include "transport/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

static void assemble(const uint8_t *data, size_t size, uint64_t calls, struct buf *ret)
{
    uint8_t header[CODEC_HEADER] = "VIGIABLK";
    uint64_t unpacked = 0;
    uint32_t sections = 0;
    buf_append(ret, header, sizeof(header));
    while (size >= 3) {
        size_t n = MIN((size_t)data[1] | (size_t)data[2] << 8, size - 3);
        size_t at = ret->size;
        buf_u32(ret, 0);
        buf_u32(ret, data[0] & 15);
        buf_u32(ret, (uint32_t)n);
        buf_u32(ret, (uint32_t)n);
        buf_append(ret, data + 3, n);
        put(ret->data + at, crc32c(ret->data + at + 4, 12 + n), 4);
        unpacked += n;
        sections++;
        data += 3 + n;
        size -= 3 + n;
    }
    put(ret->data + 8, 1, 2);
    put(ret->data + 12, sections, 4);
    put(ret->data + 16, ret->size, 8);
    put(ret->data + 24, unpacked, 8);
    put(ret->data + 80, calls, 8);
    put(ret->data + CODEC_HEADER - 4, crc32c(ret->data, CODEC_HEADER - 4), 4);
}

static void decode(const struct buf *bytes)
{
    CLEANUP(block_freep) struct block *b = NULL, *back = NULL;
    const char *why;
    if (codec_decode(bytes->data, bytes->size, &b, &why) < 0)
        return;
    CLEANUP(buf_done) struct buf again;
    buf_init(&again, CODEC_BLOCK_MAX);
    if (codec_encode(b, &again) < 0 || codec_decode(again.data, again.size, &back, &why) < 0 ||
        !block_equal(b, back))
        abort();
}

static void decode_windows(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, CODEC_BLOCK_MAX);
    buf_u32(&bytes, 0);
    buf_u8(&bytes, 1);
    buf_varint(&bytes, size);
    buf_append(&bytes, data, size);
    put(bytes.data, crc32c(bytes.data + 4, bytes.size - 4), 4);
    CLEANUP(freep) struct window *windows = NULL, *back = NULL;
    size_t n = 0, n_back = 0;
    if (codec_decode_windows(bytes.data, bytes.size, &windows, &n) < 0)
        return;
    buf_clear(&bytes);
    if (codec_encode_windows(windows, n, &bytes) < 0 ||
        codec_decode_windows(bytes.data, bytes.size, &back, &n_back) < 0 || n != n_back)
        abort();
    for (size_t i = 0; i < n; i++) {
        if (!window_equal(&windows[i], &back[i]))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, CODEC_BLOCK_MAX);
    if (data[0] % 3 == 0) {
        buf_append(&bytes, data + 1, size - 1);
        CLEANUP(block_freep) struct block *b = NULL;
        codec_decode(bytes.data, bytes.size, &b, NULL);
    } else if (data[0] % 3 == 1) {
        assemble(data + 2, size - 2, data[1], &bytes);
        decode(&bytes);
    } else {
        decode_windows(data + 1, size - 1);
    }
    return 0;
}
