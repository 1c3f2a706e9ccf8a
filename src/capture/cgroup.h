/* What the path of a cgroup says: which part of it is a container, of which runtime, or that it is
 * none. Paths are as the kernel gives them ("/docker/<id>", "/system.slice/docker-<id>.scope"). */
#pragma once

#include <stdint.h>

#define CGROUP_NAME_MAX 255 /* bytes of one component, as in the kernel */
#define CGROUP_PATH_MAX 4096

enum cgroup_kind {
    CGROUP_HOST,      /* a service, a session, a container's monitor: never a container */
    CGROUP_PARENT,    /* holds containers: "/docker", "/kubepods/burstable/pod<uid>", slices */
    CGROUP_CONTAINER, /* named as a runtime names its containers */
    CGROUP_UNKNOWN,   /* any other name: a container if a runtime's state says so (runc run web) */
};

struct cgroup_name {
    enum cgroup_kind kind;
    const char *runtime;          /* "docker", ... as far as the path tells, else "" */
    char id[CGROUP_NAME_MAX + 1]; /* container, unknown: 64 hex, or the component's name */
    uint32_t top_bytes; /* path up to here is the container's own cgroup; deeper: its child */
};

/* -EINVAL when it is no absolute path, holds ".." or is longer than the kernel allows. */
int cgroup_parse(const char *path, struct cgroup_name *ret);

/* The line of /proc/PID/cgroup that names the container: v2 where the process has a v2 cgroup that
 * is not the root and no service's (of a mixed layout it may have been left in that of the daemon
 * that started it), else the pids, else the memory, else the systemd hierarchy. text is the file's
 * content. hierarchy is the directory below /sys/fs/cgroup of a mixed or v1 layout ("unified",
 * "pids", ...). -ENOENT: in the root of all of them. */
struct cgroup_place {
    char hierarchy[16];
    char path[CGROUP_PATH_MAX];
};
int cgroup_of(const char *text, struct cgroup_place *ret);

/* Kernfs id of a cgroup: the inode of its directory. Such ids are unique within one hierarchy only.
 * root: /sys/fs/cgroup, of a v2, v1 or mixed layout. */
int cgroup_id(const char *root, const struct cgroup_place *place, uint64_t *ret);

/* Same, when only the path is known: tried as v2, pids, memory, systemd. */
int cgroup_find(const char *root, const char *path, struct cgroup_place *ret, uint64_t *ret_id);
