/* A capped table from 64-bit keys (not 0) to 64-bit values: open addressing, no deletion of single
 * keys but table_sweep(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct table {
    uint64_t *keys, *values;
    uint32_t n, capacity, n_max; /* capacity: a power of two, or 0 */
};

void table_init(struct table *t, uint32_t n_max);
void table_done(struct table *t);
void table_clear(struct table *t);
/* NULL when the key is not there. The pointer is valid until the next table_put or table_sweep. */
uint64_t *table_get(const struct table *t, uint64_t key);
/* Inserts or replaces. -ENOSPC at the cap, -ENOMEM. */
int table_put(struct table *t, uint64_t key, uint64_t value);
/* Removes the entries for which drop() says so. */
void table_sweep(struct table *t, bool (*drop)(uint64_t key, uint64_t *value, void *user),
                 void *user);

/* A table that forgets what was not looked for lately: two generations. What is found in the old
 * one becomes young again; when the young one is full, the old one goes. drop() hears of each key
 * that is gone. */
struct aging {
    struct table young, old;
    void (*drop)(uint64_t key, void *user); /* NULL: nobody */
    void *user;
};

void aging_init(struct aging *a, uint32_t generation_max); /* entries of one generation */
void aging_done(struct aging *a);
void aging_clear(struct aging *a); /* drop() is not called */
/* NULL when the key is not there. The pointer is valid until the next call. */
uint64_t *aging_get(struct aging *a, uint64_t key);
int aging_put(struct aging *a, uint64_t key, uint64_t value); /* -ENOMEM */
