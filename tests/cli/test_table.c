#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "test.h"

static void expect_escaped(const char *s, const char *escaped)
{
    CLEANUP(freep) char *got = table_escape(s);
    assert_string_equal(got, escaped);
}

static void test_nothing_reaches_the_terminal_that_it_would_obey(void **state)
{
    (void)state;
    expect_escaped("plain \xc3\xa9t\xc3\xa9 \xe6\xbc\xa2", "plain \xc3\xa9t\xc3\xa9 \xe6\xbc\xa2");
    expect_escaped("\x1b[2J\a\r\n\t", "\\x1b[2J\\x07\\r\\n\\t");
    expect_escaped("\x7f\xc2\x9b", "\\x7f\\u{9b}"); /* DEL, C1 CSI */
    expect_escaped("a\xe2\x80\xae"
                   "b",
                   "a\\u{202e}b"); /* right to left override */
    expect_escaped("\xff\xc0\x80\xed\xa0\x80", "\\xff\\xc0\\x80\\xed\\xa0\\x80"); /* not UTF-8 */
    expect_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* past U+10FFFF */
    expect_escaped("cut \xe6\xbc", "cut \\xe6\\xbc");
    for (unsigned c = 1; c < 256; c++) {
        char one[2] = {(char)c, 0};
        CLEANUP(freep) char *got = table_escape(one);
        for (const char *p = got; *p; p++)
            assert_true((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
    }
}

static void test_width_is_that_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(table_text_width("abc"), 3);
    assert_int_equal(table_text_width("\xc3\xa9"), 1);
    assert_int_equal(table_text_width("e\xcc\x81"), 1);    /* combining accent */
    assert_int_equal(table_text_width("\xe6\xbc\xa2"), 2); /* wide */
    assert_int_equal(table_text_width("\xf0\x9f\x90\xb3"), 2);
    CLEANUP(freep) char *cut = table_cut("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 5);
    assert_string_equal(cut, "\xe6\xbc\xa2\xe5\xad\x97…");
    CLEANUP(freep) char *half = table_cut("\xe6\xbc\xa2\xe5\xad\x97", 3);
    assert_string_equal(half, "\xe6\xbc\xa2…");
}

static char *print(const struct table *t, unsigned width)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_int_equal(table_print(t, f, width), 0);
    fclose(f);
    return text;
}

static void test_columns_line_up_and_fit(void **state)
{
    (void)state;
    static const struct table_column columns[] = {
        {"NAME", false, 6}, {"CALLS", true, 0}, {"STATE", false, 0}};
    CLEANUP(table_freep) struct table *t = NULL;
    assert_int_equal(table_new(columns, 3, &t), 0);
    table_cell(t, "%s", "a long name of a container");
    table_cell(t, "%d", 12345);
    table_cell(t, "ready");
    table_note(t, "why it is so");
    table_cell(t, "b");
    table_cell(t, "%d", 7);
    table_cell(t, "new");
    CLEANUP(freep) char *wide = print(t, 80), *narrow = print(t, 24);
    assert_string_equal(wide, "NAME                        CALLS  STATE\n"
                              "a long name of a container  12345  ready\n"
                              "    why it is so\n"
                              "b                               7  new\n");
    assert_string_equal(narrow, "NAME        CALLS  STATE\n"
                                "a long na…  12345  ready\n"
                                "    why it is so\n"
                                "b               7  new\n");
}

static void test_text_wraps_at_words(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    table_wrap(f, "one two three four five six seven eight averyveryverylongwordwithoutspaces end",
               2, 26);
    fclose(f);
    assert_string_equal(text, "  one two three four five\n"
                              "  six seven eight\n"
                              "  averyveryverylongwordwit\n"
                              "  houtspaces end\n");
    free(text);
}

static void expect_words(const char *got, const char *expected)
{
    assert_string_equal(got, expected);
}

static void test_words(void **state)
{
    (void)state;
    char w[WORDS_MAX];
    expect_words(words_count(0, w), "0");
    expect_words(words_count(999, w), "999");
    expect_words(words_count(999.9, w), "1.00 K");
    expect_words(words_count(12345, w), "12.3 K");
    expect_words(words_count(999999, w), "1.00 M");
    expect_words(words_count(.25, w), "0.25");
    expect_words(words_exact(0, w), "0");
    expect_words(words_exact(1234567, w), "1,234,567");
    expect_words(words_exact(UINT64_MAX, w), "18,446,744,073,709,551,615");
    expect_words(words_bytes(1536, w), "1.50 KiB");
    expect_words(words_duration(.25, w), "250 ms");
    expect_words(words_duration(65, w), "65 s");
    expect_words(words_duration(7200, w), "2.0 h");
    expect_words(words_ago(100, 280, w), "3 min ago");
    expect_words(words_ago(0, 280, w), "-");
    expect_words(words_time(0, w), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_reaches_the_terminal_that_it_would_obey),
        cmocka_unit_test(test_width_is_that_of_a_terminal),
        cmocka_unit_test(test_columns_line_up_and_fit),
        cmocka_unit_test(test_text_wraps_at_words),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
