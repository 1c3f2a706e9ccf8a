/* The engine running on the scene of scene.c with a rule that learns in 80 s, and what it told. */
#pragma once

#include "soc/engine.h"
#include "soc/scene.h"

#define WORKLOAD "shop/web"
#define LEARNT_S 80 /* the short rule below has learnt by then */

struct run {
    struct engine *engine;
    struct engine_options options;
    struct scene scene;
    unsigned opened, changed, closed, held, scores;
    unsigned keeps[3];
    char last[ALERT_ID_MAX];
    struct engine_score strangest[CHANNELS];
};

void setup(struct run *r);
void teardown(struct run *r);
/* Ends the block and gives it to the engine. */
void step(struct run *r);
/* Serves in containers 1..n (process 100 * number) for so long. */
void serve(struct run *r, unsigned n, double seconds);
/* The same in this container alone. */
void serve_only(struct run *r, uint32_t number, double seconds);
/* Vigia begins anew, with container 1, after the wall clock was set back by so much. */
void new_capture(struct run *r, double back_s);
/* The engine goes on from its saved state. */
void reload(struct run *r);
/* n containers attached and served until the profile is ready. */
void learn(struct run *r, unsigned n);
/* A container begins: boots and serves for so long as container 1. */
void restart(struct run *r, uint32_t number, double seconds, bool attack);
const struct alert *last_alert(const struct run *r);
/* The process starts a child that executes a program. */
void child_in(struct run *r, unsigned container, uint32_t parent, uint32_t tgid,
              const char *program);
void child(struct run *r, uint32_t parent, uint32_t tgid, const char *program);
