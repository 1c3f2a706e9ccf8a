#include "capture/cgroup.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define HEX_ID 64

/* In the order in which they are believed; "" is the v2 line of /proc/PID/cgroup. */
static const struct {
    const char *controller, *directory;
} hierarchies[] = {
    {"", "unified"}, {"pids", "pids"}, {"memory", "memory"}, {"name=systemd", "systemd"}};

static bool ends_with(const char *s, size_t n, const char *end)
{
    size_t m = strlen(end);
    return n >= m && !memcmp(s + n - m, end, m);
}

static bool is(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && !memcmp(s, word, n);
}

static bool begins(const char *s, size_t n, const char *start)
{
    return n >= strlen(start) && !memcmp(s, start, strlen(start));
}

/* The 64 hex digits of a component that is such an id, or ends in one after a separator; a ".scope"
 * behind it is systemd's. NULL if there is none. */
static const char *hex_id(const char *s, size_t n)
{
    if (ends_with(s, n, ".scope"))
        n -= strlen(".scope");
    if (n < HEX_ID || (n > HEX_ID && s[n - HEX_ID - 1] != '-' && s[n - HEX_ID - 1] != ':'))
        return NULL;
    for (size_t i = n - HEX_ID; i < n; i++)
        if (!isxdigit((unsigned char)s[i]) || isupper((unsigned char)s[i]))
            return NULL;
    return s + n - HEX_ID;
}

/* What a component is called before its id, and else where it lies. */
static const char *runtime_of(const char *s, const char *id, const char *path)
{
    size_t n = (size_t)(id - s);
    if (begins(s, n, "docker-"))
        return "docker";
    if (begins(s, n, "libpod-"))
        return "podman";
    if (begins(s, n, "crio-"))
        return "cri-o";
    if (n && memmem(s, n, "cri-containerd", 14))
        return "containerd";
    if (begins(path, strlen(path), "/docker/"))
        return "docker";
    return strstr(path, "kubepods") ? "containerd" : "";
}

static bool is_parent(const char *s, size_t n)
{
    static const char *const names[] = {"docker", "kubepods",   "burstable",     "besteffort",
                                        "ecs",    "guaranteed", "libpod_parent", "machine",
                                        "lxc",    "buildkit"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (is(s, n, names[i]))
            return true;
    return ends_with(s, n, ".slice") ||
           (begins(s, n, "pod") && n == 39 && s[11] == '-' && s[16] == '-'); /* pod<uid> */
}

static bool is_host(const char *s, size_t n)
{
    return ends_with(s, n, ".service") || ends_with(s, n, ".scope") || ends_with(s, n, ".mount") ||
           ends_with(s, n, ".socket") || ends_with(s, n, ".swap") || is(s, n, "conmon") ||
           memmem(s, n, "-conmon-", 8);
}

static void found(struct cgroup_name *ret, const char *path, const char *id, size_t n,
                  const char *end, const char *runtime)
{
    ret->kind = CGROUP_CONTAINER;
    ret->runtime = runtime;
    memcpy(ret->id, id, n);
    ret->id[n] = '\0';
    ret->top_bytes = (uint32_t)(end - path);
}

/* Judges one component; true when it settles the matter. */
static bool component(const char *path, const char *s, size_t n, const char *before,
                      struct cgroup_name *ret)
{
    const char *id = hex_id(s, n);
    if (memmem(s, n, "-conmon-", 8)) {
        ret->kind = CGROUP_HOST;
        return true;
    }
    /* podman's pods have a cgroup with a bare id around those of their containers. */
    if (id && id == s && before && begins(before, (size_t)(s - before), "libpod_parent/")) {
        ret->kind = CGROUP_PARENT;
        return false;
    }
    if (id) {
        found(ret, path, id, HEX_ID, s + n, runtime_of(s, id, path));
        return true;
    }
    if (begins(s, n, "runc-") && ends_with(s, n, ".scope") && n > 11) {
        found(ret, path, s + 5, n - 11, s + n, "runc");
        return true;
    }
    if (is_host(s, n)) {
        /* Below a service a container may still come: kind, k3s and CI runners nest like that. */
        ret->kind = CGROUP_HOST;
        return false;
    }
    ret->kind = is_parent(s, n)            ? CGROUP_PARENT
                : ret->kind == CGROUP_HOST ? CGROUP_HOST
                                           : CGROUP_UNKNOWN;
    return false;
}

int cgroup_parse(const char *path, struct cgroup_name *ret)
{
    size_t size = strnlen(path, CGROUP_PATH_MAX);
    if (path[0] != '/' || size >= CGROUP_PATH_MAX)
        return -EINVAL;
    struct cgroup_name name = {.kind = CGROUP_PARENT, .runtime = ""};
    const char *before = NULL, *last = path + 1;
    size_t last_n = 0;
    for (const char *s = path + 1; *s;) {
        size_t n = strcspn(s, "/");
        if (n > CGROUP_NAME_MAX || is(s, n, "..") || is(s, n, ".") || n == 0)
            return -EINVAL;
        if (component(path, s, n, before, &name)) {
            *ret = name;
            return 0;
        }
        before = last = s;
        last_n = n;
        s += n + (s[n] == '/');
    }
    if (name.kind == CGROUP_UNKNOWN) {
        memcpy(name.id, last, last_n);
        name.id[last_n] = '\0';
        name.top_bytes = (uint32_t)(last + last_n - path);
    }
    *ret = name;
    return 0;
}

/* "9:name=systemd:/x": does the line's middle field hold this controller (alone or in a list)? */
static bool has_controller(const char *field, size_t n, const char *controller)
{
    if (!*controller)
        return n == 0;
    for (size_t i = 0; i < n; i += strcspn(field + i, ",:") + 1) {
        size_t m = strcspn(field + i, ",:");
        if (is(field + i, m, controller))
            return true;
    }
    return false;
}

static bool names_container(const char *path)
{
    struct cgroup_name name;
    return !cgroup_parse(path, &name) &&
           (name.kind == CGROUP_CONTAINER || name.kind == CGROUP_UNKNOWN);
}

int cgroup_of(const char *text, struct cgroup_place *ret)
{
    struct cgroup_place place;
    bool any = false;
    for (size_t h = 0; h < ARRAY_SIZE(hierarchies); h++) {
        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
            size_t size = strcspn(line, "\n");
            const char *field = memchr(line, ':', size);
            const char *path =
                field ? memchr(field + 1, ':', (size_t)(line + size - field - 1)) : NULL;
            if (!path ||
                !has_controller(field + 1, (size_t)(path - field - 1), hierarchies[h].controller))
                continue;
            size_t n = (size_t)(line + size - ++path);
            if (n < 2 || n >= sizeof(place.path))
                continue;
            /* A process whose cgroup was removed under it. */
            if (ends_with(path, n, " (deleted)"))
                n -= strlen(" (deleted)");
            snprintf(place.hierarchy, sizeof(place.hierarchy), "%s", hierarchies[h].directory);
            memcpy(place.path, path, n);
            place.path[n] = '\0';
            bool found = names_container(place.path);
            if (found || !any)
                *ret = place;
            if (found)
                return 0;
            any = true;
        }
    }
    return any ? 0 : -ENOENT;
}

int cgroup_id(const char *root, const struct cgroup_place *place, uint64_t *ret)
{
    char path[CGROUP_PATH_MAX + 512];
    struct stat st;
    if (strstr(place->path, "/../"))
        return -EINVAL;
    bool unified = !strcmp(place->hierarchy, "unified");
    snprintf(path, sizeof(path), "%s/cgroup.controllers", root);
    bool pure = !access(path, F_OK);
    if (pure && !unified)
        return -ENOENT;
    snprintf(path, sizeof(path), "%s%s%s%s", root, pure ? "" : "/", pure ? "" : place->hierarchy,
             place->path);
    if (lstat(path, &st))
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    *ret = st.st_ino;
    return 0;
}

int cgroup_find(const char *root, const char *path, struct cgroup_place *ret, uint64_t *ret_id)
{
    for (size_t h = 0; h < ARRAY_SIZE(hierarchies); h++) {
        struct cgroup_place place;
        snprintf(place.hierarchy, sizeof(place.hierarchy), "%s", hierarchies[h].directory);
        if ((size_t)snprintf(place.path, sizeof(place.path), "%s", path) >= sizeof(place.path))
            return -ENAMETOOLONG;
        if (!cgroup_id(root, &place, ret_id)) {
            *ret = place;
            return 0;
        }
    }
    return -ENOENT;
}
