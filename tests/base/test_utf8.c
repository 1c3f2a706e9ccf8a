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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ill_formed_parts_are_replaced),
        cmocka_unit_test(every_pair_of_bytes_becomes_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
