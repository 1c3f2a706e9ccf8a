#include "soc/schema.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soc/json.h"

static const char *type_name(enum field_type type)
{
    static const char *const names[] = {"a text", "a number", "a whole number", "true or false"};
    return names[type];
}

static const struct field *field_find(const struct field *fields, const char *name)
{
    for (; fields && fields->name; fields++) {
        if (strcmp(fields->name, name) == 0)
            return fields;
    }
    return NULL;
}

static void append(char message[SCHEMA_MESSAGE], const char *text)
{
    size_t used = strlen(message);
    snprintf(message + used, SCHEMA_MESSAGE - used, "%s", text);
}

/* The name comes from the client: it is cut, and cut at a character's beginning. */
static int unknown(const struct field *fields, const char *name, char message[SCHEMA_MESSAGE])
{
    int size = (int)strnlen(name, 40);
    while (size > 0 && ((uint8_t)name[size] & 0xc0) == 0x80)
        size--;
    snprintf(message, SCHEMA_MESSAGE, "there is no field \"%.*s\" here; allowed: ", size, name);
    if (!fields || !fields->name)
        append(message, "none");
    for (const struct field *f = fields; f && f->name; f++) {
        append(message, f->name);
        if (f[1].name)
            append(message, ", ");
    }
    return -EINVAL;
}

static int check_string(const struct field *f, const char *s, size_t size,
                        char message[SCHEMA_MESSAGE])
{
    if (size < f->min || (f->max > 0 && size > f->max)) {
        snprintf(message, SCHEMA_MESSAGE, "\"%s\" must have %.0f to %.0f bytes", f->name, f->min,
                 f->max);
        return -EINVAL;
    }
    if (!f->choices)
        return 0;
    for (const char *const *c = f->choices; *c; c++) {
        if (strcmp(*c, s) == 0)
            return 0;
    }
    snprintf(message, SCHEMA_MESSAGE, "\"%s\" must be one of: ", f->name);
    for (const char *const *c = f->choices; *c; c++) {
        append(message, *c);
        if (c[1])
            append(message, ", ");
    }
    return -EINVAL;
}

static int check_number(const struct field *f, double v, char message[SCHEMA_MESSAGE])
{
    if (isfinite(v) && v >= f->min && v <= f->max)
        return 0;
    snprintf(message, SCHEMA_MESSAGE, "\"%s\" must be between %.0f and %.0f", f->name, f->min,
             f->max);
    return -EINVAL;
}

static int check(const struct field *f, const json_t *v, char message[SCHEMA_MESSAGE])
{
    if (f->type == FIELD_STRING && json_is_string(v))
        return check_string(f, json_string_value(v), json_string_length(v), message);
    if ((f->type == FIELD_NUMBER && json_is_number(v)) ||
        (f->type == FIELD_INTEGER && json_is_integer(v)))
        return check_number(f, json_number_value(v), message);
    if (f->type == FIELD_BOOL && json_is_boolean(v))
        return 0;
    snprintf(message, SCHEMA_MESSAGE, "\"%s\" must be %s", f->name, type_name(f->type));
    return -EINVAL;
}

int schema_complete(const struct field *fields, const json_t *object, char message[SCHEMA_MESSAGE])
{
    for (const struct field *f = fields; f && f->name; f++) {
        if (f->required && !json_object_get(object, f->name)) {
            snprintf(message, SCHEMA_MESSAGE, "\"%s\" is missing: %s", f->name, type_name(f->type));
            return -EINVAL;
        }
    }
    return 0;
}

int schema_body(const struct field *fields, const void *data, size_t size, json_t **ret,
                char message[SCHEMA_MESSAGE])
{
    json_error_t error;
    CLEANUP(json_decrefp)
    json_t *body = json_loadb(data ? data : "", size, JSON_REJECT_DUPLICATES, &error);
    if (!body) {
        /* jansson's words hold a piece of the input, which need not be a whole character. */
        CLEANUP(freep) char *text = utf8_copy(error.text, strlen(error.text));
        snprintf(message, SCHEMA_MESSAGE, "the body is not JSON: line %d, column %d: %s",
                 error.line, error.column, text ? text : "");
        return -EBADMSG;
    }
    if (!json_is_object(body)) {
        snprintf(message, SCHEMA_MESSAGE, "the body must be a JSON object");
        return -EINVAL;
    }
    const char *name;
    json_t *value;
    json_object_foreach (body, name, value) {
        const struct field *f = field_find(fields, name);
        int r = f ? check(f, value, message) : unknown(fields, name, message);
        if (r < 0)
            return r;
    }
    int r = schema_complete(fields, body, message);
    if (r < 0)
        return r;
    *ret = TAKE(body);
    return 0;
}

static json_t *parse(const struct field *f, const char *value)
{
    char *end;
    if (f->type == FIELD_STRING)
        return json_string(value);
    if (f->type == FIELD_BOOL)
        return strcmp(value, "true") == 0 || strcmp(value, "1") == 0    ? json_true()
               : strcmp(value, "false") == 0 || strcmp(value, "0") == 0 ? json_false()
                                                                        : NULL;
    errno = 0;
    if (f->type == FIELD_INTEGER) {
        long long v = strtoll(value, &end, 10);
        return *end || errno ? NULL : json_integer(v);
    }
    double v = strtod(value, &end);
    return *end || errno || !isfinite(v) ? NULL : json_real(v);
}

int schema_parameter(const struct field *fields, const char *name, const char *value, size_t size,
                     json_t *object, char message[SCHEMA_MESSAGE])
{
    if (!utf8_is_valid(name, strlen(name)) || !utf8_is_valid(value, size)) {
        snprintf(message, SCHEMA_MESSAGE, "the query is not valid UTF-8");
        return -EINVAL;
    }
    const struct field *f = field_find(fields, name);
    if (!f)
        return unknown(fields, name, message);
    if (!size)
        return 0;
    if (json_object_get(object, name)) {
        snprintf(message, SCHEMA_MESSAGE, "\"%s\" is given twice", f->name);
        return -EINVAL;
    }
    CLEANUP(json_decrefp) json_t *v = parse(f, value);
    if (!v) {
        snprintf(message, SCHEMA_MESSAGE, "\"%s\" must be %s", f->name, type_name(f->type));
        return -EINVAL;
    }
    int r = check(f, v, message);
    if (r < 0)
        return r;
    return json_object_set_new(object, name, TAKE(v)) < 0 ? -ENOMEM : 0;
}
