#include "detect/tally.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define SLOTS_MIN_LOG2 6

static int tally_allocate(struct tally *t, unsigned log2)
{
    CLEANUP(freep) uint64_t *keys = calloc((size_t)1 << log2, sizeof(*keys));
    CLEANUP(freep) uint32_t *counts = calloc((size_t)1 << log2, sizeof(*counts));
    if (!keys || !counts)
        return -ENOMEM;
    t->keys = TAKE(keys);
    t->counts = TAKE(counts);
    t->shift = 64 - log2;
    return 0;
}

int tally_init(struct tally *t, size_t n_max)
{
    *t = (struct tally){.n_max = MIN(n_max, (size_t)1 << 30)};
    return tally_allocate(t, SLOTS_MIN_LOG2);
}

void tally_done(struct tally *t)
{
    free(t->keys);
    free(t->counts);
    *t = (struct tally){0};
}

/* The slot of the key, or the free one where it belongs. */
static size_t tally_find(const struct tally *t, uint64_t key)
{
    size_t mask = ((size_t)1 << (64 - t->shift)) - 1;
    size_t i = tally_slot(t, key);
    while (t->keys[i] != key && t->keys[i] != 0)
        i = (i + 1) & mask;
    return i;
}

static int tally_grow(struct tally *t)
{
    struct tally bigger = *t;
    int err = tally_allocate(&bigger, 64 - t->shift + 1);
    if (err < 0)
        return err;
    size_t slots = (size_t)1 << (64 - t->shift);
    for (size_t i = 0; i < slots; i++) {
        if (t->keys[i] == 0)
            continue;
        size_t to = tally_find(&bigger, t->keys[i]);
        bigger.keys[to] = t->keys[i];
        bigger.counts[to] = t->counts[i];
    }
    tally_done(t);
    *t = bigger;
    return 0;
}

int tally_add(struct tally *t, uint64_t key, uint32_t weight)
{
    key = key ? key : 1;
    size_t i = tally_find(t, key);
    if (weight == 0)
        return 0;
    if (t->keys[i] == 0) {
        if (t->n >= t->n_max)
            return -ENOSPC;
        if (2 * (t->n + 1) > (size_t)1 << (64 - t->shift)) {
            int err = tally_grow(t);
            if (err < 0)
                return err;
            i = tally_find(t, key);
        }
        t->keys[i] = key;
        t->n++;
    }
    if (__builtin_add_overflow(t->counts[i], weight, &t->counts[i]))
        t->counts[i] = UINT32_MAX;
    return 0;
}

int tally_merge(struct tally *t, const struct tally *other)
{
    int first = 0;
    size_t slots = (size_t)1 << (64 - other->shift);
    for (size_t i = 0; i < slots; i++) {
        if (other->keys[i] == 0)
            continue;
        int err = tally_add(t, other->keys[i], other->counts[i]);
        first = first ? first : err;
    }
    return first;
}

static int key_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void tally_save(const struct tally *t, struct buf *ret)
{
    CLEANUP(freep) uint64_t *keys = malloc((t->n ? t->n : 1) * sizeof(*keys));
    if (!keys) {
        ret->error = ret->error ? ret->error : -ENOMEM;
        return;
    }
    size_t slots = (size_t)1 << (64 - t->shift), n = 0;
    for (size_t i = 0; i < slots; i++) {
        if (t->keys[i])
            keys[n++] = t->keys[i];
    }
    qsort(keys, n, sizeof(*keys), key_compare);
    buf_varint(ret, n);
    for (size_t i = 0; i < n; i++) {
        buf_varint(ret, keys[i] - (i ? keys[i - 1] : 0));
        buf_varint(ret, tally_get(t, keys[i]));
    }
}

int tally_load(struct tally *t, struct reader *r)
{
    uint64_t n = reader_varint(r), key = 0;
    /* Two bytes an entry at least: nothing is allocated for entries that cannot be there. */
    if (r->error || n > t->n_max || n > reader_left(r) / 2)
        return -EBADMSG;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t step = reader_varint(r), count = reader_varint(r);
        if (r->error || step == 0 || count == 0 || count > UINT32_MAX ||
            __builtin_add_overflow(key, step, &key))
            return -EBADMSG;
        int err = tally_add(t, key, (uint32_t)count);
        if (err < 0)
            return err;
    }
    return 0;
}
