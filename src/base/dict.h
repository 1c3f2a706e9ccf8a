/* Numbers values in the order in which they are first seen: 0, 1, 2, ... */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dict {
    uint64_t *values; /* [n] */
    uint32_t *slots;  /* [slots_n], a power of two at least twice n: index + 1, 0 empty */
    uint32_t n, slots_n;
    int error; /* 0 or -ENOMEM, sticky; then every index is 0 */
};

void dict_done(struct dict *d);
/* Index of the value, which is added when it is not there yet (then *added is true; may be NULL).
 */
uint32_t dict_add(struct dict *d, uint64_t value, bool *added);
/* Its index, or UINT32_MAX. */
uint32_t dict_find(const struct dict *d, uint64_t value);
