#include "test.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* What log_warn() writes of such a name, after time and level. */
static const char *written(const char *name)
{
    static char line[4096];
    int fds[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    log_warn("container %s", name);
    dup2(saved, STDERR_FILENO);
    ssize_t n = read(fds[0], line, sizeof(line) - 1);
    assert_true(n > 0);
    line[n] = '\0';
    close(fds[0]);
    close(fds[1]);
    close(saved);
    return strstr(line, "container ") + strlen("container ");
}

static void no_name_does_anything_to_a_terminal(void **state)
{
    (void)state;
    assert_string_equal(written("caf\xc3\xa9 \xe2\x82\xac"), "caf\xc3\xa9 \xe2\x82\xac\n");
    assert_string_equal(written("a\x1b[2J\nb\x7f"), "a?[2J?b?\n");
    assert_string_equal(written("a\xc2\x9b"
                                "2J \xe2\x80\xae"
                                "exe"),
                        "a?2J ?exe\n");
    assert_string_equal(written("\x9b"
                                "2J\xff"),
                        "?2J?\n");
}

static void a_long_one_is_cut_between_characters(void **state)
{
    (void)state;
    char name[4096];
    for (size_t i = 0; i + 2 < sizeof(name); i += 2)
        memcpy(name + i, "\xc3\xa9", 3);
    const char *line = written(name);
    size_t n = strlen(line);
    assert_true(n > 1000 && n < sizeof(name));
    assert_true(line[n - 1] == '\n' && (line[n - 2] == '?' || line[n - 2] == '\xa9'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_name_does_anything_to_a_terminal),
        cmocka_unit_test(a_long_one_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
