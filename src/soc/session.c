#include "soc/session.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS_PER_USER 16
#define TOKEN_BYTES 32

struct slot {
    bool used;
    uint8_t hash[crypto_generichash_BYTES];
    double begun_s, last_s;
    struct session session;
};

struct sessions {
    pthread_mutex_t mutex;
    double idle_s, age_s;
    uint32_t n;
    struct slot slots[];
};

int sessions_new(uint32_t sessions_max, double idle_s, double age_s, struct sessions **ret)
{
    struct sessions *s = calloc(1, sizeof(*s) + sessions_max * sizeof(s->slots[0]));
    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->mutex, NULL);
    s->idle_s = idle_s;
    s->age_s = age_s;
    s->n = sessions_max;
    *ret = s;
    return 0;
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    sodium_memzero(s->slots, s->n * sizeof(s->slots[0]));
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

static void token_make(char ret[SESSION_TOKEN_SIZE])
{
    uint8_t bytes[TOKEN_BYTES];
    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2base64(ret, SESSION_TOKEN_SIZE, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof(bytes));
}

static void token_hash(const char *token, uint8_t ret[crypto_generichash_BYTES])
{
    crypto_generichash(ret, crypto_generichash_BYTES, (const uint8_t *)token, strlen(token), NULL,
                       0);
}

static void slot_clear(struct slot *slot)
{
    sodium_memzero(slot, sizeof(*slot));
}

static bool slot_ended(const struct sessions *s, const struct slot *slot, double now_s)
{
    return now_s - slot->last_s > s->idle_s || now_s - slot->begun_s > s->age_s;
}

/* A free slot; else the longest unused, of this user when he has too many, of all when full. */
static struct slot *slot_for(struct sessions *s, const char *name, double now_s)
{
    struct slot *vacant = NULL, *oldest = NULL, *oldest_own = NULL;
    uint32_t own = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->used && slot_ended(s, slot, now_s))
            slot_clear(slot);
        if (!slot->used) {
            vacant = slot;
            continue;
        }
        if (!oldest || slot->last_s < oldest->last_s)
            oldest = slot;
        if (strcmp(slot->session.name, name) != 0)
            continue;
        own++;
        if (!oldest_own || slot->last_s < oldest_own->last_s)
            oldest_own = slot;
    }
    if (own >= SESSIONS_PER_USER)
        return oldest_own;
    return vacant ? vacant : oldest;
}

void session_begin(struct sessions *s, const char *name, const char *generation, double now_s,
                   char ret_token[SESSION_TOKEN_SIZE], struct session *ret)
{
    token_make(ret_token);
    pthread_mutex_lock(&s->mutex);
    struct slot *slot = slot_for(s, name, now_s);
    slot_clear(slot);
    slot->used = true;
    slot->begun_s = slot->last_s = now_s;
    token_hash(ret_token, slot->hash);
    snprintf(slot->session.name, sizeof(slot->session.name), "%s", name);
    snprintf(slot->session.generation, sizeof(slot->session.generation), "%s", generation);
    token_make(slot->session.csrf);
    *ret = slot->session;
    pthread_mutex_unlock(&s->mutex);
}

/* All slots are compared, whatever matches: the time says nothing about the token. */
static struct slot *slot_find(struct sessions *s, const char *token)
{
    uint8_t hash[crypto_generichash_BYTES];
    struct slot *found = NULL;
    token_hash(token, hash);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->slots[i].used && sodium_memcmp(s->slots[i].hash, hash, sizeof(hash)) == 0)
            found = &s->slots[i];
    }
    return found;
}

int session_find(struct sessions *s, const char *token, double now_s, struct session *ret)
{
    int r = -ENOENT;
    pthread_mutex_lock(&s->mutex);
    struct slot *slot = slot_find(s, token);
    if (slot && slot_ended(s, slot, now_s)) {
        slot_clear(slot);
    } else if (slot) {
        slot->last_s = now_s;
        *ret = slot->session;
        r = 0;
    }
    pthread_mutex_unlock(&s->mutex);
    return r;
}

void session_end(struct sessions *s, const char *token)
{
    pthread_mutex_lock(&s->mutex);
    struct slot *slot = slot_find(s, token);
    if (slot)
        slot_clear(slot);
    pthread_mutex_unlock(&s->mutex);
}

void session_end_user(struct sessions *s, const char *name)
{
    pthread_mutex_lock(&s->mutex);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->slots[i].used && strcmp(s->slots[i].session.name, name) == 0)
            slot_clear(&s->slots[i]);
    }
    pthread_mutex_unlock(&s->mutex);
}

uint32_t sessions_count(struct sessions *s, double now_s)
{
    uint32_t n = 0;
    pthread_mutex_lock(&s->mutex);
    for (uint32_t i = 0; i < s->n; i++)
        n += s->slots[i].used && !slot_ended(s, &s->slots[i], now_s);
    pthread_mutex_unlock(&s->mutex);
    return n;
}

bool session_token_equal(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && sodium_memcmp(a, b, strlen(a)) == 0;
}
