#include "soc/limit.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Keys are kept as a keyed hash: an attacker cannot make names collide, and names typed by mistake
 * (passwords, often) do not stay in memory. */
struct entry {
    uint64_t key; /* 0 free */
    uint32_t attempts;
    double last_s, until_s;
};

struct limit {
    pthread_mutex_t mutex;
    uint8_t secret[crypto_shorthash_KEYBYTES];
    uint64_t refused;
    uint32_t n;
    struct entry entries[];
};

int limit_new(uint32_t entries_max, struct limit **ret)
{
    struct limit *l = calloc(1, sizeof(*l) + entries_max * sizeof(l->entries[0]));
    if (!l)
        return -ENOMEM;
    pthread_mutex_init(&l->mutex, NULL);
    randombytes_buf(l->secret, sizeof(l->secret));
    l->n = entries_max;
    *ret = l;
    return 0;
}

void limit_free(struct limit *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

static uint64_t key_of(const struct limit *l, const char *key)
{
    uint64_t h;
    crypto_shorthash((uint8_t *)&h, (const uint8_t *)key, strlen(key), l->secret);
    return h ? h : 1;
}

/* The key's entry or NULL. A few thousand entries are looked through in microseconds, beside a
 * password hash of a tenth of a second. */
static struct entry *find(struct limit *l, uint64_t key)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->entries[i].key == key)
            return &l->entries[i];
    }
    return NULL;
}

/* Of those that need not wait the free or longest unused one, made the key's. NULL: all have to
 * wait; *ret_wait says for how long at least. */
static struct entry *make(struct limit *l, uint64_t key, double now_s, double *ret_wait)
{
    struct entry *oldest = NULL;
    *ret_wait = INFINITY;
    for (uint32_t i = 0; i < l->n; i++) {
        struct entry *e = &l->entries[i];
        if (e->until_s > now_s)
            *ret_wait = fmin(*ret_wait, e->until_s - now_s);
        else if (!oldest || e->last_s < oldest->last_s)
            oldest = e;
    }
    if (oldest)
        *oldest = (struct entry){.key = key};
    return oldest;
}

double limit_take(struct limit *l, const struct limit_rule *rule, const char *key, double now_s)
{
    double wait = 0;
    pthread_mutex_lock(&l->mutex);
    uint64_t hash = key_of(l, key);
    struct entry *e = find(l, hash);
    if (!e)
        e = make(l, hash, now_s, &wait);
    if (e && e->attempts && now_s - e->last_s > rule->forget_s)
        e->attempts = 0, e->until_s = 0;
    if (!e) {
        l->refused++;
    } else if (now_s < e->until_s) {
        wait = e->until_s - now_s;
        l->refused++;
    } else {
        wait = 0;
        e->attempts++;
        e->last_s = now_s;
        if (e->attempts >= rule->free)
            e->until_s = now_s + fmin(rule->wait_s * exp2(fmin(e->attempts - rule->free, 30)),
                                      rule->wait_max_s);
    }
    pthread_mutex_unlock(&l->mutex);
    return wait;
}

void limit_clear(struct limit *l, const char *key)
{
    pthread_mutex_lock(&l->mutex);
    struct entry *e = find(l, key_of(l, key));
    if (e)
        *e = (struct entry){0};
    pthread_mutex_unlock(&l->mutex);
}

double limit_last(struct limit *l, const char *key)
{
    pthread_mutex_lock(&l->mutex);
    struct entry *e = find(l, key_of(l, key));
    double last = e ? e->last_s : 0;
    pthread_mutex_unlock(&l->mutex);
    return last;
}

uint64_t limit_refused(struct limit *l)
{
    pthread_mutex_lock(&l->mutex);
    uint64_t n = l->refused;
    pthread_mutex_unlock(&l->mutex);
    return n;
}
