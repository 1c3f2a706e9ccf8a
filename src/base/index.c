#include "base/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static uint32_t slot_of(const struct index *ix, uint64_t key)
{
    return (uint32_t)(hash_mix(0x2545f4914f6cdd1d, key) >> 32) & (ix->capacity - 1);
}

void index_done(struct index *ix)
{
    free(ix->keys);
    free(ix->values);
    *ix = (struct index){0};
}

void index_clear(struct index *ix)
{
    if (ix->capacity)
        memset(ix->values, 0xff, ix->capacity * sizeof(*ix->values));
    ix->n = 0;
}

uint32_t index_get(const struct index *ix, uint64_t key)
{
    if (!ix->capacity)
        return INDEX_NONE;
    for (uint32_t i = slot_of(ix, key);; i = (i + 1) & (ix->capacity - 1)) {
        if (ix->values[i] == INDEX_NONE || ix->keys[i] == key)
            return ix->values[i];
    }
}

static void insert(struct index *ix, uint64_t key, uint32_t value)
{
    uint32_t i = slot_of(ix, key);
    while (ix->values[i] != INDEX_NONE && ix->keys[i] != key)
        i = (i + 1) & (ix->capacity - 1);
    ix->n += ix->values[i] == INDEX_NONE;
    ix->keys[i] = key;
    ix->values[i] = value;
}

static int grow(struct index *ix)
{
    struct index old = *ix, more = {.capacity = old.capacity ? old.capacity * 2 : 64};
    more.keys = malloc(more.capacity * sizeof(*more.keys));
    more.values = malloc(more.capacity * sizeof(*more.values));
    if (!more.keys || !more.values) {
        index_done(&more);
        return -ENOMEM;
    }
    index_clear(&more);
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.values[i] != INDEX_NONE)
            insert(&more, old.keys[i], old.values[i]);
    }
    index_done(&old);
    *ix = more;
    return 0;
}

int index_put(struct index *ix, uint64_t key, uint32_t value)
{
    if (ix->n * 4 >= ix->capacity * 3) {
        int r = grow(ix);
        if (r < 0)
            return r;
    }
    insert(ix, key, value);
    return 0;
}

void index_remove(struct index *ix, uint64_t key)
{
    if (!ix->capacity)
        return;
    uint32_t mask = ix->capacity - 1, i = slot_of(ix, key);
    while (ix->values[i] != INDEX_NONE && ix->keys[i] != key)
        i = (i + 1) & mask;
    if (ix->values[i] == INDEX_NONE)
        return;
    ix->n--;
    for (uint32_t j = (i + 1) & mask; ix->values[j] != INDEX_NONE; j = (j + 1) & mask) {
        /* What lies at j may move to i unless its home lies after i on the way to j. */
        if (((j - slot_of(ix, ix->keys[j])) & mask) >= ((j - i) & mask)) {
            ix->keys[i] = ix->keys[j];
            ix->values[i] = ix->values[j];
            i = j;
        }
    }
    ix->values[i] = INDEX_NONE;
}
