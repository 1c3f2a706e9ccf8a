/* Bodies and queries of every route, against the route's own schema: whatever comes, it is refused
 * with valid UTF-8, or what is let through is what the schema says. The first byte picks the route,
 * the second body or query. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "soc/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct field *fields, const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)object, name, value) {
        const struct field *f = fields;
        while (f && f->name && strcmp(f->name, name) != 0)
            f++;
        ASSERT(f && f->name);
        if (f->type == FIELD_STRING) {
            ASSERT(json_is_string(value));
            ASSERT(f->max == 0 || json_string_length(value) <= f->max);
            ASSERT(strlen(json_string_value(value)) == json_string_length(value));
        } else if (f->type != FIELD_BOOL) {
            ASSERT(json_number_value(value) >= f->min && json_number_value(value) <= f->max);
        }
    }
}

static void body(const struct route *r, const uint8_t *data, size_t size)
{
    char message[SCHEMA_MESSAGE] = "";
    json_t *object = NULL;
    int status = schema_body(r->body, data, size, &object, message);
    ASSERT((status == 0) == (object != NULL));
    ASSERT((status == 0) == !message[0]);
    ASSERT(utf8_is_valid(message, strlen(message)));
    if (object)
        check(r->body, object);
    json_decref(object);
}

/* name=value&name=value, as libmicrohttpd hands them out: decoded, NUL-terminated */
static void query(const struct route *r, const uint8_t *data, size_t size)
{
    char message[SCHEMA_MESSAGE] = "";
    json_t *object = json_object();
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    int status = 0;
    char *save, *part = strtok_r(text, "&", &save);
    for (; part && status == 0; part = strtok_r(NULL, "&", &save)) {
        char *value = strchr(part, '=');
        if (value)
            *value++ = '\0';
        else
            value = part + strlen(part);
        status = schema_parameter(r->query, part, value, strlen(value), object, message);
    }
    if (status == 0)
        status = schema_complete(r->query, object, message);
    ASSERT(utf8_is_valid(message, strlen(message)));
    check(r->query, object);
    json_decref(object);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static size_t routes;
    while (route_table[routes].method)
        routes++;
    if (size < 2 || size > BODY_MAX)
        return 0;
    const struct route *r = &route_table[data[0] % routes];
    char id[128], *path = strndup((const char *)data + 2, size - 2);
    char allow[ALLOW_SIZE];
    route_find(data[1] & 2 ? "GET" : "POST", path, id, sizeof(id), allow);
    free(path);
    if (data[1] & 1)
        body(r, data + 2, size - 2);
    else
        query(r, data + 2, size - 2);
    return 0;
}
