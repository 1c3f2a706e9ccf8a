#include "cli/selection.h"

#include <errno.h>
#include <stdlib.h>

static const char **ended(char **items, uint32_t n)
{
    const char **list = calloc(n + 1, sizeof(*list));
    for (uint32_t i = 0; list && i < n; i++)
        list[i] = items[i];
    return list;
}

void selection_done(struct container_selector *s)
{
    free((void *)s->names);
    free((void *)s->images);
    free((void *)s->namespaces);
    free((void *)s->labels);
    free((void *)s->exclude);
}

int selection_init(const struct config *config, struct container_selector *ret)
{
    const typeof(config->containers) *c = &config->containers;
    *ret = (struct container_selector){
        .names = ended(c->names, c->n_names),
        .images = ended(c->images, c->n_images),
        .namespaces = ended(c->namespaces, c->n_namespaces),
        .labels = ended(c->labels, c->n_labels),
        .exclude = ended(c->exclude, c->n_exclude),
    };
    return ret->names && ret->images && ret->namespaces && ret->labels && ret->exclude ? 0
                                                                                       : -ENOMEM;
}
