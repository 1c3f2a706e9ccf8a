/* Containers and processes: who makes the calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum container_state {
    CONTAINER_UNRESOLVED, /* a cgroup with calls whose metadata is not (yet) known */
    CONTAINER_RUNNING,
    CONTAINER_GONE,
};

struct label {
    char *key, *value;
};

/* Strings come from outside: any bytes but NUL, at most CONTAINER_STRING_MAX; escape on display. */
#define CONTAINER_STRING_MAX 512
#define CONTAINER_LABELS_MAX 64

struct container {
    uint32_t number;           /* within the capture, never reused; 0 is the host */
    uint8_t state;             /* enum container_state */
    bool wanted;               /* selected by the configuration: its calls are captured */
    bool attached;             /* was running before the capture: its start was not seen */
    bool sandbox;              /* the pause container of a pod */
    uint64_t cgroup_id;        /* kernfs id of the cgroup that named it */
    uint64_t born_ns, gone_ns; /* monotonic; gone_ns 0 while it runs */
    char *id;                  /* 64 hex of the runtime, or the cgroup's name */
    char *runtime;             /* "containerd", "docker", "podman", "runc", "cri-o", "" */
    char *name;                /* container name, else "" */
    char *image;               /* as written by the user, with tag */
    char *version;             /* tag or digest */
    char *namespace_;          /* Kubernetes namespace */
    char *pod;
    char *owner;          /* "Deployment/web", ... */
    char *command;        /* entry point and arguments, space-separated, for display */
    char *workload;       /* workload key (capture/workload.h) */
    char *reason;         /* why unresolved or not wanted, in words; "" otherwise */
    struct label *labels; /* [n_labels] */
    uint32_t n_labels;
};

int container_copy(const struct container *c, struct container *ret);
void container_done(struct container *c);
size_t container_bytes(const struct container *c); /* of its texts */

enum process_event { PROCESS_FORK, PROCESS_EXEC, PROCESS_EXIT, PROCESS_FOUND };

enum program_flag {
    PROGRAM_MEMFD = 1 << 0,
    PROGRAM_DELETED = 1 << 1,
    PROGRAM_NOT_FROM_IMAGE = 1 << 2, /* in the upper layer of an overlay: written after the start */
    PROGRAM_JOINED = 1 << 3,  /* entered the container from outside, before its first exec there */
    PROGRAM_SESSION = 1 << 4, /* first process of a docker exec / kubectl exec session */
};

/* Life-cycle of a process: (tgid, start_ns) names it. FOUND is a snapshot of a running one. */
struct process {
    uint64_t time_ns;
    uint64_t start_ns, parent_start_ns;
    uint64_t program;        /* text id of the program key */
    uint64_t parent_program; /* exec: program before the exec, or of the parent; for exec edges */
    uint32_t container, tgid, parent_tgid;
    uint32_t tid;      /* exec by a thread that was not the leader: its tid before */
    int32_t exit_code; /* exit: wait status */
    uint8_t event;     /* enum process_event */
    uint8_t flags;     /* enum program_flag */
    char *path;        /* exec, found: resolved path of the executable; else, and where a
                        * snapshot had no room, "" */
    char *arguments;   /* exec, found: argv joined with spaces, cut; else "" */
};
