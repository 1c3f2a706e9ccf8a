/* Tells threads to end, also those that wait for their next round. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool set;
};

void stop_init(struct stop *s);
void stop_done(struct stop *s);
void stop_set(struct stop *s);
/* Waits so long, or until it is set: true. 0: only looks. */
bool stop_wait(struct stop *s, uint64_t wait_ns);
