/* The client of the demo: steady mixed load on both containers, from inside their own networks. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct demo_load;

struct demo_load_counts {
    uint64_t pages, commands; /* answered, by the web server and by redis */
    uint64_t failed;          /* not answered; a few around each restart are natural */
};

int demo_load_new(uint64_t seed, struct demo_load **ret);
/* First processes of the two containers; 0: that one is down, leave it alone. */
void demo_load_point(struct demo_load *l, pid_t web, pid_t redis);
void demo_load_count(struct demo_load *l, struct demo_load_counts *ret);
void demo_load_free(struct demo_load *l);
DEFINE_CLEANUP(demo_load_free, struct demo_load *)

/* A small generator (splitmix64): the same seed gives the same demo. */
uint64_t demo_random(uint64_t *state);

/* One HTTP request to 127.0.0.1 in the caller's network. Returns the status code, or -errno. The
 * answer is read to its end, at most size - 1 bytes of it kept when answer is not NULL. */
int demo_http(uint16_t port, const char *method, const char *target, const char *body,
              int timeout_s, char *answer, unsigned size);
