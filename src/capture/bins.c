#include "capture/bins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define BINS_CAPACITY_MIN 1024
#define BINS_MAX 262144

void bins_done(struct bins *b)
{
    free(b->entries);
    *b = (struct bins){0};
}

static uint64_t entry_hash(const struct bin_entry *e)
{
    uint64_t h = hash_mix(e->second, (uint64_t)e->container << 32 | e->count.sysno);
    return hash_mix(h, e->count.program ^ e->level);
}

static int entry_same(const struct bin_entry *a, const struct bin_entry *b)
{
    return a->second == b->second && a->container == b->container && a->level == b->level &&
           a->count.program == b->count.program && a->count.sysno == b->count.sysno;
}

static struct bin_entry *entry_find(struct bin_entry *entries, uint32_t capacity,
                                    const struct bin_entry *key)
{
    uint32_t i = (uint32_t)(entry_hash(key) >> 20) & (capacity - 1);
    while (entries[i].used && !entry_same(&entries[i], key))
        i = (i + 1) & (capacity - 1);
    return &entries[i];
}

static int bins_grow(struct bins *b)
{
    uint32_t capacity = b->capacity ? b->capacity * 2 : BINS_CAPACITY_MIN;
    struct bin_entry *bigger = calloc(capacity, sizeof(*bigger));
    if (!bigger)
        return -ENOMEM;
    for (uint32_t i = 0; i < b->capacity; i++)
        if (b->entries[i].used)
            *entry_find(bigger, capacity, &b->entries[i]) = b->entries[i];
    free(b->entries);
    b->entries = bigger;
    b->capacity = capacity;
    return 0;
}

struct bin_count *bins_at(struct bins *b, uint32_t container, uint64_t second, uint64_t program,
                          uint16_t sysno, uint8_t level)
{
    struct bin_entry key = {.second = second,
                            .container = container,
                            .level = level,
                            .used = 1,
                            .count = {.program = program, .sysno = sysno}};
    if ((b->n + 1) * 2 > b->capacity && bins_grow(b))
        return NULL;
    struct bin_entry *e = entry_find(b->entries, b->capacity, &key);
    if (e->used)
        return &e->count;
    if (b->n >= BINS_MAX) {
        b->refused++;
        return NULL;
    }
    *e = key;
    b->n++;
    return &e->count;
}

#define COMPARE(x, y)                                                                              \
    if ((x) != (y))                                                                                \
    return (x) < (y) ? -1 : 1

static int entry_compare(const void *x, const void *y)
{
    const struct bin_entry *a = x, *b = y;
    COMPARE(b->used, a->used); /* the used ones first */
    COMPARE(a->container, b->container);
    COMPARE(a->second, b->second);
    COMPARE(a->level, b->level);
    COMPARE(a->count.program, b->count.program);
    COMPARE(a->count.sysno, b->count.sysno);
    return 0;
}

static int same_bin(const struct bin_entry *a, const struct bin_entry *b)
{
    return a->container == b->container && a->second == b->second && a->level == b->level;
}

int bins_flush(struct bins *b, struct block *block)
{
    if (!b->n)
        return 0;
    qsort(b->entries, b->capacity, sizeof(*b->entries), entry_compare);
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += i == 0 || !same_bin(&b->entries[i], &b->entries[i - 1]);
    block->bins = calloc(n, sizeof(*block->bins));
    if (!block->bins)
        return -ENOMEM;
    for (uint32_t i = 0, next; i < b->n; i = next) {
        for (next = i + 1; next < b->n && same_bin(&b->entries[next], &b->entries[i]); next++)
            ;
        struct bin *bin = &block->bins[block->n_bins];
        bin->counts = calloc(next - i, sizeof(*bin->counts));
        if (!bin->counts)
            return -ENOMEM;
        block->n_bins++;
        bin->container = b->entries[i].container;
        bin->second = b->entries[i].second;
        bin->level = b->entries[i].level;
        for (uint32_t k = i; k < next; k++)
            bin->counts[bin->n_counts++] = b->entries[k].count;
    }
    if (b->n * 8 < b->capacity && b->capacity > BINS_CAPACITY_MIN)
        bins_done(b); /* one busy second must not be cleared for ever after */
    else
        memset(b->entries, 0, b->capacity * sizeof(*b->entries));
    b->n = 0;
    return 0;
}
