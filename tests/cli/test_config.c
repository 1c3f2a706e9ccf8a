#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/config_schema.h"

static char path[] = "/tmp/vigia-config-XXXXXX";
static char log_path[] = "/tmp/vigia-log-XXXXXX";

/* Loads the text as a file; what was logged comes back. */
static int load(const char *text, struct config **ret, char log[static 1024])
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_non_null(freopen(log_path, "w", stderr));
    config_warn_environment();
    int r = config_load(path, NULL, ret);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    f = fopen(log_path, "r");
    size_t n = fread(log, 1, 1023, f);
    log[n] = 0;
    fclose(f);
    return r;
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    struct config *c = NULL;
    char log[1024];
    assert_int_equal(load("", &c, log), 0);
    assert_string_equal(c->data, "/var/lib/vigia");
    assert_int_equal(c->server.port, 8765);
    assert_int_equal(c->learning.ready_active_s, 900);
    assert_true(c->detection.alerts_per_day == 1);
    assert_int_equal(c->spool.sync, CHOICE_YES);
    config_free(c);
}

static void values_lists_and_sinks_are_read(void **state)
{
    (void)state;
    struct config *c = NULL;
    char log[1024];
    assert_int_equal(load("containers:\n  names: [web*, db]\nspool: {sync: no}\n"
                          "sinks:\n  - {type: file, path: /tmp/a.jsonl}\n",
                          &c, log),
                     0);
    assert_int_equal(c->containers.n_names, 2);
    assert_string_equal(c->containers.names[0], "web*");
    assert_int_equal(c->spool.sync, CHOICE_NO);
    assert_int_equal(c->n_sinks, 1);
    assert_string_equal(c->sinks[0].path, "/tmp/a.jsonl");
    config_free(c);
}

/* Profiles go by the NULL at its end. */
static void the_list_of_detectors_has_an_end(void **state)
{
    (void)state;
    struct config *c = NULL;
    char log[1024];
    assert_int_equal(load("detection: {detectors: [rate, stide]}\n", &c, log), 0);
    assert_string_equal(c->detection.detectors[1], "stide");
    assert_null(c->detection.detectors[2]);
    config_free(c);
}

static void errors_name_file_line_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *says;
    } cases[] = {
        {"log: info\nservr: 1\n", ":2:", "allowed keys: data, node, log"},
        {"server:\n  prt: 3\n", ":2:", "allowed keys: address, port"},
        {"server:\n  port: abc\n", ":2:", "whole number"},
        {"server:\n  port: -1\n", ":2:", "whole number"},
        {"server:\n  port: 70000\n", ":2:", "1 to 65535"},
        {"capture:\n  timing: fast\n", ":2:", "coarse, stamp, latency, sampled"},
        {"capture:\n  host: maybe\n", ":2:", "yes"},
        {"sinks:\n  - tpe: x\n", ":2:", "allowed keys: type"},
        {"server: [\n", ":1:", "allowed keys"},
        {"server:\n\tport: 1\n", ":1:", "here or on a line below"},
        {"server: {tls_key: k}\n", ":1:", "belong together"},
        {"server: {address: 0.0.0.0}\n", ":1:", "in the clear"},
        {"server: {address: here}\n", ":1:", "IPv4 or IPv6"},
        {"\ndetection: {alerts_per_day: 0.0000001}\n", ":2:", "between"},
        {"spool:\n  size_max_mib: 8\n  segment_mib: 7\n", ":3:", "half"},
        {"detection: {detectors: [stide, jaccard]}\n",
         ":1:", "no \"jaccard\"; there are: novelty, stide"},
        {"\x01\x02", ":", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *c = NULL;
        char log[1024];
        assert_int_equal(load(cases[i].text, &c, log), -EINVAL);
        assert_null(c);
        assert_non_null(strstr(log, path));
        assert_non_null(strstr(log, cases[i].line));
        assert_non_null(strstr(log, cases[i].says));
    }
}

static void the_environment_overrides_the_file(void **state)
{
    (void)state;
    struct config *c = NULL;
    char log[1024];
    setenv("VIGIA_SERVER_PORT", "99", 1);
    setenv("VIGIA_DATA", "/elsewhere", 1);
    assert_int_equal(load("server:\n  port: 5\n", &c, log), 0);
    assert_int_equal(c->server.port, 99);
    assert_string_equal(c->data, "/elsewhere");
    assert_string_equal(log, "");
    config_free(TAKE(c));
    setenv("VIGIA_SERVERPORT", "99", 1);
    setenv("VIGIA_SERVER_PORT", "70000", 1);
    assert_int_equal(load("", &c, log), -EINVAL);
    assert_non_null(strstr(log, "VIGIA_SERVERPORT names no key"));
    assert_non_null(strstr(log, " and environment: server: port"));
    unsetenv("VIGIA_SERVERPORT");
    setenv("VIGIA_SERVER_PORT", "x", 1);
    assert_int_equal(load("", &c, log), -EINVAL);
    assert_non_null(strstr(log, "VIGIA_SERVER_PORT"));
    unsetenv("VIGIA_SERVER_PORT");
    unsetenv("VIGIA_DATA");
}

static void what_is_written_can_be_loaded(void **state)
{
    (void)state;
    struct config *c = NULL, *again = NULL;
    char log[1024];
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(load("containers: {exclude: [a, b]}\n", &c, log), 0);
    assert_int_equal(config_write(c, &text), 0);
    buf_u8(&text, 0);
    assert_non_null(strstr((char *)text.data, "alerts_per_day: 1\n"));
    assert_int_equal(load((char *)text.data, &again, log), 0);
    assert_int_equal(again->containers.n_exclude, 2);
    assert_int_equal(again->retention.windows_days, c->retention.windows_days);
    config_free(c);
    config_free(again);
    buf_done(&text);
}

/* Is "key:" in the text, as a key? Comments count. */
static bool has_key(const char *text, const char *end, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = text; (p = strstr(p, key)) && p < end; p += n)
        if (p[n] == ':' && (p == text || strchr("\n {", p[-1])))
            return true;
    return false;
}

/* The part of a section: to the next line that begins with a letter. */
static const char *section_end(const char *text)
{
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        if (p[1] >= 'a' && p[1] <= 'z')
            return p;
    return text + strlen(text);
}

static void the_example_has_every_key_with_its_default(void **state)
{
    (void)state;
    static char text[1 << 16] = "\n";
    FILE *f = fopen(SOURCE "/deploy/vigia.yaml", "r");
    assert_non_null(f);
    text[1 + fread(text + 1, 1, sizeof(text) - 2, f)] = 0;
    fclose(f);
    for (const cyaml_schema_field_t *s = config_fields; s->key; s++) {
        const cyaml_schema_field_t *keys = s->value.type == CYAML_MAPPING ? s->value.mapping.fields
                                           : s->value.type == CYAML_SEQUENCE
                                               ? s->value.sequence.entry->mapping.fields
                                               : NULL;
        char line[64];
        snprintf(line, sizeof(line), "\n%s:", s->key);
        const char *section = keys ? strstr(text, line) : NULL;
        if (!has_key(text, text + strlen(text), s->key) || (keys && !section))
            fail_msg("deploy/vigia.yaml has no %s", s->key);
        for (; keys && keys->key; keys++)
            if (!has_key(section + 1, section_end(section + 1), keys->key))
                fail_msg("deploy/vigia.yaml has no %s: %s", s->key, keys->key);
    }
    struct config *example = NULL, *defaults = NULL;
    char log[1024];
    struct buf one, other;
    buf_init(&one, 1 << 20), buf_init(&other, 1 << 20);
    assert_int_equal(load(text, &example, log), 0);
    assert_int_equal(
        load("containers: {names: [], images: [], namespaces: [], labels: [], exclude: "
             "[]}\nsinks: []\n",
             &defaults, log),
        0);
    assert_int_equal(config_write(example, &one) + config_write(defaults, &other), 0);
    buf_u8(&one, 0), buf_u8(&other, 0);
    assert_string_equal((char *)one.data, (char *)other.data);
    buf_done(&one), buf_done(&other);
    config_free(example), config_free(defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(values_lists_and_sinks_are_read),
        cmocka_unit_test(the_list_of_detectors_has_an_end),
        cmocka_unit_test(errors_name_file_line_and_what_is_allowed),
        cmocka_unit_test(the_environment_overrides_the_file),
        cmocka_unit_test(what_is_written_can_be_loaded),
        cmocka_unit_test(the_example_has_every_key_with_its_default),
    };
    close(mkstemp(path));
    close(mkstemp(log_path));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    unlink(log_path);
    return failed;
}
