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

/* In the table of numbers: number << NUMBER_SHIFT | OWN | enum container_decision. */
#define NUMBER_SHIFT 3
#define OWN 4u /* the container's own cgroup, not one inside */
#define DECISION_OF(value) ((uint32_t)(value) & 3)
#define NUMBER_OF(value) ((uint32_t)((value) >> NUMBER_SHIFT))

/* In the table of those gone: ns << DUE_SHIFT | what was found since the last look. */
#define DUE_SHIFT 3
#define USED 1u /* a call */
#define HELD 2u /* a process that lives */
#define LATE 4u /* it was looked at before: no call can be of before its cgroup's end */

void decide_init(struct decide *d, struct kernel *k, struct containers *c, bool host)
{
    *d = (struct decide){.kernel = k, .containers = c, .host = host};
    table_init(&d->numbers, NUMBERS_MAX);
    table_init(&d->gone, NUMBERS_MAX);
}

void decide_done(struct decide *d)
{
    table_done(&d->numbers);
    table_done(&d->gone);
}

static void generation_raise(struct decide *d)
{
    __atomic_add_fetch(&d->kernel->control->generation, 1, __ATOMIC_SEQ_CST);
}

static void decision_put(struct decide *d, uint32_t number, const struct container *c)
{
    uint32_t decision = !c ? DECISION_HOST : c->wanted ? DECISION_WANTED : DECISION_UNWANTED;
    uint32_t before = DECISION_PENDING;
    const uint64_t *old = table_get(&d->numbers, number);
    uint64_t own = c && (c->number == number || (old && *old & OWN)) ? OWN : 0;
    uint64_t value = (uint64_t)(c ? c->number : 0) << NUMBER_SHIFT | own | decision;
    struct container_entry e;
    if (table_put(&d->numbers, number, value))
        d->refused++;
    bpf_map_lookup_elem(d->kernel->maps[MAP_DECISIONS], &number, &before);
    if (before == decision || bpf_map_lookup_elem(d->kernel->maps[MAP_CONTAINERS], &number, &e))
        return;
    if (before == DECISION_UNWANTED) /* what was sent while nobody wanted it was not kept */
        __atomic_add_fetch(&d->kernel->control->epoch, 1, __ATOMIC_SEQ_CST);
    bpf_map_update_elem(d->kernel->maps[MAP_DECISIONS], &number, &decision, BPF_ANY);
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
                                .hierarchies = unified ? 1 : 2};
    uint32_t number = c->number, other;
    if (!bpf_map_lookup_elem(d->kernel->maps[MAP_CGROUPS], &e.cgroup, &other) && other != number) {
        /* It came while we looked: the kernel's number stands for it too. */
        decision_put(d, other, c);
        uint64_t *value = table_get(&d->numbers, other);
        if (value)
            *value |= OWN;
        return;
    }
    snprintf(e.path, sizeof(e.path), "%s", c->id);
    bpf_map_update_elem(d->kernel->maps[MAP_CONTAINERS], &number, &e, BPF_ANY);
    bpf_map_update_elem(d->kernel->maps[MAP_CGROUPS], &e.cgroup, &number, BPF_ANY);
    decision_put(d, number, c);
}

/* Its key goes with the cgroup, also when the record of that is lost. */
static bool cgroup_is_there(const struct decide *d, uint32_t number,
                            const struct container_entry *e)
{
    uint32_t found;
    return !bpf_map_lookup_elem(d->kernel->maps[MAP_CGROUPS], &e->cgroup, &found) &&
           found == number;
}

/* The container that ends with this cgroup; 0: none, it lies inside another or is the host's. */
static uint32_t own_of(const struct decide *d, uint32_t number)
{
    const uint64_t *value = table_get(&d->numbers, number);
    return !value ? number : *value & OWN ? NUMBER_OF(*value) : 0;
}

static void end(struct decide *d, uint32_t number, uint64_t time_ns)
{
    containers_remove(d->containers, own_of(d, number), time_ns);
    /* Told again with each block that could not be written. Without room it is kept, which costs a
     * place in tables. */
    if (!table_get(&d->gone, number))
        table_put(&d->gone, number, (time_ns + GONE_KEPT_NS) << DUE_SHIFT);
}

/* The next of the kernel's containers; *number: the one before, 0 at first. */
static bool entry_next(const struct decide *d, uint32_t *number, struct container_entry *e)
{
    int map = d->kernel->maps[MAP_CONTAINERS];
    uint32_t before = *number;
    while (!bpf_map_get_next_key(map, before ? &before : NULL, number)) {
        if (!bpf_map_lookup_elem(map, number, e)) {
            e->path[sizeof(e->path) - 1] = 0;
            return true;
        }
        before = *number;
    }
    return false;
}

/* After a take-up: what the kernel numbered while other agents, or none, ran. */
static void pinned_add(struct decide *d, uint64_t now_ns)
{
    struct container_entry e;
    for (uint32_t number = 0; entry_next(d, &number, &e);) {
        char path[CONTAINER_PATH_BYTES + 1];
        bool there = cgroup_is_there(d, number, &e), found = number < FIRST_OF_KERNEL;
        if (found && there) { /* the scan finds it */
            struct container old = {
                .number = number, .cgroup_id = e.cgroup & ~CGROUP_V1, .id = e.path};
            containers_restore(d->containers, &old, 1);
            continue;
        }
        snprintf(path, sizeof(path), "%s%s", found ? "/" : "", e.path);
        decision_put(d, number,
                     containers_add(d->containers, number, e.cgroup & ~CGROUP_V1, path, now_ns));
        if (!there)
            end(d, number, now_ns);
    }
    d->lost_records = d->kernel->control->lost_records;
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
    end(d, r->container, r->time);
}

void decide_look(struct decide *d, uint64_t now_ns)
{
    struct container_entry e;
    uint64_t lost = d->kernel->control->lost_records;
    if (lost == d->lost_records)
        return;
    d->lost_records = lost;
    for (uint32_t number = 0; entry_next(d, &number, &e);)
        if (!cgroup_is_there(d, number, &e))
            end(d, number, now_ns);
}

void decide_hold(struct decide *d, uint32_t number)
{
    uint64_t *gone = table_get(&d->gone, number);
    if (gone)
        *gone |= HELD;
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
            if (number_is_gone(key_.member, NULL, &l.old))                                         \
                bpf_map_delete_elem((fd), &key_);                                                  \
        }                                                                                          \
    } while (0)

struct look {
    struct decide *decide;
    uint64_t read_ns;
    struct table old; /* to be forgotten */
};

static void look_done(struct look *l)
{
    table_done(&l->old);
}

/* One that is due: kept for another while, or forgotten. */
static bool gone_look(uint64_t key, uint64_t *value, void *user)
{
    struct look *l = user;
    struct decide *d = l->decide;
    uint32_t number = (uint32_t)key;
    struct container_entry e;
    if (*value >> DUE_SHIFT >= l->read_ns)
        return false;
    if (!bpf_map_lookup_elem(d->kernel->maps[MAP_CONTAINERS], &number, &e) &&
        cgroup_is_there(d, number, &e))
        return true; /* it was just being made */
    if (!(*value & (USED | HELD)))
        return !table_put(&l->old, number, 1);
    if (*value & HELD || *value & LATE)
        containers_stay(d->containers, own_of(d, number));
    *value = (l->read_ns + GONE_KEPT_NS) << DUE_SHIFT | LATE;
    return false;
}

static bool number_forget(uint64_t key, uint64_t *value, void *user)
{
    struct look *l = user;
    struct decide *d = l->decide;
    uint32_t number = (uint32_t)key, own = own_of(d, number);
    (void)value;
    bpf_map_delete_elem(d->kernel->maps[MAP_CONTAINERS], &number);
    bpf_map_delete_elem(d->kernel->maps[MAP_DECISIONS], &number);
    containers_remove(d->containers, own, l->read_ns);
    containers_drained(d->containers, own);
    return false;
}

void decide_forget(struct decide *d, uint64_t read_ns)
{
    CLEANUP(look_done) struct look l = {.decide = d, .read_ns = read_ns};
    table_init(&l.old, NUMBERS_MAX);
    table_sweep(&d->gone, gone_look, &l);
    if (!l.old.n)
        return;
    table_sweep(&l.old, number_forget, &l);
    table_sweep(&d->numbers, number_is_gone, &l.old);
    MAP_FORGET(d->kernel->maps[MAP_SEEN], struct seen_key, container);
    MAP_FORGET(d->kernel->maps[MAP_DICTIONARY], struct dictionary_key, container);
}

void decide_changed(struct decide *d, const struct container *c)
{
    for (uint32_t i = 0; i < d->numbers.capacity; i++) {
        uint32_t number = (uint32_t)d->numbers.keys[i];
        if (number && NUMBER_OF(d->numbers.values[i]) == c->number)
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
    uint64_t *gone = d->gone.n ? table_get(&d->gone, *number) : NULL;
    if (gone)
        *gone |= USED;
    uint32_t decision = value ? DECISION_OF(*value) : DECISION_HOST;
    *number = value ? NUMBER_OF(*value) : 0;
    return decision == DECISION_HOST ? d->host : decision == DECISION_WANTED;
}
