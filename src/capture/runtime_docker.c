/* Docker: DATA/containers/<id>/config.v2.json (moby, container/container.go: struct Container). */
#include "capture/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Path and Args are what runs: entry point and command after Docker joined them. */
static int take_args(json_t *root, struct runtime_facts *f)
{
    const char *path = runtime_text(root, "Path");
    json_t *args = json_object_get(root, "Args"), *arg;
    size_t i;
    f->args = json_array();
    if (!f->args)
        return -ENOMEM;
    if (path)
        json_array_append_new(f->args, json_string(path));
    json_array_foreach (args, i, arg)
        if (json_is_string(arg))
            json_array_append(f->args, arg);
    return 0;
}

static int docker_find(const struct runtime_paths *paths, const struct runtime_query *q,
                       struct runtime_facts *ret)
{
    CLEANUP(closep) int root = -1;
    CLEANUP(json_decrefp) json_t *config = NULL;
    char path[CGROUP_NAME_MAX + 64];
    if (q->name->kind != CGROUP_CONTAINER || !runtime_name_ok(q->name->id) ||
        runtime_open_dir(AT_FDCWD, paths->docker, &root))
        return -ENOENT;
    snprintf(path, sizeof(path), "containers/%s/config.v2.json", q->name->id);
    int r = runtime_json(root, path, ret, &config);
    if (r < 0)
        return r;
    json_t *inner = json_object_get(config, "Config");
    const char *name = runtime_text(config, "Name");
    if (!json_is_object(inner))
        return runtime_reason(ret, -EBADMSG, path);
    /* The daemon writes names with a slash in front, a relic of links. */
    if (runtime_set(&ret->c.runtime, "docker") ||
        runtime_set(&ret->c.name, name && *name == '/' ? name + 1 : name) ||
        runtime_set(&ret->c.image, runtime_text(inner, "Image")) ||
        runtime_set(&ret->hostname, runtime_text(inner, "Hostname")) ||
        runtime_labels(&ret->c, json_object_get(inner, "Labels")) || take_args(config, ret))
        return -ENOMEM;
    return 0;
}

const struct runtime runtime_docker = {"docker", docker_find};
