/* containerd: the bundle of each task lies below
 * STATE/io.containerd.runtime.v2.task/<namespace>/<id> (containerd, runtime/v2/bundle.go); its CRI
 * plugin writes what a pod is into the annotations of config.json (pkg/cri/annotations). Docker's
 * containers are tasks of the namespace "moby". */
#include "capture/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CRI "io.kubernetes.cri."

struct search {
    const char *id;
    struct runtime_facts *facts;
    char namespace_[CGROUP_NAME_MAX + 1];
    json_t *config;
};

static int look(int dir, const char *namespace_, void *arg)
{
    struct search *s = arg;
    char path[2 * CGROUP_NAME_MAX + 32];
    snprintf(path, sizeof(path), "%s/%s/config.json", namespace_, s->id);
    int r = runtime_json(dir, path, s->facts, &s->config);
    if (r == 0)
        snprintf(s->namespace_, sizeof(s->namespace_), "%s", namespace_);
    return r;
}

static int take(struct search *s, struct runtime_facts *ret)
{
    struct container *c = &ret->c;
    json_t *notes = json_object_get(s->config, "annotations");
    const char *type = runtime_text(notes, CRI "container-type");
    const char *name = runtime_text(notes, CRI "container-name");
    c->sandbox = type && !strcmp(type, "sandbox");
    if (runtime_set(&c->runtime, strcmp(s->namespace_, "moby") ? "containerd" : "docker") ||
        runtime_set(&c->name, name ? name : runtime_text(notes, "nerdctl/name")) ||
        runtime_set(&c->image, runtime_text(notes, CRI "image-name")) ||
        runtime_set(&c->namespace_, runtime_text(notes, CRI "sandbox-namespace")) ||
        runtime_set(&c->pod, runtime_text(notes, CRI "sandbox-name")) ||
        runtime_oci(s->config, ret))
        return -ENOMEM;
    return runtime_labels(c, notes);
}

static int containerd_find(const struct runtime_paths *paths, const struct runtime_query *q,
                           struct runtime_facts *ret)
{
    static const char *const states[] = {"containerd/io.containerd.runtime.v2.task",
                                         "k3s/containerd/io.containerd.runtime.v2.task",
                                         "docker/containerd/daemon/io.containerd.runtime.v2.task"};
    CLEANUP(closep) int root = -1;
    if (!runtime_name_ok(q->name->id) || runtime_open_dir(AT_FDCWD, paths->run, &root))
        return -ENOENT;
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        CLEANUP(closep) int dir = -1;
        struct search s = {.id = q->name->id, .facts = ret};
        if (runtime_open_dir(root, states[i], &dir))
            continue;
        int r = runtime_each_entry(dir, look, &s);
        if (r == 0) {
            r = take(&s, ret);
            json_decref(s.config);
        }
        if (r != -ENOENT)
            return r;
    }
    return -ENOENT;
}

const struct runtime runtime_containerd = {"containerd", containerd_find};
