/* Files inside the binary: the built page (ui/dist) and docs/openapi.json. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct asset {
    const char *type, *etag;
    const unsigned char *data; /* static */
    size_t size;
};

bool asset_find(const char *url, struct asset *ret);
