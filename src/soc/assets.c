#include "soc/assets.h"

#include <string.h>

/* Each file between two labels of read-only data. */
#define ASSET(n, url, path, mime, tag)                                                             \
    __asm__(".pushsection .rodata\n"                                                               \
            "asset_" #n "_first:\n"                                                                \
            ".incbin \"" path "\"\n"                                                               \
            "asset_" #n "_last:\n"                                                                 \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const unsigned char asset_##n##_first[] __attribute__((visibility("hidden")));          \
    extern const unsigned char asset_##n##_last[] __attribute__((visibility("hidden")));
#include "assets_list.h"
#undef ASSET

bool asset_find(const char *url, struct asset *ret)
{
#define ASSET(n, name, path, mime, tag)                                                            \
    if (strcmp(url, name) == 0) {                                                                  \
        *ret = (struct asset){mime, tag, asset_##n##_first,                                        \
                              (size_t)(asset_##n##_last - asset_##n##_first)};                     \
        return true;                                                                               \
    }
#include "assets_list.h"
#undef ASSET
    return false;
}
