#include "base/dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_MIN 64

void dict_done(struct dict *d)
{
    free(d->values);
    free(d->slots);
    *d = (struct dict){0};
}

static uint32_t slot_of(const struct dict *d, uint64_t value)
{
    return (uint32_t)(hash_mix(0, value) >> 7) & (d->slots_n - 1);
}

static int grow(struct dict *d)
{
    uint32_t slots_n = d->slots_n ? d->slots_n * 2 : SLOTS_MIN;
    uint32_t *slots = calloc(slots_n, sizeof(*slots));
    uint64_t *values = slots ? realloc(d->values, slots_n / 2 * sizeof(*values)) : NULL;
    if (!values) {
        free(slots);
        return d->error = -ENOMEM;
    }
    free(d->slots);
    d->slots = slots;
    d->slots_n = slots_n;
    d->values = values;
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t at = slot_of(d, values[i]);
        while (slots[at])
            at = (at + 1) & (slots_n - 1);
        slots[at] = i + 1;
    }
    return 0;
}

/* The slot of the value, or the empty one where it would stand. */
static uint32_t slot_find(const struct dict *d, uint64_t value)
{
    uint32_t at = slot_of(d, value);
    while (d->slots[at] && d->values[d->slots[at] - 1] != value)
        at = (at + 1) & (d->slots_n - 1);
    return at;
}

uint32_t dict_find(const struct dict *d, uint64_t value)
{
    return d->slots_n ? d->slots[slot_find(d, value)] - 1 : UINT32_MAX;
}

uint32_t dict_add(struct dict *d, uint64_t value, bool *added)
{
    if (added)
        *added = false;
    if (d->error || (d->n * 2 >= d->slots_n && grow(d) < 0))
        return 0;
    uint32_t at = slot_find(d, value);
    if (d->slots[at])
        return d->slots[at] - 1;
    d->values[d->n] = value;
    d->slots[at] = ++d->n;
    if (added)
        *added = true;
    return d->n - 1;
}
