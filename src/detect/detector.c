#include "detect/detector.h"

#include <string.h>

const struct detector *const detector_table[] = {
    NULL,
};

const struct detector *detector_find(const char *name)
{
    for (const struct detector *const *d = detector_table; *d; d++) {
        if (strcmp((*d)->name, name) == 0)
            return *d;
    }
    return NULL;
}
