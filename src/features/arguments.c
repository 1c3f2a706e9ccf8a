#include "features/arguments.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"

static const struct {
    enum zone zone;
    const char *pattern;
} zone_table[] = {
#define ZONE(zone, pattern) {ZONE_##zone, pattern},
#include "features/zones.def"
#undef ZONE
};

static const char *const zone_names[ZONES] = {
    [ZONE_OTHER] = "other",
    [ZONE_BINARIES] = "system binaries",
    [ZONE_LIBRARIES] = "libraries",
    [ZONE_APPLICATION] = "application",
    [ZONE_CONFIGURATION] = "configuration",
    [ZONE_CREDENTIALS] = "credentials",
    [ZONE_PERSISTENCE] = "persistence",
    [ZONE_OWN_PROC] = "its own process",
    [ZONE_OTHERS_PROC] = "other processes",
    [ZONE_KERNEL_CONTROL] = "kernel control",
    [ZONE_RUNTIME] = "container runtime and host",
    [ZONE_DEVICES] = "devices",
    [ZONE_TEMPORARY] = "temporary",
    [ZONE_DATA] = "data",
    [ZONE_LOGS] = "logs",
    [ZONE_RELATIVE] = "relative path",
    [ZONE_NONE] = "",
};

const char *zone_name(enum zone z)
{
    return z < ZONES ? zone_names[z] : "?";
}

bool zone_is_bold(enum zone z)
{
    return z == ZONE_CREDENTIALS || z == ZONE_PERSISTENCE || z == ZONE_OTHERS_PROC ||
           z == ZONE_KERNEL_CONTROL || z == ZONE_RUNTIME;
}

/* Length of the run at s that stands for a number: digits; or hex of eight and more with a digit in
 * it (hashes, uuids, addresses of memory). 0: none. */
static size_t varying_run(const char *s)
{
    size_t n = 0, digits = 0;
    while (isxdigit((unsigned char)s[n]) || (n >= 8 && s[n] == '-' && digits)) {
        digits += isdigit((unsigned char)s[n]) != 0;
        n++;
    }
    while (n && s[n - 1] == '-')
        n--;
    if (n >= 8 && digits)
        return n;
    for (n = 0; isdigit((unsigned char)s[n]); n++)
        ;
    return n;
}

/* Copies with varying runs as '#', slashes once, at most size - 1 bytes. */
static void generalise(const char *s, size_t size, char *ret)
{
    size_t n = 0;
    while (*s && n + 1 < size) {
        size_t run = varying_run(s);
        char c = run ? '#' : *s;
        s += run ? run : 1;
        if (n && ret[n - 1] == c && (c == '#' || c == '/'))
            continue;
        ret[n++] = c;
    }
    ret[n] = 0;
}

static enum zone zone_of(const char *path)
{
    if (path[0] != '/')
        return ZONE_RELATIVE;
    for (size_t i = 0; i < ARRAY_SIZE(zone_table); i++) {
        if (fnmatch(zone_table[i].pattern, path, 0) == 0)
            return zone_table[i].zone;
    }
    return ZONE_OTHER;
}

/* Cuts the path to the first two components of its directory: "/usr/lib/x/y.so" -> "/usr/lib",
 * "/etc/passwd" -> "/etc", "/data" -> "/". */
static void cut_to_directory(char *path)
{
    char *last = strrchr(path, '/');
    if (!last) {
        path[0] = 0;
        return;
    }
    *last = 0;
    char *at = path[0] == '/' ? path + 1 : path;
    for (int components = 0; (at = strchr(at, '/')); at++) {
        if (++components == 2) {
            *at = 0;
            return;
        }
    }
}

/* Writing where programs lie is bold wherever reading is everyday. */
static bool access_is_bold(enum text_access access, enum zone zone)
{
    bool writes = access == ACCESS_WRITE || access == ACCESS_CREATE || access == ACCESS_DELETE ||
                  access == ACCESS_RENAME || access == ACCESS_ATTRIBUTE;
    return zone_is_bold(zone) || (writes && (zone == ZONE_BINARIES || zone == ZONE_LIBRARIES));
}

static bool text_is_bold(const struct text *t)
{
    if (t->kind == TEXT_FLAG)
        return strncmp(t->text, "socket", 6) != 0;
    return strstr(t->text, "metadata") || strstr(t->text, "docker.sock") ||
           strstr(t->text, "containerd.sock");
}

void argument_classify(const struct text *t, struct argument_class *ret)
{
    ret->zone = ZONE_NONE;
    ret->key = 0;
    ret->directory[0] = 0;
    if (t->kind == TEXT_PROGRAM)
        return;
    bool bold;
    if (t->kind == TEXT_PATH) {
        generalise(t->text, sizeof(ret->directory), ret->directory);
        ret->zone = zone_of(ret->directory);
        bold = access_is_bold(t->access, ret->zone);
        if (!bold)
            cut_to_directory(ret->directory);
    } else {
        snprintf(ret->directory, sizeof(ret->directory), "%s", t->text);
        bold = text_is_bold(t);
    }
    uint64_t h = hash_mix(hash_string(ret->directory), t->kind);
    h = hash_mix(hash_mix(h, t->access), ret->zone);
    h = h << 1 | bold;
    ret->key = h ? h : 2;
}

uint64_t argument_class_key(uint64_t class_key, uint64_t program)
{
    if (!class_key)
        return 0;
    uint64_t h = hash_mix(class_key, program) << 1 | (class_key & 1);
    return h ? h : 2;
}
