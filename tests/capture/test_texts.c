/* Records -> texts; the table beneath. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "capture/table.h"
#include "capture/text.h"
#include "test.h"

static void test_paths(void **state)
{
    static const char *const cases[][3] = {
        /* base, path, text */
        {NULL, "/etc/passwd", "/etc/passwd"},
        {NULL, "//etc///passwd", "/etc/passwd"},
        {NULL, "/etc/./passwd", "/etc/passwd"},
        {NULL, "/./etc/.", "/etc/"},
        {NULL, "/etc/", "/etc/"},
        {NULL, "/", "/"},
        {NULL, "/.", "/"},
        {NULL, "/a/../b", "/b"},
        {NULL, "/tmp/../../etc/x/../shadow", "/etc/shadow"},
        {NULL, "/a/b/..", "/a"},
        {NULL, "/..", "/"},
        {NULL, "/a/.b", "/a/.b"},
        {NULL, "/a/..b", "/a/..b"},
        {NULL, "etc", "relative:etc"},
        {NULL, "./a//b", "relative:a/b"},
        {NULL, "a/", "relative:a/"},
        {NULL, ".", "relative:."},
        {NULL, "", "relative:."},
        {NULL, "..", "relative:.."},
        {NULL, "../../a/../b", "relative:../../b"},
        {NULL, "a/../../b", "relative:../b"},
        {NULL, ".hidden", "relative:.hidden"},
        {"/etc", "shadow", "/etc/shadow"},
        {"/etc", "./cron.d//x", "/etc/cron.d/x"},
        {"/etc/cron.d", "../shadow", "/etc/shadow"},
        {"/var/lib", "../../../../etc/shadow", "/etc/shadow"},
        {"/etc", ".", "/etc"},
        {"/etc", "", "/etc"},
        {"/etc", "x/", "/etc/x/"},
        {"/etc", "..", "/"},
        {"", "etc", "/etc"}, /* the root has no parts */
        {"", "", "/"},
    };
    char text[TEXT_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text_path(cases[i][0], cases[i][1], strlen(cases[i][1]), text);
        assert_string_equal(text, cases[i][2]);
    }
    char many[3000];
    memset(many, 'x', sizeof(many));
    text_path(NULL, many, sizeof(many), text); /* cut, never past the end */
    assert_int_equal(strlen(text), TEXT_MAX);
    for (size_t i = 0; i < sizeof(many); i += 2)
        many[i] = '/';
    many[sizeof(many) - 1] = 0;
    text_path(many, many, sizeof(many) - 1, text);
    assert_int_equal(strlen(text), TEXT_MAX);
}

static const char *normal(struct record_text *r, enum text_kind kind)
{
    static char text[TEXT_MAX + 1];
    assert_int_equal(text_normalise(r, text), kind);
    return text;
}

static void test_forms(void **state)
{
    struct record_text r = {.form = FORM_INET, .value = ADDRESS_LOOPBACK << 16 | 6379};
    (void)state;
    assert_string_equal(normal(&r, TEXT_ADDRESS), "loopback:6379");
    r.value = ADDRESS_PUBLIC << 16;
    assert_string_equal(normal(&r, TEXT_ADDRESS), "public:high");
    r.value = 0xffff0001;
    assert_string_equal(normal(&r, TEXT_ADDRESS), "?:1");
    r = (struct record_text){.form = FORM_UNIX, .length = 8, .bytes = "/run/x.s"};
    assert_string_equal(normal(&r, TEXT_ADDRESS), "unix:/run/x.s");
    r = (struct record_text){.form = FORM_UNIX, .length = 3, .bytes = "x.s"};
    assert_string_equal(normal(&r, TEXT_ADDRESS), "unix:relative:x.s");
    r.based = 1;
    r.base_length = sizeof("vigia\0run");
    memcpy(r.base, "vigia\0run", r.base_length); /* leaf first */
    assert_string_equal(normal(&r, TEXT_ADDRESS), "unix:/run/vigia/x.s");
    r.form = FORM_PATH;
    assert_string_equal(normal(&r, TEXT_PATH), "/run/vigia/x.s");
    r.base_length = 100000; /* whatever it says */
    assert_non_null(strstr(normal(&r, TEXT_PATH), "/run/vigia/x.s"));
    r = (struct record_text){.form = FORM_UNIX, .length = 4, .bytes = "\0abc"};
    assert_string_equal(normal(&r, TEXT_ADDRESS), "unix:@abc");
    r = (struct record_text){.form = FORM_FAMILY, .value = 16};
    assert_string_equal(normal(&r, TEXT_ADDRESS), "family:16");
    r = (struct record_text){.form = FORM_FLAG, .number = SYS_mprotect, .value = 4};
    assert_string_equal(normal(&r, TEXT_FLAG), "mprotect PROT_EXEC");
    r = (struct record_text){.form = FORM_FLAG, .number = SYS_unshare, .value = 0x10020000};
    assert_string_equal(normal(&r, TEXT_FLAG), "unshare CLONE_NEWUSER|CLONE_NEWNS");
    r = (struct record_text){
        .form = FORM_FLAG, .number = SYS_socket, .value = 2 << 16 | 3 << 8 | 1};
    assert_string_equal(normal(&r, TEXT_FLAG), "socket AF_INET SOCK_RAW 0x1");
    r = (struct record_text){.form = FORM_FLAG, .number = SYS_ptrace, .value = 17};
    assert_string_equal(normal(&r, TEXT_FLAG), "ptrace PTRACE_ATTACH");
}

static bool odd(uint64_t key, uint64_t *value, void *user)
{
    (void)value, (void)user;
    return key & 1;
}

static void test_table(void **state)
{
    struct table t;
    (void)state;
    table_init(&t, 1000);
    assert_null(table_get(&t, 1));
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(table_put(&t, i, i * 3), 0);
    assert_int_equal(table_put(&t, 1001, 1), -ENOSPC);
    assert_int_equal(table_put(&t, 7, 8), 0); /* replacing takes no room */
    table_sweep(&t, odd, NULL);
    assert_int_equal(t.n, 500);
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t *v = table_get(&t, i);
        assert_true(i & 1 ? !v : v && *v == i * 3);
    }
    assert_int_equal(table_put(&t, 1001, 1), 0);
    table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
