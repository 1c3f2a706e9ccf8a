#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define R "\xef\xbf\xbd"

static void ill_formed_parts_are_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t size;
        const char *out;
    } cases[] = {
        {"", 0, ""},
        {"plain", 5, "plain"},
        {"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xb3", 12, "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xb3"},
        {"a\0b", 3, "a" R "b"},
        {"\xff\xfe", 2, R R},
        {"\xc0\xaf", 2, R R},             /* overlong '/' */
        {"\xe0\x80\xaf", 3, R R R},       /* overlong */
        {"\xed\xa0\x80", 3, R R R},       /* surrogate */
        {"\xf4\x90\x80\x80", 4, R R R R}, /* past U+10FFFF */
        {"\xf0\x9f\x90", 3, R},           /* cut off: one part */
        {"\xe2\x82", 2, R},
        {"x\xe2\x82y", 4, "x" R "y"},
        /* Unicode 15, table 3-11 */
        {"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", 13, "a" R R R "b" R "c" R R "d"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *copy = utf8_copy(cases[i].in, cases[i].size);
        assert_non_null(copy);
        assert_string_equal(copy, cases[i].out);
        assert_true(utf8_is_valid(copy, strlen(copy)));
        assert_int_equal(utf8_is_valid(cases[i].in, cases[i].size),
                         strcmp(copy, cases[i].in) == 0 && strlen(copy) == cases[i].size);
        free(copy);
    }
}

static void every_pair_of_bytes_becomes_valid(void **state)
{
    (void)state;
    for (int i = 0; i < 65536; i++) {
        char in[3] = {(char)(i >> 8), (char)i, 'z'};
        char *copy = utf8_copy(in, 3);
        assert_true(utf8_is_valid(copy, strlen(copy)));
        free(copy);
    }
}

/* What a terminal obeys has one sequence of bytes only: ill-formed ones are unsafe themselves. */
static void what_is_shown_is_no_control(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t size;
        uint32_t character;
        bool unsafe;
    } cases[] = {
        {"a", 1, 'a', false},
        {"\xc3\xa9", 2, 0xe9, false},
        {"\xe2\x82\xac", 3, 0x20ac, false},
        {"\xf0\x9f\x90\xb3", 4, 0x1f433, false},
        {"\x1b[", 1, 0x1b, true},
        {"\xc2\x9b", 2, 0x9b, true},             /* CSI */
        {"\xe2\x80\xae", 3, 0x202e, true},       /* right to left override */
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff, true}, /* private use */
        {"\x9b", 1, UTF8_ILL_FORMED, true},
        {"\xc2", 1, UTF8_ILL_FORMED, true},
        {"\xc1\x9b", 1, UTF8_ILL_FORMED, true}, /* overlong */
        {"\xed\xa0\x80", 1, UTF8_ILL_FORMED, true},
        {"", 1, UTF8_ILL_FORMED, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t c = 0;
        assert_int_equal(utf8_decode(cases[i].s, &c), cases[i].size);
        assert_int_equal(c, cases[i].character);
        assert_int_equal(utf8_is_unsafe(c), cases[i].unsafe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ill_formed_parts_are_replaced),
        cmocka_unit_test(every_pair_of_bytes_becomes_valid),
        cmocka_unit_test(what_is_shown_is_no_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
