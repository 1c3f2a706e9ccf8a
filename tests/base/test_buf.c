#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    buf_u8(&b, 7);
    buf_u16(&b, 0x1234);
    buf_u32(&b, 0xdeadbeef);
    buf_u64(&b, UINT64_MAX - 1);
    buf_f64(&b, -0.5);
    buf_varint(&b, 0);
    buf_varint(&b, UINT64_MAX);
    buf_string(&b, "lookout");
    assert_int_equal(b.error, 0);

    struct reader r;
    reader_init(&r, b.data, b.size);
    assert_int_equal(reader_u8(&r), 7);
    assert_int_equal(reader_u16(&r), 0x1234);
    assert_int_equal(reader_u32(&r), 0xdeadbeef);
    assert_true(reader_u64(&r) == UINT64_MAX - 1);
    assert_true(reader_f64(&r) == -0.5);
    assert_true(reader_varint(&r) == 0);
    assert_true(reader_varint(&r) == UINT64_MAX);
    char *s = reader_string(&r, 16);
    assert_string_equal(s, "lookout");
    free(s);
    assert_int_equal(r.error, 0);
    assert_int_equal(reader_left(&r), 0);
    buf_done(&b);
}

static void maximum_is_kept_and_the_error_sticks(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_u32(&b, 1);
    assert_int_equal(b.error, 0);
    buf_u8(&b, 1);
    assert_int_equal(b.error, -EFBIG);
    assert_int_equal(b.size, 4);
    buf_clear(&b);
    buf_u8(&b, 1);
    assert_int_equal(b.size, 1);
    buf_done(&b);
}

static void reading_past_the_end_is_an_error(void **state)
{
    (void)state;
    static const uint8_t overlong[11] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff};
    struct reader r;
    reader_init(&r, "\x01\x02", 2);
    assert_int_equal(reader_u32(&r), 0);
    assert_int_equal(r.error, -EBADMSG);
    reader_init(&r, overlong, sizeof(overlong));
    assert_true(reader_varint(&r) == 0);
    assert_int_equal(r.error, -EBADMSG);
    reader_init(&r, "\x09short", 6);
    assert_null(reader_string(&r, 100));
    reader_init(&r,
                "\x03"
                "a\0b",
                4);
    assert_null(reader_string(&r, 100));
    assert_int_equal(r.error, -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(maximum_is_kept_and_the_error_sticks),
        cmocka_unit_test(reading_past_the_end_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
