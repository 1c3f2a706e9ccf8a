#include "base/stop.h"

#include "base/clock.h"

void stop_init(struct stop *s)
{
    pthread_condattr_t attributes;
    s->set = false;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void stop_done(struct stop *s)
{
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}

void stop_set(struct stop *s)
{
    pthread_mutex_lock(&s->lock);
    s->set = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

bool stop_wait(struct stop *s, uint64_t wait_ns)
{
    uint64_t until_ns = clock_mono_ns() + wait_ns;
    struct timespec until = {(time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S)};
    int waited = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->set && wait_ns && waited == 0)
        waited = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    bool set = s->set;
    pthread_mutex_unlock(&s->lock);
    return set;
}
