/* podman and CRI-O keep their containers in containers/storage: <driver>-containers/<id>/userdata
 * holds config.json; podman's names and images stand in <driver>-containers/containers.json
 * (containers/storage, containers.go), CRI-O's in annotations (cri-o, pkg/annotations). */
#include "capture/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CRIO "io.kubernetes.cri-o."

struct search {
    const char *id;
    struct runtime_facts *facts;
    json_t *config;
    char driver[CGROUP_NAME_MAX + 1]; /* "overlay-containers" */
};

static int look(int dir, const char *name, void *arg)
{
    struct search *s = arg;
    char path[2 * CGROUP_NAME_MAX + 64];
    const char *end = strstr(name, "-containers");
    if (!end || strcmp(end, "-containers"))
        return -ENOENT;
    snprintf(path, sizeof(path), "%s/%s/userdata/config.json", name, s->id);
    int r = runtime_json(dir, path, s->facts, &s->config);
    if (r == 0)
        snprintf(s->driver, sizeof(s->driver), "%s", name);
    return r;
}

static int take_crio(json_t *notes, struct runtime_facts *f)
{
    struct container *c = &f->c;
    const char *type = runtime_text(notes, CRIO "ContainerType");
    const char *image = runtime_text(notes, CRIO "ImageName");
    const char *labels = runtime_text(notes, CRIO "Labels");
    CLEANUP(json_decrefp) json_t *object = labels ? json_loads(labels, 0, NULL) : NULL;
    c->sandbox = type && !strcmp(type, "sandbox");
    if (runtime_set(&c->runtime, "cri-o") ||
        runtime_set(&c->name,
                    c->sandbox ? NULL : runtime_text(notes, "io.kubernetes.container.name")) ||
        runtime_set(&c->image, image ? image : runtime_text(notes, CRIO "Image")) ||
        runtime_set(&c->namespace_, runtime_text(notes, "io.kubernetes.pod.namespace")) ||
        runtime_set(&c->pod, runtime_text(notes, "io.kubernetes.pod.name")))
        return -ENOMEM;
    return runtime_labels(c, object);
}

/* One of the two lists of podman; "volatile" are those of `podman run --rm`. */
static int take_podman(int dir, const char *list, const char *id, struct runtime_facts *f)
{
    CLEANUP(json_decrefp) json_t *all = NULL;
    json_t *one;
    size_t i;
    int r = runtime_list(dir, list, f, &all);
    if (r < 0) /* without a list config.json alone still gives the command */
        return r == -ENOENT ? 0 : r;
    json_array_foreach (all, i, one) {
        const char *its = runtime_text(one, "id"), *metadata = runtime_text(one, "metadata");
        if (!its || strcmp(its, id))
            continue;
        CLEANUP(json_decrefp) json_t *more = metadata ? json_loads(metadata, 0, NULL) : NULL;
        const char *name = json_string_value(json_array_get(json_object_get(one, "names"), 0));
        if (runtime_set(&f->c.name, name ? name : runtime_text(more, "name")) ||
            runtime_set(&f->c.image, runtime_text(more, "image-name")))
            return -ENOMEM;
        return 0;
    }
    return 0;
}

static int take(int dir, struct search *s, struct runtime_facts *f)
{
    json_t *notes = json_object_get(s->config, "annotations");
    char list[CGROUP_NAME_MAX + 64];
    int r = runtime_oci(s->config, f);
    if (r < 0)
        return r;
    if (runtime_text(notes, CRIO "ContainerType"))
        return take_crio(notes, f);
    r = runtime_set(&f->c.runtime, "podman");
    snprintf(list, sizeof(list), "%s/containers.json", s->driver);
    r = r < 0 ? r : take_podman(dir, list, s->id, f);
    snprintf(list, sizeof(list), "%s/volatile-containers.json", s->driver);
    r = r < 0 ? r : take_podman(dir, list, s->id, f);
    return r < 0 ? r : runtime_labels(&f->c, notes);
}

static int storage_find(const struct runtime_paths *paths, const struct runtime_query *q,
                        struct runtime_facts *ret)
{
    char run[CGROUP_PATH_MAX], data[CGROUP_PATH_MAX];
    const char *const roots[] = {data, run};
    snprintf(data, sizeof(data), "%s/storage", paths->podman);
    snprintf(run, sizeof(run), "%s/containers/storage", paths->run);
    if (q->name->kind != CGROUP_CONTAINER || !runtime_name_ok(q->name->id))
        return -ENOENT;
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        CLEANUP(closep) int dir = -1;
        struct search s = {.id = q->name->id, .facts = ret};
        if (runtime_open_dir(AT_FDCWD, roots[i], &dir))
            continue;
        int r = runtime_each_entry(dir, look, &s);
        if (r == 0) {
            r = take(dir, &s, ret);
            json_decref(s.config);
        }
        if (r != -ENOENT)
            return r;
    }
    return -ENOENT;
}

const struct runtime runtime_storage = {"podman", storage_find};
