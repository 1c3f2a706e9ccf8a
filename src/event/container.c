#include "event/container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define CONTAINER_STRINGS 11

static void container_strings(const struct container *c, char ***ret)
{
    ret[0] = (char **)&c->id, ret[1] = (char **)&c->runtime, ret[2] = (char **)&c->name;
    ret[3] = (char **)&c->image, ret[4] = (char **)&c->version, ret[5] = (char **)&c->namespace_;
    ret[6] = (char **)&c->pod, ret[7] = (char **)&c->owner, ret[8] = (char **)&c->command;
    ret[9] = (char **)&c->workload, ret[10] = (char **)&c->reason;
}

void container_done(struct container *c)
{
    char **strings[CONTAINER_STRINGS];
    container_strings(c, strings);
    for (int i = 0; i < CONTAINER_STRINGS; i++)
        free(*strings[i]);
    for (uint32_t i = 0; i < c->n_labels; i++) {
        free(c->labels[i].key);
        free(c->labels[i].value);
    }
    free(c->labels);
    *c = (struct container){0};
}

static size_t length(const char *s)
{
    return s ? strlen(s) : 0;
}

size_t container_bytes(const struct container *c)
{
    char **strings[CONTAINER_STRINGS];
    size_t size = 0;
    container_strings(c, strings);
    for (int i = 0; i < CONTAINER_STRINGS; i++)
        size += length(*strings[i]);
    for (uint32_t i = 0; i < c->n_labels; i++)
        size += length(c->labels[i].key) + length(c->labels[i].value);
    return size;
}

int container_copy(const struct container *c, struct container *ret)
{
    CLEANUP(container_done) struct container copy = *c;
    copy.labels = NULL;
    copy.n_labels = 0;
    char **from[CONTAINER_STRINGS], **to[CONTAINER_STRINGS];
    container_strings(c, from);
    container_strings(&copy, to);
    for (int i = 0; i < CONTAINER_STRINGS; i++)
        *to[i] = NULL;
    for (int i = 0; i < CONTAINER_STRINGS; i++) {
        *to[i] = strdup(*from[i] ? *from[i] : "");
        if (!*to[i])
            return -ENOMEM;
    }
    copy.labels = calloc(c->n_labels ? c->n_labels : 1, sizeof(*copy.labels));
    if (!copy.labels)
        return -ENOMEM;
    for (; copy.n_labels < c->n_labels; copy.n_labels++) {
        struct label *l = &copy.labels[copy.n_labels];
        l->key = strdup(c->labels[copy.n_labels].key);
        l->value = strdup(c->labels[copy.n_labels].value);
        if (!l->key || !l->value) {
            copy.n_labels++;
            return -ENOMEM;
        }
    }
    *ret = copy;
    copy = (struct container){0};
    return 0;
}
