/* What a request may carry: flat objects, field by field. One table describes a route's body and
 * one its query; what is not in the table is refused by name. Pure functions. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum field_type { FIELD_STRING, FIELD_NUMBER, FIELD_INTEGER, FIELD_BOOL };

struct field {
    const char *name; /* NULL ends the table */
    enum field_type type;
    bool required;
    double min, max;            /* numbers: range; strings: bytes */
    const char *const *choices; /* NULL-ended; NULL: any */
};

#define SCHEMA_MESSAGE 256

/* Body: one JSON object (RFC 8259) of these fields. Message says in words what is wrong and where:
 * -EINVAL (not what the table asks for), -EBADMSG (not JSON), -ENOMEM. */
int schema_body(const struct field *fields, const void *data, size_t size, json_t **ret,
                char ret_message[SCHEMA_MESSAGE]);
/* Adds a parameter of the query to the object, in its type; then, after the last, schema_complete()
 * looks for what is missing. Empty values count as not given. */
int schema_parameter(const struct field *fields, const char *name, const char *value, size_t size,
                     json_t *object, char ret_message[SCHEMA_MESSAGE]);
int schema_complete(const struct field *fields, const json_t *object,
                    char ret_message[SCHEMA_MESSAGE]);
