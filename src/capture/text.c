#include "capture/text.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

void text_join(const char *parts, uint32_t length, char ret[TEXT_JOINED_MAX])
{
    size_t at = TEXT_JOINED_MAX - 1;
    ret[at] = 0;
    const char *part = parts, *end = parts + length;
    while (part < end) {
        size_t n = strnlen(part, (size_t)(end - part));
        /* The root of a kernel-internal mount is called '/': its name is all the path there is. */
        if (n && !(n == 1 && *part == '/') && at > n + 1) {
            at -= n;
            memcpy(ret + at, part, n);
            if (*part != '/')
                ret[--at] = '/';
        }
        part += n + 1;
    }
    memmove(ret, ret + at, TEXT_JOINED_MAX - at);
}

struct joined {
    char path[TEXT_JOINED_MAX + TEXT_MAX]; /* "/a/b"; of a relative path too, "" is '/' or '.' */
    size_t length, floor;                  /* floor: '..' that a relative path begins with */
    bool absolute;
};

static void joined_add(struct joined *j, const char *part, size_t n)
{
    bool up = n == 2 && !memcmp(part, "..", 2);
    if (!n || (n == 1 && *part == '.') || j->length == sizeof(j->path))
        return;
    if (up && (j->absolute || j->length > j->floor)) {
        while (j->length && j->path[--j->length] != '/')
            ;
        return;
    }
    j->path[j->length++] = '/';
    n = MIN(n, sizeof(j->path) - j->length);
    memcpy(j->path + j->length, part, n);
    j->length += n;
    if (up)
        j->floor = j->length;
}

static void joined_add_all(struct joined *j, const char *path, size_t length)
{
    for (size_t at = 0, n; at < length; at += n + 1) {
        const char *slash = memchr(path + at, '/', length - at);
        n = slash ? (size_t)(slash - path) - at : length - at;
        joined_add(j, path + at, n);
    }
}

void text_path(const char *base, const char *path, size_t length, char ret[TEXT_MAX + 1])
{
    struct joined j = {.absolute = base || (length && *path == '/')};
    if (base)
        joined_add_all(&j, base, strlen(base));
    joined_add_all(&j, path, length);
    const char *end = path + length;
    bool slash = j.length && length > 1 && (end[-1] == '/' || (end[-1] == '.' && end[-2] == '/'));
    if (j.absolute)
        snprintf(ret, TEXT_MAX + 1, "%s%.*s%s", j.length ? "" : "/", (int)j.length, j.path,
                 slash ? "/" : "");
    else
        snprintf(ret, TEXT_MAX + 1, "relative:%.*s%s", j.length ? (int)j.length - 1 : 1,
                 j.length ? j.path + 1 : ".", slash ? "/" : "");
}

/* The path of a record. */
static void text_path_of(const struct record_text *r, char ret[TEXT_MAX + 1])
{
    char base[TEXT_JOINED_MAX];
    if (r->based)
        text_join(r->base, MIN(r->base_length, PATH_BYTES), base);
    text_path(r->based ? base : NULL, r->bytes, strnlen(r->bytes, MIN(r->length, TEXT_BYTES)), ret);
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
        text_path_of(r, path);
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
        text_path_of(r, ret);
        return TEXT_PATH;
    }
}
