/* What the runtimes leave on disk about their containers. Everything here reads files that others
 * wrote: at most 1 MiB each (a list of all containers: 16 MiB), regular files only, and below a
 * runtime's own directory no symbolic link and no ".." is followed. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "capture/cgroup.h"
#include "event/container.h"

#define RUNTIME_FILE_MAX (1U << 20)
#define RUNTIME_LIST_MAX (16U << 20)
#define RUNTIME_ENTRIES_MAX 4096 /* entries of one directory that are looked at */

struct runtime_paths {
    const char *run;    /* /run */
    const char *docker; /* /var/lib/docker */
    const char *podman; /* /var/lib/containers */
};

/* A cgroup whose container is asked for. path is the container's own cgroup. */
struct runtime_query {
    const struct cgroup_name *name;
    const char *path;
};

/* What a runtime knows, before the workload key is made of it. */
struct runtime_facts {
    struct container c; /* strings; not the numbers and times */
    char *hostname;     /* to leave out of the command's hash */
    json_t *args;       /* owned: array of strings, or NULL */
};
void runtime_facts_done(struct runtime_facts *f);

/* One family of runtimes. find: 0 and the facts; -ENOENT: not one of mine (or not yet); any other
 * error: it is mine but its state cannot be used, and ret->c.reason says why. */
struct runtime {
    const char *name;
    int (*find)(const struct runtime_paths *paths, const struct runtime_query *q,
                struct runtime_facts *ret);
};
extern const struct runtime runtime_docker, runtime_containerd, runtime_storage, runtime_runc;

/* Asks all of them in the order in which they know most. */
int runtime_find(const struct runtime_paths *paths, const struct runtime_query *q,
                 struct runtime_facts *ret);

/* Helpers for the families. Strings are cut to CONTAINER_STRING_MAX at a character's edge. */
bool runtime_name_ok(const char *name); /* one path component, not "." or ".." */
int runtime_open_dir(int at, const char *path,
                     int *ret); /* at AT_FDCWD: the root itself, any path */
int runtime_json(int dir, const char *path, struct runtime_facts *f, json_t **ret);
/* Same, of a list of all containers. */
int runtime_list(int dir, const char *path, struct runtime_facts *f, json_t **ret);
int runtime_set(char **field, const char *value); /* replaces; NULL leaves as it is */
int runtime_label(struct container *c, const char *key, const char *value);
int runtime_labels(struct container *c, json_t *object);
const char *runtime_text(json_t *object, const char *key); /* NULL when absent or no string */
int runtime_reason(struct runtime_facts *f, int error, const char *what);
/* process.args and hostname of an OCI config.json. */
int runtime_oci(json_t *config, struct runtime_facts *f);
/* Calls f for each entry of a directory that is a plausible name, until it returns other than
 * -ENOENT, which is then returned. */
int runtime_each_entry(int dir, int (*f)(int dir, const char *name, void *arg), void *arg);
