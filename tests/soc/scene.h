/* Blocks of a made-up workload for tests: a server that answers requests, its restarts, and what an
 * attacker does to it. Everything is counted from the second; nothing is random. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/block.h"

#define SCENE_CAPTURE 0x5ce7e

struct scene {
    uint64_t capture, tick; /* ticks of 250 ms since the beginning */
    struct block *block;    /* the one that is filled */
    uint64_t position;
    uint64_t wall_lead_ns; /* wall - monotonic */
};

struct scene_call {
    const char *name;
    int ret;              /* negative errno */
    const char *argument; /* path, or NULL */
    enum text_access access;
};

void scene_init(struct scene *s, uint64_t capture);
/* The next block: ends the one that was filled, which is the caller's to free. */
struct block *scene_end(struct scene *s);
double scene_seconds(const struct scene *s);

void scene_container(struct scene *s, uint32_t number, const char *workload, bool attached);
void scene_gone(struct scene *s, uint32_t number, const char *workload);
/* A process of the container: started by parent (0: none). Starts are told from the tgid. */
void scene_fork(struct scene *s, uint32_t container, uint32_t parent, uint32_t tgid,
                const char *program);
void scene_exec(struct scene *s, uint32_t container, uint32_t tgid, const char *before,
                const char *program, const char *arguments);
void scene_exit(struct scene *s, uint32_t container, uint32_t tgid);
/* n calls (NULL name ends) by one thread, as windows, and in the bins. repeat: so many times. */
void scene_calls(struct scene *s, uint32_t container, uint32_t tgid, const char *program,
                 const struct scene_call *calls, unsigned repeat);

/* One tick of normal serving by process tgid of the container. */
void scene_serve(struct scene *s, uint32_t container, uint32_t tgid);
/* The server's first calls. */
void scene_boot(struct scene *s, uint32_t container, uint32_t tgid);
/* The server starts a shell that reads /etc/shadow and starts a dropped program. */
void scene_attack(struct scene *s, uint32_t container, uint32_t tgid, uint32_t shell);
