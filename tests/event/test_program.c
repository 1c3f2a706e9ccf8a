#include <string.h>

#include "event/program.h"
#include "test.h"

#define KEY(path, arguments) key_of(path, arguments, sizeof(arguments))

static const char *key_of(const char *path, const char *arguments, size_t length)
{
    static char key[PROGRAM_KEY_MAX];
    program_key(path, arguments, length, key);
    return key;
}

static void test_keys(void **state)
{
    (void)state;
    assert_string_equal(KEY("/usr/sbin/nginx", "nginx\0-g\0daemon off;"), "/usr/sbin/nginx");
    assert_string_equal(KEY("/opt/app-1.22/bin7/x", "x"), "/opt/app-#.#/bin#/x");
    assert_string_equal(KEY("/bin/busybox", "sleep\0"
                                            "20"),
                        "/bin/busybox sleep");
    assert_string_equal(KEY("/bin/busybox", "/bin/ls"), "/bin/busybox ls");
    assert_string_equal(KEY("/bin/busybox", "-sh"), "/bin/busybox sh");
    assert_string_equal(KEY("/bin/busybox", "sh\0/run.sh"), "/bin/busybox sh /run.sh");
    assert_string_equal(KEY("/usr/bin/python3.11", "python3\0-u\0/app/main2.py\0x"),
                        "/usr/bin/python#.# /app/main#.py");
    assert_string_equal(KEY("/usr/bin/python3", "python3\0-m\0http.server\0"
                                                "80"),
                        "/usr/bin/python# -m http.server");
    assert_string_equal(KEY("/usr/bin/dash", "sh\0-c\0id; ls"), "/usr/bin/dash -c");
    assert_string_equal(KEY("/usr/bin/dash", "sh\0/cgi/x"), "/usr/bin/dash /cgi/x");
    assert_string_equal(KEY("/usr/bin/dash", "sh"), "/usr/bin/dash");
    assert_string_equal(KEY("/usr/bin/shred", "shred\0x"), "/usr/bin/shred"); /* not sh */
    assert_string_equal(KEY("", ""), PROGRAM_UNKNOWN);
}

/* Hostile or cut arguments: never past the end. */
static void test_hostile(void **state)
{
    char key[PROGRAM_KEY_MAX], path[2000], arguments[600];
    (void)state;
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    memset(arguments, 'b', sizeof(arguments));
    program_key(path, arguments, sizeof(arguments), key);
    assert_int_equal(strlen(key), PROGRAM_KEY_MAX - 1);
    program_key("/bin/sh", arguments, sizeof(arguments), key); /* no NUL in them */
    assert_string_equal(key, "/bin/sh");
    program_key("/bin/sh", "sh\0scr", 6,
                key); /* the script's name is cut: none rather than another */
    assert_string_equal(key, "/bin/sh");
    program_key("/bin/sh", NULL, 0, key);
    assert_string_equal(key, "/bin/sh");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
