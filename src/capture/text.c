#include "capture/text.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

void text_path(const char *path, size_t length, char ret[TEXT_MAX + 1])
{
    size_t at = 0;
    if (!length || *path != '/')
        at = (size_t)snprintf(ret, TEXT_MAX + 1, "relative:");
    size_t start = at;
    for (size_t i = 0; i < length && at < TEXT_MAX; i++) {
        bool after_slash = at > start ? ret[at - 1] == '/' : start > 0;
        if (path[i] == '/' && at > start && after_slash)
            continue;
        bool dot = path[i] == '.' && after_slash && (i + 1 == length || path[i + 1] == '/');
        if (dot && length > 1) {
            i += i + 1 < length; /* with the slash after it */
            continue;
        }
        ret[at++] = path[i];
    }
    ret[at] = 0;
}

static void text_inet(uint32_t value, char *ret)
{
    static const char *const classes[] = {"any",      "loopback",  "private", "link-local",
                                          "metadata", "multicast", "public"};
    uint32_t class = value >> 16, port = value & 0xffff;
    const char *name = class < ARRAY_SIZE(classes) ? classes[class] : "?";
    if (port)
        snprintf(ret, TEXT_MAX + 1, "%s:%u", name, port);
    else
        snprintf(ret, TEXT_MAX + 1, "%s:high", name);
}

static void text_unix(const struct record_text *r, char *ret)
{
    char path[TEXT_MAX + 1];
    if (r->length && r->bytes[0]) {
        text_path(r->bytes, strnlen(r->bytes, r->length), path);
        snprintf(ret, TEXT_MAX + 1, "unix:%.*s", TEXT_MAX - 5, path);
    } else if (r->length > 1) { /* abstract: a NUL before the name */
        snprintf(ret, TEXT_MAX + 1, "unix:@%.*s", (int)r->length - 1, r->bytes + 1);
    } else {
        snprintf(ret, TEXT_MAX + 1, "unix:");
    }
}

enum text_kind text_normalise(const struct record_text *r, char ret[TEXT_MAX + 1])
{
    switch (r->form) {
    case FORM_INET:
        text_inet(r->value, ret);
        return TEXT_ADDRESS;
    case FORM_UNIX:
        text_unix(r, ret);
        return TEXT_ADDRESS;
    case FORM_FAMILY:
        snprintf(ret, TEXT_MAX + 1, "family:%u", r->value);
        return TEXT_ADDRESS;
    case FORM_FLAG:
        text_flag(r->number, r->value, ret);
        return TEXT_FLAG;
    default:
        text_path(r->bytes, strnlen(r->bytes, r->length), ret);
        return TEXT_PATH;
    }
}
