/* Which cgroup is which container, and is it wanted: runtime state on disk (containerd, CRI-O,
 * Docker, podman, runc), cgroup v1, v2 and mixed (docs/CAPTURE.md, "Which container").
 *
 * One thread calls all of this. Metadata is written by others: it is read bounded, never followed
 * out of its directory, kept as it is (cut to CONTAINER_STRING_MAX) and escaped where it is shown.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/container.h"

struct containers;

/* Shell patterns (fnmatch); empty list: no restriction by that field. A container is wanted when it
 * matches every non-empty include list and no exclude. While its metadata is not known it is wanted
 * for ten seconds, so that its first calls are there if it turns out to be wanted; after that only
 * when there is no include list (and its cgroup is really a container's). For those ten seconds it
 * has no workload (""), afterwards its id is its workload. */
struct container_selector {
    const char *const *names, *const *images, *const *namespaces, *const *labels; /* NULL-ended */
    const char *const *exclude; /* patterns on name, image, namespace/pod or label k=v */
};

struct containers_options {
    struct container_selector selector;
    const char *workload_label; /* label whose value is the workload key; NULL: none */
    const char *proc;           /* default /proc: tests give another root */
    const char *cgroup;         /* default /sys/fs/cgroup */
    const char *run;            /* default /run */
    const char *docker;         /* default /var/lib/docker */
    const char *podman;         /* default /var/lib/containers */
    uint32_t containers_max;    /* default 16384; more are counted, not kept */
};

/* The selector's strings are copied. */
int containers_new(const struct containers_options *options, struct containers **ret);
void containers_free(struct containers *c);

/* New selector at run time; containers whose wanted changed are reported by the next poll. */
int containers_select(struct containers *c, const struct container_selector *selector);

/* Containers of an earlier run of the same capture: the scan gives those that still run (same id
 * and cgroup_id) their old number again, and their birth if born_ns is set. Adds to those of
 * earlier calls; to be called before the scan. */
int containers_restore(struct containers *c, const struct container *known, uint32_t n);

/* Numbers the containers that exist now (cgroups that hold processes of a runtime), attached =
 * true, with their metadata as far as it can be had. number_next: the first number to give; moved
 * on. -ENOENT when proc cannot be read. */
int containers_scan(struct containers *c, uint64_t now_ns, uint32_t *number_next);

/* The kernel saw a new cgroup and gave it a number. path: as the kernel says ("/docker/<id>").
 * Returns the container; unresolved until a poll finds its metadata. When the cgroup lies inside
 * that of a known container it is that one that returns (its number is another: use it for both).
 * NULL: no container (a slice, a service, a runtime's parent directory), or refused by the cap,
 * which containers_refused() counts. */
const struct container *containers_add(struct containers *c, uint32_t number, uint64_t cgroup_id,
                                       const char *path, uint64_t now_ns);
/* The cgroup is gone; kept until containers_drained(). */
void containers_remove(struct containers *c, uint32_t number, uint64_t now_ns);
/* It runs on after all, until it is removed again: a process of it was moved out of the cgroup. */
void containers_stay(struct containers *c, uint32_t number);
/* Nothing of it is left in the rings: forgotten once a poll has reported that it is gone. */
void containers_drained(struct containers *c, uint32_t number);

/* Looks again for metadata of unresolved ones (at most 32 a call, each with a growing back-off),
 * and gives those that are new or changed since the last poll, as copies: container_done() each,
 * free() the array. *ret is NULL when there are none. */
int containers_poll(struct containers *c, uint64_t now_ns, struct container **ret, uint32_t *ret_n);

/* All kept ones, for listing: pointers valid until the next call. */
const struct container *containers_get(struct containers *c, uint32_t number);
uint32_t containers_count(const struct containers *c);
uint32_t containers_max(const struct containers *c);
/* i in [0, containers_count), by number. */
const struct container *containers_at(const struct containers *c, uint32_t i);
/* Kernel id's hierarchy of a container found by the scan: "unified", "pids", "memory", "systemd".
 * Ids are unique only within one. "" for those that the kernel named. */
const char *containers_hierarchy(const struct containers *c, uint32_t number);
uint64_t containers_refused(const struct containers *c);
uint64_t containers_unresolved(const struct containers *c);
