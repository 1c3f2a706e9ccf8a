/* What requests may carry. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "soc/json.h"
#include "soc/schema.h"

static const char *const colours[] = {"red", "green", NULL};
static const struct field fields[] = {
    {"name", FIELD_STRING, true, 1, 8, NULL},     {"colour", FIELD_STRING, false, 0, 0, colours},
    {"count", FIELD_INTEGER, false, 0, 10, NULL}, {"share", FIELD_NUMBER, false, 0, 1, NULL},
    {"sure", FIELD_BOOL, false, 0, 0, NULL},      {0},
};

static void bodies(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        const char *message; /* part of it */
    } cases[] = {
        {"{\"name\":\"a\"}", 0, ""},
        {"{\"name\":\"a\",\"colour\":\"red\",\"count\":10,\"share\":0.5,\"sure\":true}", 0, ""},
        {"{\"name\":\"a\",\"share\":1}", 0, ""},
        {"{}", -EINVAL, "\"name\" is missing"},
        {"", -EBADMSG, "not JSON"},
        {"{\"name\":\"a\"", -EBADMSG, "line 1"},
        {"{\"name\":\"a\"} x", -EBADMSG, "not JSON"},
        {"[]", -EINVAL, "must be a JSON object"},
        {"{\"name\":1}", -EINVAL, "must be a text"},
        {"{\"name\":\"\"}", -EINVAL, "1 to 8 bytes"},
        {"{\"name\":\"123456789\"}", -EINVAL, "1 to 8 bytes"},
        {"{\"name\":\"a\",\"name\":\"b\"}", -EBADMSG, "duplicate"},
        {"{\"name\":\"a\",\"colour\":\"blue\"}", -EINVAL, "one of: red, green"},
        {"{\"name\":\"a\",\"count\":11}", -EINVAL, "between 0 and 10"},
        {"{\"name\":\"a\",\"count\":1.5}", -EINVAL, "a whole number"},
        {"{\"name\":\"a\",\"share\":\"1\"}", -EINVAL, "a number"},
        {"{\"name\":\"a\",\"share\":1e999}", -EBADMSG, ""},
        {"{\"name\":\"a\",\"sure\":1}", -EINVAL, "true or false"},
        {"{\"name\":\"a\",\"odd\":1}", -EINVAL, "no field \"odd\" here; allowed: name, colour"},
        {"{\"name\":\"a\xff\"}", -EBADMSG, ""},
        {"{\"name\":\"\\u0000\"}", -EBADMSG, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char message[SCHEMA_MESSAGE] = "";
        json_t *body = NULL;
        int r = schema_body(fields, cases[i].text, strlen(cases[i].text), &body, message);
        assert_int_equal(r, cases[i].result);
        assert_non_null(strstr(message, cases[i].message));
        assert_true(utf8_is_valid(message, strlen(message)));
        assert_int_equal(body != NULL, r == 0);
        json_decref(body);
    }
}

static int parameter(const char *name, const char *value, json_t *object)
{
    char message[SCHEMA_MESSAGE] = "";
    int r = schema_parameter(fields, name, value, strlen(value), object, message);
    assert_int_equal(message[0] != 0, r != 0);
    return r;
}

static void queries(void **state)
{
    (void)state;
    json_auto_t *o = json_object();
    char message[SCHEMA_MESSAGE];
    assert_int_equal(parameter("count", "7", o), 0);
    assert_int_equal(parameter("share", "0.25", o), 0);
    assert_int_equal(parameter("sure", "false", o), 0);
    assert_int_equal(parameter("colour", "", o), 0); /* as if it were not there */
    assert_int_equal(schema_complete(fields, o, message), -EINVAL);
    assert_int_equal(parameter("name", "x", o), 0);
    assert_int_equal(schema_complete(fields, o, message), 0);
    assert_int_equal(json_integer_value(json_object_get(o, "count")), 7);
    assert_true(json_real_value(json_object_get(o, "share")) == 0.25);
    assert_true(json_is_false(json_object_get(o, "sure")));
    assert_null(json_object_get(o, "colour"));
    assert_int_equal(parameter("count", "8", o), -EINVAL); /* twice */
    json_object_clear(o);
    static const char *const bad[][2] = {
        {"count", "7x"},    {"count", "99999999999999999999"},
        {"count", "-1"},    {"share", "nan"},
        {"share", "inf"},   {"share", "2"},
        {"sure", "yes"},    {"name", "\xff"},
        {"colour", "pink"}, {"odd", "1"},
        {"\xff", "1"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parameter(bad[i][0], bad[i][1], o), -EINVAL);
    assert_int_equal(schema_parameter(NULL, "any", "1", 1, o, message), -EINVAL);
    assert_non_null(strstr(message, "allowed: none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
