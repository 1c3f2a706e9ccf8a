/* Which cgroup is which container, and is it wanted: runtime state on disk (containerd, CRI-O,
 * Docker, podman, runc), cgroup v1, v2 and mixed (CAPTURE, "Which container"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/container.h"

struct containers;

/* Shell patterns (fnmatch); empty list: no restriction by that field. A container is wanted when it
 * matches every non-empty include list and no exclude. */
struct container_selector {
    const char *const *names, *const *images, *const *namespaces, *const *labels; /* NULL-ended */
    const char *const *exclude; /* patterns on name, image, namespace/pod or label k=v */
};

struct containers_options {
    struct container_selector selector;
    const char *workload_label; /* label whose value is the workload key; NULL: none */
    const char *proc;       /* default /proc: tests give another root */
    const char *cgroup;     /* default /sys/fs/cgroup */
    const char *run;        /* default /run */
    const char *docker;     /* default /var/lib/docker */
    const char *podman;     /* default /var/lib/containers */
    uint32_t containers_max; /* default 16384; more are counted, not kept */
};

int containers_new(const struct containers_options *options, struct containers **ret);
void containers_free(struct containers *c);

/* New selector at run time; containers whose wanted changed are reported by the next poll. */
int containers_select(struct containers *c, const struct container_selector *selector);

/* Numbers the containers that exist now (cgroups that hold processes of a runtime), attached = true.
 * number_next: the first number to give. */
int containers_scan(struct containers *c, uint64_t now_ns, uint32_t *number_next);

/* The kernel saw a new top cgroup and gave it a number. path: as the kernel says ("/docker/<id>").
 * Returns the container; unresolved until a poll finds its metadata. NULL when refused by the cap. */
const struct container *containers_add(struct containers *c, uint32_t number, uint64_t cgroup_id,
                                       const char *path, uint64_t now_ns);
/* The cgroup is gone; kept until containers_drained(). */
void containers_remove(struct containers *c, uint32_t number, uint64_t now_ns);
void containers_drained(struct containers *c, uint32_t number);

/* Looks again for metadata of unresolved ones (bounded work), and gives those that are new or
 * changed since the last poll, as copies: container_done() each, free() the array. */
int containers_poll(struct containers *c, uint64_t now_ns, struct container **ret, uint32_t *ret_n);

/* All kept ones, for listing: pointers valid until the next call. */
const struct container *containers_get(struct containers *c, uint32_t number);
uint32_t containers_count(const struct containers *c);
/* i in [0, containers_count). */
const struct container *containers_at(const struct containers *c, uint32_t i);
uint64_t containers_refused(const struct containers *c);
