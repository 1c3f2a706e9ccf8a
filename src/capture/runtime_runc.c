/* Plain runc: RUN/runc/<name>/state.json gives the cgroups and the bundle, whose config.json
 * gives the command (runc, libcontainer/container_linux.go: struct State). */
#include "capture/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct search {
    const struct runtime_query *q;
    struct runtime_facts *facts;
    json_t *state;
    char name[CGROUP_NAME_MAX + 1];
};

static bool path_ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && !strcmp(path + n - m, end);
}

/* cgroup_paths holds directories: /sys/fs/cgroup[/<hierarchy>] and the kernel's path. */
static bool is_cgroup(const char *directory, const char *path)
{
    if (!path_ends_in(directory, path))
        return false;
    size_t n = strlen(directory) - strlen(path);
    CLEANUP(freep) char *mount = strndup(directory, n);
    if (!mount)
        return false;
    if (path_ends_in(mount, "/cgroup"))
        return true;
    char *slash = strrchr(mount, '/');
    if (slash)
        *slash = '\0';
    return path_ends_in(mount, "/cgroup");
}

static bool has_path(json_t *state, const char *path)
{
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(state, "cgroup_paths"), key, value)
        if (json_is_string(value) && is_cgroup(json_string_value(value), path))
            return true;
    return false;
}

static int look(int dir, const char *name, void *arg)
{
    struct search *s = arg;
    char path[CGROUP_NAME_MAX + 32];
    CLEANUP(json_decrefp) json_t *state = NULL;
    CLEANUP(runtime_facts_done) struct runtime_facts ignored = {0};
    snprintf(path, sizeof(path), "%s/state.json", name);
    if (runtime_json(dir, path, &ignored, &state) || !has_path(state, s->q->path))
        return -ENOENT;
    s->state = TAKE(state);
    snprintf(s->name, sizeof(s->name), "%s", name);
    return 0;
}

/* Another's state under this very name must not be taken for it: names are per runc root. */
static int look_named(int dir, struct search *s)
{
    char path[CGROUP_NAME_MAX + 32];
    CLEANUP(json_decrefp) json_t *state = NULL;
    if (!runtime_name_ok(s->q->name->id))
        return -ENOENT;
    snprintf(path, sizeof(path), "%s/state.json", s->q->name->id);
    int r = runtime_json(dir, path, s->facts, &state);
    if (r < 0)
        return r;
    if (!has_path(state, s->q->path))
        return -ENOENT;
    s->state = TAKE(state);
    snprintf(s->name, sizeof(s->name), "%s", s->q->name->id);
    return 0;
}

/* The bundle's path was given to runc by who started it; what it holds is read like all else. */
static void take_bundle(const char *bundle, struct runtime_facts *f)
{
    CLEANUP(closep) int dir = -1;
    CLEANUP(json_decrefp) json_t *config = NULL;
    CLEANUP(runtime_facts_done) struct runtime_facts ignored = {0};
    if (bundle[0] != '/' || strstr(bundle, "/../") || path_ends_in(bundle, "/..") ||
        runtime_open_dir(AT_FDCWD, bundle, &dir) ||
        runtime_json(dir, "config.json", &ignored, &config))
        return;
    runtime_oci(config, f);
    runtime_labels(&f->c, json_object_get(config, "annotations"));
}

static int take(struct search *s, struct runtime_facts *f)
{
    json_t *config = json_object_get(s->state, "config"), *label;
    size_t i;
    if (runtime_set(&f->c.runtime, "runc") || runtime_set(&f->c.name, s->name) ||
        runtime_set(&f->hostname, runtime_text(config, "hostname")))
        return -ENOMEM;
    json_array_foreach (json_object_get(config, "labels"), i, label) {
        const char *text = json_string_value(label);
        if (text && !strncmp(text, "bundle=", 7))
            take_bundle(text + 7, f);
    }
    return 0;
}

static const char *const roots[] = {"runc", "containerd/runc/k8s.io", "docker/runtime-runc/moby"};

static int runc_find(const struct runtime_paths *paths, const struct runtime_query *q,
                     struct runtime_facts *ret)
{
    CLEANUP(closep) int run = -1;
    if (runtime_open_dir(AT_FDCWD, paths->run, &run))
        return -ENOENT;
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        CLEANUP(closep) int dir = -1;
        struct search s = {.q = q, .facts = ret};
        if (runtime_open_dir(run, roots[i], &dir))
            continue;
        int r = look_named(dir, &s);
        if (r == -ENOENT && q->name->kind == CGROUP_UNKNOWN)
            r = runtime_each_entry(dir, look, &s);
        if (r == 0) {
            r = take(&s, ret);
            json_decref(s.state);
        }
        if (r != -ENOENT)
            return r;
    }
    return -ENOENT;
}

const struct runtime runtime_runc = {"runc", runc_find};
