#include "transport/broker.h"

#include <string.h>

extern const struct broker_ops broker_local;

const struct broker_ops *const broker_table[] = {
    &broker_local,
    NULL,
};

const struct broker_ops *broker_find(const char *name)
{
    for (const struct broker_ops *const *b = broker_table; *b; b++) {
        if (strcmp((*b)->name, name) == 0)
            return *b;
    }
    return NULL;
}
