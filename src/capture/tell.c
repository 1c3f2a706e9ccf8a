#include "capture/tell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static int changed_add(struct capture *c, uint64_t now_ns)
{
    struct container *polled = NULL;
    uint32_t n = 0;
    int error = containers_poll(c->containers, now_ns, &polled, &n);
    if (error || !n)
        return error;
    struct container *changed = realloc(c->changed, (c->n_changed + n) * sizeof(*changed));
    if (!changed)
        return -ENOMEM; /* they are lost to this block, and told by the next snapshot */
    memcpy(changed + c->n_changed, polled, n * sizeof(*polled));
    c->changed = changed;
    c->n_changed += n;
    for (uint32_t i = 0; i < n; i++)
        decide_changed(&c->decide, &polled[i]);
    free(polled);
    return 0;
}

/* -ENOSPC: no room for this one. */
static int container_tell(const struct container *from, size_t *room, struct block *b)
{
    size_t size = container_bytes(from);
    if (size > *room)
        return -ENOSPC;
    if (container_copy(from, &b->containers[b->n_containers]))
        return -ENOMEM;
    b->n_containers++;
    *room -= size;
    return 0;
}

/* What runs in no container is one, with a workload of its own; its start was before everything. */
static const struct container the_host = {.state = CONTAINER_RUNNING,
                                          .wanted = true,
                                          .attached = true,
                                          .id = "host",
                                          .name = "host",
                                          .workload = "host"};

int containers_tell(struct capture *c, uint64_t now_ns, bool all, struct block *b)
{
    size_t room = CONTAINERS_BYTES_MAX;
    int error = changed_add(c, now_ns);
    if (error)
        return error;
    uint32_t count = containers_count(c->containers);
    c->tell_next = all ? 0 : c->tell_from;
    b->containers = calloc((size_t)c->n_changed + (c->tell_next == ALL_TOLD ? 0 : count) + 2,
                           sizeof(*b->containers));
    if (!b->containers)
        return -ENOMEM;
    for (c->n_told = 0; c->n_told < c->n_changed && !error; c->n_told += !error)
        error = container_tell(&c->changed[c->n_told], &room, b);
    if (c->options.host && c->tell_next == 0 && !error)
        error = container_tell(&the_host, &room, b);
    for (uint32_t i = 0; i < count && !error; i++) {
        const struct container *from = containers_at(c->containers, i);
        if (from->number < c->tell_next)
            continue;
        error = container_tell(from, &room, b);
        if (!error)
            c->tell_next = from->number + 1;
    }
    if (!error)
        c->tell_next = ALL_TOLD;
    return error == -ENOSPC ? 0 : error;
}

void containers_told(struct capture *c)
{
    for (uint32_t i = 0; i < c->n_told; i++)
        container_done(&c->changed[i]);
    if (c->n_told)
        memmove(c->changed, c->changed + c->n_told,
                (c->n_changed - c->n_told) * sizeof(*c->changed));
    c->n_changed -= c->n_told;
    c->n_told = 0;
    c->tell_from = c->tell_next;
}
