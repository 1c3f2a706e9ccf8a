#include "base/hash.h"

#include <string.h>
#include <xxhash.h>

uint64_t hash_bytes(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

uint64_t hash_string(const char *s)
{
    return hash_bytes(s, strlen(s));
}
