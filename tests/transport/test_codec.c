#include "transport/codec.h"

#include <errno.h>

#include "base/crc.h"
#include "test.h"
#include "transport/blocks.h"

static void encode(const struct block *b, struct buf *ret)
{
    buf_init(ret, CODEC_BLOCK_MAX);
    assert_int_equal(codec_encode(b, ret), 0);
}

static void random_blocks_come_back_equal(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        CLEANUP(block_freep) struct block *b = random_block(seed, seed < 390 ? seed % 50 : 3000);
        CLEANUP(block_freep) struct block *back = NULL;
        CLEANUP(buf_done) struct buf bytes;
        CLEANUP(buf_done) struct buf again;
        encode(b, &bytes);
        const char *why = "";
        assert_int_equal(codec_decode(bytes.data, bytes.size, &back, &why), 0);
        assert_true(block_equal(b, back));
        encode(back, &again);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
        struct codec_head head;
        assert_int_equal(codec_header(bytes.data, &head), 0);
        assert_true(head.calls == codec_calls(b) && head.sequence == b->sequence);
    }
}

static void random_windows_come_back_equal(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        CLEANUP(block_freep) struct block *b = random_block(seed, 30);
        CLEANUP(buf_done) struct buf bytes;
        buf_init(&bytes, CODEC_BLOCK_MAX);
        assert_int_equal(codec_encode_windows(b->windows, b->n_windows, &bytes), 0);
        CLEANUP(freep) struct window *back = NULL;
        size_t n = 999;
        assert_int_equal(codec_decode_windows(bytes.data, bytes.size, &back, &n), 0);
        assert_int_equal(n, b->n_windows);
        for (size_t i = 0; i < n; i++)
            assert_true(window_equal(&back[i], &b->windows[i]));
        for (size_t i = 0; i < bytes.size; i++) {
            bytes.data[i] ^= (uint8_t)(1 << i % 8);
            struct window *wrong = NULL;
            assert_true(codec_decode_windows(bytes.data, bytes.size, &wrong, &n) < 0);
            assert_null(wrong);
            bytes.data[i] ^= (uint8_t)(1 << i % 8);
        }
    }
}

static void every_damaged_byte_is_noticed(void **state)
{
    (void)state;
    CLEANUP(block_freep) struct block *b = random_block(7, 12);
    CLEANUP(buf_done) struct buf bytes;
    encode(b, &bytes);
    for (size_t i = 0; i < bytes.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct block *back = NULL;
            const char *why = "";
            bytes.data[i] ^= (uint8_t)(1 << bit);
            int r = codec_decode(bytes.data, bytes.size, &back, &why);
            assert_true(r == -EBADMSG || r == -EPROTONOSUPPORT);
            assert_null(back);
            assert_true(why[0]);
            bytes.data[i] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t size = 0; size < bytes.size; size++) {
        struct block *back = NULL;
        uint8_t *cut = malloc(size + 1); /* so that reading past the end is seen */
        memcpy(cut, bytes.data, size);
        cut = realloc(cut, size ? size : 1);
        assert_int_equal(codec_decode(cut, size, &back, NULL), -EBADMSG);
        free(cut);
    }
}

static void seal(struct buf *bytes)
{
    uint32_t crc = htole32(crc32c(bytes->data, CODEC_HEADER - 4));
    memcpy(bytes->data + CODEC_HEADER - 4, &crc, 4);
}

static void versions_and_unknown_sections(void **state)
{
    (void)state;
    CLEANUP(block_freep) struct block *b = random_block(3, 10);
    CLEANUP(block_freep) struct block *back = NULL;
    CLEANUP(buf_done) struct buf bytes;
    encode(b, &bytes);
    bytes.data[10] = 9; /* minor */
    seal(&bytes);
    assert_int_equal(codec_decode(bytes.data, bytes.size, &back, NULL), 0);
    block_free(TAKE(back));

    /* a section that we do not know, at the end */
    uint8_t extra[16 + 3] = {0, 0, 0, 0, 200, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c'};
    uint32_t crc = htole32(crc32c(extra + 4, sizeof(extra) - 4));
    memcpy(extra, &crc, 4);
    buf_append(&bytes, extra, sizeof(extra));
    bytes.data[12]++; /* sections */
    uint64_t size = htole64(bytes.size), unpacked;
    memcpy(bytes.data + 16, &size, 8);
    memcpy(&unpacked, bytes.data + 24, 8);
    unpacked = htole64(le64toh(unpacked) + 3);
    memcpy(bytes.data + 24, &unpacked, 8);
    seal(&bytes);
    assert_int_equal(codec_decode(bytes.data, bytes.size, &back, NULL), 0);
    assert_true(block_equal(b, back));
    block_free(TAKE(back));

    bytes.data[8] = 2; /* major */
    seal(&bytes);
    assert_int_equal(codec_decode(bytes.data, bytes.size, &back, NULL), -EPROTONOSUPPORT);
}

static void caps_hold_before_unpacking(void **state)
{
    (void)state;
    CLEANUP(block_freep) struct block *b = random_block(5, 10), *back = NULL;
    CLEANUP(buf_done) struct buf bytes;
    encode(b, &bytes);
    uint64_t huge = htole64(CODEC_UNPACKED_MAX + 1ull);
    memcpy(bytes.data + 24, &huge, 8);
    seal(&bytes);
    assert_int_equal(codec_decode(bytes.data, bytes.size, &back, NULL), -EBADMSG);

    struct block many = {.n_windows = (1u << 18) + 1};
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, CODEC_BLOCK_MAX);
    assert_int_equal(codec_encode(&many, &out), -EFBIG);
    struct window wrong = {.n_calls = 65};
    struct block invalid = {.windows = &wrong, .n_windows = 1};
    assert_int_equal(codec_encode(&invalid, &out), -EINVAL);
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_blocks_come_back_equal),
        cmocka_unit_test(random_windows_come_back_equal),
        cmocka_unit_test(every_damaged_byte_is_noticed),
        cmocka_unit_test(versions_and_unknown_sections),
        cmocka_unit_test(caps_hold_before_unpacking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
