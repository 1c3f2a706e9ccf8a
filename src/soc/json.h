/* Owning locals of jansson, and strings that may be any bytes. */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"

/* A JSON string of any bytes; NULL as "". NULL: no memory. */
static inline json_t *json_text(const char *s)
{
    CLEANUP(freep) char *copy = utf8_copy(s ? s : "", s ? strlen(s) : 0);
    return copy ? json_string(copy) : NULL;
}

static inline const char *json_get_string(const json_t *object, const char *name,
                                          const char *otherwise)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : otherwise;
}

static inline double json_get_number(const json_t *object, const char *name, double otherwise)
{
    const json_t *v = json_object_get(object, name);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

/* How lists name a container: "pod/name", "name", "pod" (its sandbox), or the runtime's id, which
 * is what is left when metadata is missing. */
#define CONTAINER_LABEL_MAX 300
static inline const char *json_container_label(const json_t *container,
                                               char ret[static CONTAINER_LABEL_MAX])
{
    const char *pod = json_get_string(container, "pod", "");
    const char *name = json_get_string(container, "name", "");
    const char *id = json_get_string(container, "id", "");
    const char *rest = *name || *pod ? name : *id ? id : json_get_string(container, "key", "");
    snprintf(ret, CONTAINER_LABEL_MAX, "%.150s%s%.140s", pod, *pod && *rest ? "/" : "", rest);
    return ret;
}
