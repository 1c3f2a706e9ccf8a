#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cleanup.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t items_max, first, count;
    bool closed;
    void *items[];
};

int queue_new(size_t items_max, struct queue **ret)
{
    struct queue *q = calloc(1, sizeof(*q) + items_max * sizeof(void *));
    if (!q)
        return -ENOMEM;
    q->items_max = items_max;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    *ret = q;
    return 0;
}

void queue_free(struct queue *q)
{
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static void unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

#define LOCKED(q)                                                                                  \
    CLEANUP(unlockp) pthread_mutex_t *locked_ = &(q)->lock;                                        \
    pthread_mutex_lock(locked_)

static int push(struct queue *q, void *item, bool wait)
{
    LOCKED(q);
    while (!q->closed && q->count == q->items_max) {
        if (!wait)
            return -EAGAIN;
        pthread_cond_wait(&q->changed, &q->lock);
    }
    if (q->closed)
        return -EPIPE;
    q->items[(q->first + q->count++) % q->items_max] = item;
    pthread_cond_broadcast(&q->changed);
    return 0;
}

int queue_push(struct queue *q, void *item)
{
    return push(q, item, true);
}

int queue_try_push(struct queue *q, void *item)
{
    return push(q, item, false);
}

int queue_pop(struct queue *q, int timeout_ms, void **ret)
{
    uint64_t until_ns = clock_mono_ns() + (uint64_t)timeout_ms * 1000000;
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};
    LOCKED(q);
    while (q->count == 0) {
        if (q->closed)
            return -EPIPE;
        if (timeout_ms < 0)
            pthread_cond_wait(&q->changed, &q->lock);
        else if (pthread_cond_timedwait(&q->changed, &q->lock, &until) == ETIMEDOUT && !q->count)
            return q->closed ? -EPIPE : -ETIMEDOUT;
    }
    *ret = q->items[q->first];
    q->first = (q->first + 1) % q->items_max;
    q->count--;
    pthread_cond_broadcast(&q->changed);
    return 0;
}

void queue_close(struct queue *q)
{
    LOCKED(q);
    q->closed = true;
    pthread_cond_broadcast(&q->changed);
}
