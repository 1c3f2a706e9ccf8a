#include "capture/decide.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define NUMBERS_MAX 65536
#define GONE_KEPT_NS (5 * NS_PER_S) /* its last processes end after it, and texts come first */
#define FIRST_OF_KERNEL (1u << 20)

void decide_init(struct decide *d, struct kernel *k, struct containers *c, bool host)
{
    *d = (struct decide){.kernel = k, .containers = c, .host = host};
    table_init(&d->numbers, NUMBERS_MAX);
}

void decide_done(struct decide *d)
{
    table_done(&d->numbers);
    free(d->gone);
}

static void generation_raise(struct decide *d)
{
    __atomic_add_fetch(&d->kernel->control->generation, 1, __ATOMIC_SEQ_CST);
}

static void decision_put(struct decide *d, uint32_t number, const struct container *c)
{
    uint32_t decision = !c ? DECISION_HOST : c->wanted ? DECISION_WANTED : DECISION_UNWANTED;
    uint64_t value = (uint64_t)(c ? c->number : 0) << 2 | decision;
    struct container_entry e;
    if (table_put(&d->numbers, number, value))
        d->refused++;
    if (bpf_map_lookup_elem(d->kernel->maps[MAP_CONTAINERS], &number, &e) || e.decision == decision)
        return;
    if (e.decision == DECISION_UNWANTED) /* what was sent while nobody wanted it was not kept */
        __atomic_add_fetch(&d->kernel->control->epoch, 1, __ATOMIC_SEQ_CST);
    e.decision = decision;
    bpf_map_update_elem(d->kernel->maps[MAP_CONTAINERS], &number, &e, BPF_EXIST);
    generation_raise(d);
}

/* A container that was there before us: its cgroup gets its number. */
static void found_put(struct decide *d, const struct container *c)
{
    const char *hierarchy = containers_hierarchy(d->containers, c->number);
    const char *v1 = d->kernel->control->memory_v1 ? "memory" : "pids";
    bool unified = !strcmp(hierarchy, "unified");
    if (!unified && strcmp(hierarchy, v1)) {
        log_warn("container %s: known in the %s hierarchy only, which is not watched", c->id,
                 hierarchy);
        return;
    }
    struct container_entry e = {.cgroup = c->cgroup_id | (unified ? 0 : CGROUP_V1),
                                .populated = 1,
                                .joins = 1,
                                .decision = c->wanted ? DECISION_WANTED : DECISION_UNWANTED,
                                .hierarchies = unified ? 1 : 2};
    uint32_t number = c->number, other;
    if (!bpf_map_lookup_elem(d->kernel->maps[MAP_CGROUPS], &e.cgroup, &other) && other != number) {
        /* It came while we looked: the kernel's number stands for it too. */
        decision_put(d, other, c);
        return;
    }
    snprintf(e.path, sizeof(e.path), "%s", c->id);
    bpf_map_update_elem(d->kernel->maps[MAP_CONTAINERS], &number, &e, BPF_ANY);
    bpf_map_update_elem(d->kernel->maps[MAP_CGROUPS], &e.cgroup, &number, BPF_ANY);
    decision_put(d, number, c);
}

/* After a take-up: what the kernel numbered while other agents, or none, ran. */
static void pinned_add(struct decide *d, uint64_t now_ns)
{
    uint32_t number, previous, *from = NULL;
    struct container_entry e;
    while (!bpf_map_get_next_key(d->kernel->maps[MAP_CONTAINERS], from, &number)) {
        previous = number;
        from = &previous;
        if (bpf_map_lookup_elem(d->kernel->maps[MAP_CONTAINERS], &number, &e))
            continue;
        e.path[sizeof(e.path) - 1] = 0;
        if (number >= FIRST_OF_KERNEL) {
            decision_put(
                d, number,
                containers_add(d->containers, number, e.cgroup & ~CGROUP_V1, e.path, now_ns));
            continue;
        }
        struct container old = {.number = number, .cgroup_id = e.cgroup & ~CGROUP_V1, .id = e.path};
        containers_restore(d->containers, &old, 1);
    }
}

int decide_scan(struct decide *d, uint64_t now_ns)
{
    uint32_t next = 1;
    if (d->kernel->taken_up)
        pinned_add(d, now_ns);
    int error = containers_scan(d->containers, now_ns, &next);
    if (error)
        return error;
    for (uint32_t i = 0; i < containers_count(d->containers); i++) {
        const struct container *c = containers_at(d->containers, i);
        if (c->number < FIRST_OF_KERNEL)
            found_put(d, c);
    }
    generation_raise(d);
    return 0;
}

void decide_new(struct decide *d, const struct record_cgroup *r)
{
    char path[CONTAINER_PATH_BYTES];
    snprintf(path, sizeof(path), "%.*s", (int)sizeof(r->path) - 1, r->path);
    decision_put(
        d, r->container,
        containers_add(d->containers, r->container, r->cgroup & ~CGROUP_V1, path, r->time));
}

void decide_gone(struct decide *d, const struct record_cgroup *r)
{
    uint64_t *value = table_get(&d->numbers, r->container);
    uint32_t number = value ? (uint32_t)(*value >> 2) : r->container;
    /* One that lies inside another does not end it. */
    if (number == r->container)
        containers_remove(d->containers, number, r->time);
    if ((d->n_gone & (d->n_gone - 1)) == 0) {
        struct gone *more =
            realloc(d->gone, (d->n_gone ? 2 * (size_t)d->n_gone : 1) * sizeof(*more));
        if (!more)
            return; /* it is kept, which costs a place in tables */
        d->gone = more;
    }
    d->gone[d->n_gone++] = (struct gone){r->container, r->time + GONE_KEPT_NS};
}

static bool number_is_gone(uint64_t key, uint64_t *value, void *user)
{
    (void)value;
    return key && table_get(user, key);
}

/* Deletes the entries of a map whose key says that they are a forgotten container's. */
#define MAP_FORGET(fd, type, member)                                                               \
    do {                                                                                           \
        type key_, next_;                                                                          \
        int error_ = bpf_map_get_next_key((fd), NULL, &next_);                                     \
        while (!error_) {                                                                          \
            key_ = next_;                                                                          \
            error_ = bpf_map_get_next_key((fd), &key_, &next_);                                    \
            if (number_is_gone(key_.member, NULL, &old))                                           \
                bpf_map_delete_elem((fd), &key_);                                                  \
        }                                                                                          \
    } while (0)

void decide_forget(struct decide *d, uint64_t read_ns)
{
    uint32_t n = 0;
    while (n < d->n_gone && n < NUMBERS_MAX && d->gone[n].due_ns < read_ns)
        n++;
    if (!n)
        return;
    CLEANUP(table_done) struct table old;
    table_init(&old, NUMBERS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t number = d->gone[i].number;
        bpf_map_delete_elem(d->kernel->maps[MAP_CONTAINERS], &number);
        containers_drained(d->containers, number);
        if (table_put(&old, number, 1))
            return; /* tried again with the next */
    }
    table_sweep(&d->numbers, number_is_gone, &old);
    MAP_FORGET(d->kernel->maps[MAP_SEEN], struct seen_key, container);
    MAP_FORGET(d->kernel->maps[MAP_DICTIONARY], struct dictionary_key, container);
    memmove(d->gone, d->gone + n, (d->n_gone - n) * sizeof(*d->gone));
    d->n_gone -= n;
    /* realloc() in decide_gone() goes by powers of two: keep to that after shrinking. */
    size_t room = 1;
    while (room < d->n_gone)
        room *= 2;
    struct gone *less = realloc(d->gone, room * sizeof(*less));
    if (less)
        d->gone = less;
}

void decide_changed(struct decide *d, const struct container *c)
{
    for (uint32_t i = 0; i < d->numbers.capacity; i++) {
        uint32_t number = (uint32_t)d->numbers.keys[i];
        if (number && d->numbers.values[i] >> 2 == c->number)
            decision_put(d, number, c);
    }
}

bool decide_wanted(struct decide *d, uint32_t *number)
{
    uint64_t *value = table_get(&d->numbers, *number);
    if (!value && *number) {
        /* Its record was lost: the kernel's table has it still. */
        struct container_entry e;
        if (bpf_map_lookup_elem(d->kernel->maps[MAP_CONTAINERS], number, &e))
            e = (struct container_entry){0};
        e.path[sizeof(e.path) - 1] = 0;
        decision_put(d, *number,
                     containers_add(d->containers, *number, e.cgroup & ~CGROUP_V1, e.path, 0));
        value = table_get(&d->numbers, *number);
    }
    uint32_t decision = value ? *value & 3 : DECISION_HOST;
    *number = value ? (uint32_t)(*value >> 2) : 0;
    return decision == DECISION_HOST ? d->host : decision == DECISION_WANTED;
}
