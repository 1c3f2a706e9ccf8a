#include "capture/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_CAPACITY_MIN 64

void table_init(struct table *t, uint32_t n_max)
{
    *t = (struct table){.n_max = n_max};
}

void table_done(struct table *t)
{
    free(t->keys);
    free(t->values);
    *t = (struct table){.n_max = t->n_max};
}

void table_clear(struct table *t)
{
    if (t->keys)
        memset(t->keys, 0, t->capacity * sizeof(*t->keys));
    t->n = 0;
}

static uint32_t table_at(const struct table *t, uint64_t key)
{
    uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(h >> 32) & (t->capacity - 1);
    while (t->keys[i] && t->keys[i] != key)
        i = (i + 1) & (t->capacity - 1);
    return i;
}

uint64_t *table_get(const struct table *t, uint64_t key)
{
    if (!t->capacity)
        return NULL;
    uint32_t i = table_at(t, key);
    return t->keys[i] ? &t->values[i] : NULL;
}

static int table_grow(struct table *t, uint32_t capacity)
{
    struct table bigger = {.capacity = capacity, .n_max = t->n_max, .n = t->n};
    bigger.keys = calloc(capacity, sizeof(*bigger.keys));
    bigger.values = calloc(capacity, sizeof(*bigger.values));
    if (!bigger.keys || !bigger.values) {
        table_done(&bigger);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < t->capacity; i++) {
        if (!t->keys[i])
            continue;
        uint32_t at = table_at(&bigger, t->keys[i]);
        bigger.keys[at] = t->keys[i];
        bigger.values[at] = t->values[i];
    }
    table_done(t);
    *t = bigger;
    return 0;
}

int table_put(struct table *t, uint64_t key, uint64_t value)
{
    uint64_t *found = table_get(t, key);
    if (found) {
        *found = value;
        return 0;
    }
    if (t->n >= t->n_max)
        return -ENOSPC;
    if ((t->n + 1) * 4 > t->capacity * 3) {
        int error = table_grow(t, t->capacity ? t->capacity * 2 : TABLE_CAPACITY_MIN);
        if (error)
            return error;
    }
    uint32_t i = table_at(t, key);
    t->keys[i] = key;
    t->values[i] = value;
    t->n++;
    return 0;
}

void table_sweep(struct table *t, bool (*drop)(uint64_t key, uint64_t *value, void *user),
                 void *user)
{
    if (!t->capacity)
        return;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->capacity; i++) {
        if (t->keys[i] && drop(t->keys[i], &t->values[i], user))
            t->keys[i] = 0;
        n += t->keys[i] != 0;
    }
    t->n = n;
    uint32_t capacity = TABLE_CAPACITY_MIN;
    while ((n + 1) * 2 > capacity)
        capacity *= 2;
    /* Rehashing closes the holes; without memory for it the old chains would be broken. */
    if (table_grow(t, capacity))
        table_clear(t);
}

void aging_init(struct aging *a, uint32_t generation_max)
{
    *a = (struct aging){0};
    table_init(&a->young, generation_max);
    table_init(&a->old, generation_max);
}

void aging_done(struct aging *a)
{
    table_done(&a->young);
    table_done(&a->old);
}

void aging_clear(struct aging *a)
{
    table_clear(&a->young);
    table_clear(&a->old);
}

static void generation_end(struct aging *a)
{
    for (uint32_t i = 0; a->drop && i < a->old.capacity; i++) {
        if (a->old.keys[i] && !table_get(&a->young, a->old.keys[i]))
            a->drop(a->old.keys[i], a->user);
    }
    table_done(&a->old);
    a->old = a->young;
    table_init(&a->young, a->old.n_max);
}

int aging_put(struct aging *a, uint64_t key, uint64_t value)
{
    if (a->young.n == a->young.n_max && !table_get(&a->young, key))
        generation_end(a);
    return table_put(&a->young, key, value);
}

uint64_t *aging_get(struct aging *a, uint64_t key)
{
    uint64_t *young = table_get(&a->young, key);
    if (young)
        return young;
    uint64_t *old = table_get(&a->old, key);
    if (!old)
        return NULL;
    uint64_t value = *old;
    return aging_put(a, key, value) ? NULL : table_get(&a->young, key);
}
