#include "base/crc.h"

static uint32_t table[256];

__attribute__((constructor)) static void table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c >> 1) ^ (0x82f63b78 & -(c & 1));
        table[i] = c;
    }
}

uint32_t crc32c(const void *data, size_t size)
{
    uint32_t c = ~UINT32_C(0);
    for (const uint8_t *p = data; size--; p++)
        c = table[(c ^ *p) & 0xff] ^ (c >> 8);
    return ~c;
}
