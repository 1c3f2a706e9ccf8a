#include "capture/lost.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "bpf/event.h"

void lost_add(struct lost *l, uint32_t container, uint64_t first_ns, uint64_t last_ns)
{
    struct lost_interval x = {first_ns, MAX(first_ns, last_ns), container};
    if (l->n == LOST_MAX) { /* whose they were, and when exactly, is given up */
        x.container = CONTAINER_UNKNOWN;
        for (uint32_t i = 0; i < l->n; i++) {
            x.first_ns = MIN(x.first_ns, l->all[i].first_ns);
            x.last_ns = MAX(x.last_ns, l->all[i].last_ns);
        }
        l->n = 0;
    }
    l->all[l->n++] = x;
}

static int compare(const void *x, const void *y)
{
    const struct lost_interval *a = x, *b = y;
    if (a->container != b->container)
        return a->container < b->container ? -1 : 1;
    return a->first_ns < b->first_ns ? -1 : a->first_ns > b->first_ns;
}

void lost_settle(struct lost *l, uint64_t from_ns)
{
    uint32_t n = 0;
    qsort(l->all, l->n, sizeof(*l->all), compare);
    for (uint32_t i = 0; i < l->n; i++) {
        struct lost_interval x = l->all[i], *before = n ? &l->all[n - 1] : NULL;
        bool same = before && before->container == x.container;
        if (same)
            x.last_ns = MAX(x.last_ns, before->last_ns);
        /* Of those that have begun for everybody who asks, one says it all. */
        if (same && (x.first_ns <= from_ns || x.first_ns == before->first_ns))
            *before = x;
        else
            l->all[n++] = x;
    }
    l->n = n;
}

static bool lost_of(const struct lost *l, uint32_t container, uint64_t first_ns, uint64_t last_ns)
{
    uint32_t low = 0, high = l->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        const struct lost_interval *x = &l->all[mid];
        if (x->container < container || (x->container == container && x->first_ns <= last_ns))
            low = mid + 1;
        else
            high = mid;
    }
    return low && l->all[low - 1].container == container && l->all[low - 1].last_ns >= first_ns;
}

bool lost_between(const struct lost *l, uint32_t container, uint64_t first_ns, uint64_t last_ns)
{
    return l->n && (lost_of(l, container, first_ns, last_ns) ||
                    lost_of(l, CONTAINER_UNKNOWN, first_ns, last_ns));
}
