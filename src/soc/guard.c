#include "soc/guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "soc/origin.h"

struct watched {
    int fd; /* -1 free */
    uint64_t since_ns;
    char origin[ORIGIN_SIZE];
};

struct guard {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    bool stopping;
    uint64_t limit_ns, cut, refused;
    uint32_t n;
    struct watched watched[];
};

/* The mutex is held while a socket is shut down: guard_end() comes before its close, so the number
 * cannot have become another file meanwhile. */
static void cut_off(struct guard *g, uint64_t now_ns)
{
    for (uint32_t i = 0; i < g->n; i++) {
        struct watched *w = &g->watched[i];
        if (w->fd < 0 || now_ns - w->since_ns < g->limit_ns)
            continue;
        shutdown(w->fd, SHUT_RDWR);
        w->since_ns = now_ns;
        g->cut++;
    }
}

static void *run(void *argument)
{
    struct guard *g = argument;
    pthread_mutex_lock(&g->mutex);
    while (!g->stopping) {
        uint64_t next_ns = clock_mono_ns() + NS_PER_S / 2;
        struct timespec until = {(time_t)(next_ns / NS_PER_S), (long)(next_ns % NS_PER_S)};
        pthread_cond_timedwait(&g->stop, &g->mutex, &until);
        cut_off(g, clock_mono_ns());
    }
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

int guard_start(uint32_t connections_max, uint32_t limit_s, struct guard **ret)
{
    struct guard *g = calloc(1, sizeof(*g) + connections_max * sizeof(g->watched[0]));
    pthread_condattr_t attributes;
    if (!g)
        return -ENOMEM;
    g->n = connections_max;
    g->limit_ns = limit_s * NS_PER_S;
    for (uint32_t i = 0; i < g->n; i++)
        g->watched[i].fd = -1;
    pthread_mutex_init(&g->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&g->stop, &attributes);
    pthread_condattr_destroy(&attributes);
    int r = pthread_create(&g->thread, NULL, run, g);
    if (r) {
        free(g);
        return -r;
    }
    *ret = g;
    return 0;
}

void guard_stop(struct guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->mutex);
    g->stopping = true;
    pthread_cond_signal(&g->stop);
    pthread_mutex_unlock(&g->mutex);
    pthread_join(g->thread, NULL);
    pthread_mutex_destroy(&g->mutex);
    pthread_cond_destroy(&g->stop);
    free(g);
}

int guard_begin(struct guard *g, int fd, const char *origin)
{
    int slot = -1;
    pthread_mutex_lock(&g->mutex);
    for (uint32_t i = 0; i < g->n && slot < 0; i++) {
        if (g->watched[i].fd >= 0)
            continue;
        g->watched[i] = (struct watched){.fd = fd, .since_ns = clock_mono_ns()};
        snprintf(g->watched[i].origin, ORIGIN_SIZE, "%s", origin);
        slot = (int)i;
    }
    pthread_mutex_unlock(&g->mutex);
    return slot;
}

bool guard_refuses(struct guard *g, const char *origin)
{
    uint32_t n = 0;
    pthread_mutex_lock(&g->mutex);
    for (uint32_t i = 0; i < g->n; i++)
        n += g->watched[i].fd >= 0 && strcmp(g->watched[i].origin, origin) == 0;
    bool refused = n >= (g->n + 1) / 2;
    g->refused += refused;
    pthread_mutex_unlock(&g->mutex);
    return refused;
}

void guard_touch(struct guard *g, int slot)
{
    pthread_mutex_lock(&g->mutex);
    if (slot >= 0)
        g->watched[slot].since_ns = clock_mono_ns();
    pthread_mutex_unlock(&g->mutex);
}

void guard_end(struct guard *g, int slot)
{
    pthread_mutex_lock(&g->mutex);
    if (slot >= 0)
        g->watched[slot].fd = -1;
    pthread_mutex_unlock(&g->mutex);
}

uint64_t guard_cut(struct guard *g)
{
    pthread_mutex_lock(&g->mutex);
    uint64_t n = g->cut;
    pthread_mutex_unlock(&g->mutex);
    return n;
}

uint64_t guard_refused(struct guard *g)
{
    pthread_mutex_lock(&g->mutex);
    uint64_t n = g->refused;
    pthread_mutex_unlock(&g->mutex);
    return n;
}
