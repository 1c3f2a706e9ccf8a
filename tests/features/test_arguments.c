/* What stays of a path, address or flag. */
#include "test.h"

#include <string.h>

#include "features/arguments.h"

static struct argument_class classify(enum text_kind kind, enum text_access access, char *text)
{
    struct text t = {.kind = kind, .access = access, .text = text};
    struct argument_class c;
    argument_classify(&t, &c);
    return c;
}

static struct argument_class path(enum text_access access, char *text)
{
    return classify(TEXT_PATH, access, text);
}

static void test_zones(void **state)
{
    (void)state;
    static const struct {
        char *path;
        enum zone zone;
        const char *directory;
    } cases[] = {
        {"/etc/shadow", ZONE_CREDENTIALS, "/etc/shadow"},
        {"/root/.ssh/id_rsa", ZONE_CREDENTIALS, "/root/.ssh/id_rsa"},
        {"/root/.ssh/authorized_keys", ZONE_PERSISTENCE, "/root/.ssh/authorized_keys"},
        {"/etc/cron.d/x", ZONE_PERSISTENCE, "/etc/cron.d/x"},
        {"/etc/ld.so.preload", ZONE_PERSISTENCE, "/etc/ld.so.preload"},
        {"/proc/self/status", ZONE_OWN_PROC, "/proc/self"},
        {"/proc/1234/environ", ZONE_OTHERS_PROC, "/proc/#/environ"},
        {"/proc/meminfo", ZONE_OWN_PROC, "/proc"},
        {"/proc/sys/kernel/core_pattern", ZONE_KERNEL_CONTROL, "/proc/sys/kernel/core_pattern"},
        {"/var/run/docker.sock", ZONE_RUNTIME, "/var/run/docker.sock"},
        {"/usr/lib/x86_64-linux-gnu/libc.so.6", ZONE_LIBRARIES, "/usr/lib"},
        {"/usr/bin/id", ZONE_BINARIES, "/usr/bin"},
        {"/etc/passwd", ZONE_CONFIGURATION, "/etc"},
        {"/tmp/.x1", ZONE_TEMPORARY, "/tmp"},
        {"/var/lib/mysql/db/t1.ibd", ZONE_DATA, "/var/lib"},
        {"/var/log/nginx/access.log", ZONE_LOGS, "/var/log"},
        {"/data/dump.rdb", ZONE_DATA, "/data"},
        {"conf/x", ZONE_RELATIVE, "conf"},
        {"/x", ZONE_OTHER, ""},
        {"/cache/0a1b2c3d4e5f/7/8/9", ZONE_OTHER, "/cache/#"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct argument_class c = path(ACCESS_READ, cases[i].path);
        assert_string_equal(zone_name(c.zone), zone_name(cases[i].zone));
        assert_string_equal(c.directory, cases[i].directory);
        assert_int_equal(argument_class_is_bold(c.key), zone_is_bold(cases[i].zone));
    }
}

static void test_what_varies_is_taken_off(void **state)
{
    (void)state;
    assert_int_equal(path(ACCESS_READ, "/srv/a/1.html").key,
                     path(ACCESS_READ, "/srv/a/27.css").key);
    assert_int_equal(path(ACCESS_WRITE, "/cache/deadbeef01/x").key,
                     path(ACCESS_WRITE, "/cache/0123456789abcdef/x").key);
    assert_int_equal(path(ACCESS_READ, "/proc/12/maps").key,
                     path(ACCESS_READ, "/proc/99/maps").key);
    assert_int_not_equal(path(ACCESS_READ, "/srv/a/x").key, path(ACCESS_READ, "/srv/b/x").key);
    assert_int_not_equal(path(ACCESS_READ, "/srv/a/x").key, path(ACCESS_WRITE, "/srv/a/x").key);
    assert_int_not_equal(path(ACCESS_READ, "/etc/shadow").key,
                         path(ACCESS_READ, "/etc/gshadow").key);
}

static void test_bold_actions(void **state)
{
    (void)state;
    assert_false(argument_class_is_bold(path(ACCESS_READ, "/usr/bin/id").key));
    assert_true(argument_class_is_bold(path(ACCESS_WRITE, "/usr/bin/id").key));
    assert_true(argument_class_is_bold(path(ACCESS_CREATE, "/usr/lib/x.so").key));
    assert_false(argument_class_is_bold(path(ACCESS_CREATE, "/tmp/x").key));
    assert_true(argument_class_is_bold(classify(TEXT_FLAG, ACCESS_NONE, "ptrace").key));
    assert_true(argument_class_is_bold(classify(TEXT_ADDRESS, ACCESS_CONNECT, "metadata:80").key));
    assert_false(
        argument_class_is_bold(classify(TEXT_ADDRESS, ACCESS_CONNECT, "loopback:6379").key));
}

static void test_keys(void **state)
{
    (void)state;
    uint64_t class = path(ACCESS_READ, "/etc/shadow").key;
    assert_int_not_equal(argument_class_key(class, 1), argument_class_key(class, 2));
    assert_true(argument_class_is_bold(argument_class_key(class, 1)));
    assert_int_equal(argument_class_key(0, 1), 0);
    assert_int_equal(classify(TEXT_PROGRAM, ACCESS_NONE, "/bin/x").key, 0);
    char huge[TEXT_MAX + 1];
    memset(huge, 'a', TEXT_MAX), huge[0] = '/', huge[TEXT_MAX] = 0;
    assert_int_not_equal(path(ACCESS_READ, huge).key, 0);
    assert_int_not_equal(path(ACCESS_READ, "").key, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_what_varies_is_taken_off),
        cmocka_unit_test(test_bold_actions),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
