/* Argument classes: what stays of a path, address or flag when everything that varies in normal
 * running is taken off (docs/ALERTS.md, "Names that learning hangs on"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/block.h"

enum zone {
    ZONE_OTHER,
    ZONE_BINARIES,
    ZONE_LIBRARIES,
    ZONE_APPLICATION,
    ZONE_CONFIGURATION,
    ZONE_CREDENTIALS,
    ZONE_PERSISTENCE,
    ZONE_OWN_PROC,
    ZONE_OTHERS_PROC,
    ZONE_KERNEL_CONTROL,
    ZONE_RUNTIME,
    ZONE_DEVICES,
    ZONE_TEMPORARY,
    ZONE_DATA,
    ZONE_LOGS,
    ZONE_RELATIVE,
    ZONE_NONE, /* not a path */
    ZONES,
};

const char *zone_name(enum zone z); /* "credentials", "system binaries", ... */
bool zone_is_bold(enum zone z);     /* the whole path is the class */

struct argument_class {
    uint64_t key; /* without the program, lowest bit bold; 0: no class (programs) */
    enum zone zone;
    char directory[TEXT_MAX + 1]; /* or the whole path or text */
};

void argument_classify(const struct text *t, struct argument_class *ret);
/* Key with the program. Its lowest bit says whether the class is bold: something that few programs
 * do in normal running and most attacks do. */
uint64_t argument_class_key(uint64_t class_key, uint64_t program);

static inline bool argument_class_is_bold(uint64_t key)
{
    return key & 1;
}
