/* The stable 64-bit hash behind every id that leaves the node (XXH3). */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t size);
uint64_t hash_string(const char *s);
/* Mixes a further value into a hash; order matters. */
static inline uint64_t hash_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9fb21c651e98df25);
    return h ^ (h >> 35);
}
