/* The engine's tables: containers, processes, texts. All capped; refusals are counted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "soc/engine_internal.h"

#define PROFILE_IDLE_S                                                                             \
    86400.0 /* what is hardly learnt is forgotten after so long without a call                     \
             */

bool engine_room(struct engine *e, void **array, uint32_t n, uint32_t *capacity, size_t element)
{
    if (n < *capacity)
        return true;
    uint32_t more = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*array, more * element);
    if (!grown) {
        e->failed = true;
        return false;
    }
    *array = grown;
    *capacity = more;
    return true;
}

uint64_t container_key(uint64_t capture, uint32_t number)
{
    return hash_mix(hash_mix(0x636f6e7461696e65, capture), number);
}

struct engine_container *container_by_key(const struct engine *e, uint64_t key)
{
    uint32_t i = index_get(&e->container_index, key);
    return i == INDEX_NONE ? NULL : e->containers[i];
}

struct engine_container *container_find(const struct engine *e, uint64_t capture, uint32_t number)
{
    return container_by_key(e, container_key(capture, number));
}

void container_free(struct engine_container *c)
{
    container_done(&c->info);
    index_done(&c->pairs);
    free(c->bin.counts);
    free(c->near);
    free(c->waiting);
    free(c);
}

struct profile *profile_of_workload(struct engine *e, const char *workload)
{
    for (uint32_t i = 0; i < e->n_profiles; i++) {
        if (strcmp(profile_workload(e->profiles[i]), workload) == 0)
            return e->profiles[i];
    }
    struct profile *p = NULL;
    if (e->n_profiles == e->options.profiles_max ||
        profile_new(workload, &e->options.profile, &p) < 0) {
        e->counters.refused_profiles++;
        return NULL;
    }
    e->profile_told[e->n_profiles] = UINT64_MAX;
    e->profiles[e->n_profiles++] = p;
    return p;
}

static const char *workload_of(const struct container *c)
{
    if (c->workload && *c->workload)
        return c->workload;
    /* Gone before any runtime vouched for it: nothing comes back under its id, so a profile of its
     * own would only take the room of others. */
    bool named = c->name && *c->name;
    if (c->state == CONTAINER_UNRESOLVED || (c->state == CONTAINER_GONE && !named))
        return NULL;
    return named ? c->name : c->id;
}

static struct engine_container *container_add(struct engine *e, const struct container *info)
{
    if (e->n_containers == e->options.containers_max) {
        e->counters.refused_containers++;
        return NULL;
    }
    if (!engine_room(e, (void **)&e->containers, e->n_containers, &e->containers_capacity,
                     sizeof(*e->containers)))
        return NULL;
    struct engine_container *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->capture = e->capture->capture;
    c->key = container_key(c->capture, info->number);
    c->phase = PHASE_STEADY;
    if (container_copy(info, &c->info) < 0 ||
        index_put(&e->container_index, c->key, e->n_containers) < 0) {
        container_free(c);
        return NULL;
    }
    e->containers[e->n_containers++] = c;
    return c;
}

/* A container that was seen from its first call on begins with its start-up. moved: its workload
 * turned out to be another one than what it was taken for. */
static void container_join(struct engine *e, struct engine_container *c, const char *workload,
                           bool moved)
{
    struct profile *p = profile_of_workload(e, workload);
    c->profile = p ? p : c->profile;
    if (!p || c->info.attached || (moved && c->phase == PHASE_STEADY))
        return;
    c->phase = PHASE_STARTUP;
    c->start_ns = c->pair_ns =
        engine_time(e, c->info.born_ns ? c->info.born_ns : e->block->from_ns);
    c->start = profile_start(c->profile, c->start_ns);
}

/* Nobody wants it watched (any more): what it did before that was known is forgotten. */
static void container_leave(struct engine_container *c)
{
    free(c->waiting);
    c->waiting = NULL;
    c->n_waiting = c->waiting_capacity = 0;
    c->profile = NULL;
    c->phase = PHASE_STEADY;
    c->second = 0;
    c->bin.n_counts = 0;
}

/* Puts the container under the profile of its workload, as far as that is known. */
static void container_place(struct engine *e, struct engine_container *c)
{
    if (!c->info.wanted) {
        container_leave(c);
        return;
    }
    const char *workload = workload_of(&c->info);
    bool moved = workload && c->profile && strcmp(workload, profile_workload(c->profile)) != 0;
    if (workload && (!c->profile || moved))
        container_join(e, c, workload, moved);
}

int containers_take(struct engine *e, const struct container *info)
{
    struct engine_container *c = container_find(e, e->capture->capture, info->number);
    if (!c) {
        c = container_add(e, info);
    } else {
        struct container copy;
        if (container_copy(info, &copy) < 0)
            return -ENOMEM;
        container_done(&c->info);
        c->info = copy;
        if (copy.state != CONTAINER_GONE)
            c->gone_ns = 0; /* it lives outside of its cgroup */
    }
    if (!c)
        return e->failed ? -ENOMEM : 0;
    container_place(e, c);
    return 0;
}

void containers_retry(struct engine *e)
{
    for (uint32_t i = 0; i < e->n_containers; i++) {
        if (!e->containers[i]->profile && !e->containers[i]->gone_ns &&
            e->containers[i]->capture == e->capture->capture)
            container_place(e, e->containers[i]);
    }
}

void containers_forget(struct engine *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_containers; i++) {
        struct engine_container *c = e->containers[i];
        if (c->gone_ns && c->gone_ns + 60 * NS_PER_S < e->now_ns && !c->alert) {
            index_remove(&e->container_index, c->key);
            container_free(c);
            continue;
        }
        if (n != i)
            index_put(&e->container_index, c->key, n);
        e->containers[n++] = c;
    }
    e->n_containers = n;
}

static bool profile_used(const struct engine *e, const struct profile *p)
{
    for (uint32_t i = 0; i < e->n_containers; i++) {
        if (e->containers[i]->profile == p)
            return true;
    }
    for (uint32_t i = 0; i < e->n_alerts; i++) {
        if (e->alerts[i]->profile == p)
            return true;
    }
    return false;
}

void profile_gone(struct engine *e, struct profile *p)
{
    e->counters.refused_learning += profile_refused(p);
    profile_free(p);
}

/* Workloads that came and went before anything was learnt of them must not fill the table:
 * thousands of short-lived containers without metadata are a workload each. */
void profiles_forget(struct engine *e)
{
    bool crowded = e->n_profiles >= e->options.profiles_max / 4 * 3;
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_profiles; i++) {
        struct profile *p = e->profiles[i];
        double idle_s = profile_idle_s(p, e->now_ns);
        bool poor = !profile_ready(p, PHASE_STEADY) && !profile_ready(p, PHASE_STARTUP);
        bool stale = idle_s < 0 || idle_s > PROFILE_IDLE_S || (crowded && idle_s > 60);
        if (poor && stale && !profile_used(e, p)) {
            profile_gone(e, p);
            continue;
        }
        e->profile_told[n] = e->profile_told[i];
        e->profiles[n++] = p;
    }
    e->n_profiles = n;
}

uint64_t process_key(uint64_t capture, uint32_t tgid, uint64_t start_ns)
{
    return hash_mix(hash_mix(hash_mix(0x70726f63657373, capture), tgid), start_ns);
}

struct engine_process *process_find(const struct engine *e, uint64_t capture, uint32_t tgid,
                                    uint64_t start_ns)
{
    uint32_t i = index_get(&e->process_index, process_key(capture, tgid, start_ns));
    return i == INDEX_NONE ? NULL : &e->processes[i];
}

struct engine_process *process_parent(const struct engine *e, const struct engine_process *p)
{
    return p->parent_tgid ? process_find(e, p->capture, p->parent_tgid, p->parent_start_ns) : NULL;
}

void process_forget(struct engine_process *p)
{
    if (!p->memory)
        return;
    index_done(&p->memory->slots);
    free(p->memory->item);
    free(p->memory);
    p->memory = NULL;
}

void process_done(struct engine_process *p)
{
    process_forget(p);
    free(p->arguments);
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* Makes room: the quarter not seen for longest goes. Exited processes count as not seen since an
 * hour before their exit. */
static void processes_sweep(struct engine *e)
{
    CLEANUP(freep) uint64_t *seen = malloc(e->n_processes * sizeof(*seen));
    if (!seen)
        return;
    uint64_t hour = 3600 * NS_PER_S;
    for (uint32_t i = 0; i < e->n_processes; i++) {
        struct engine_process *p = &e->processes[i];
        seen[i] = p->exit_ns ? p->exit_ns - MIN(p->exit_ns, hour) : p->last_ns;
    }
    qsort(seen, e->n_processes, sizeof(*seen), descending);
    uint64_t until = seen[e->n_processes / 4 * 3];
    uint32_t n = 0;
    index_clear(&e->process_index);
    for (uint32_t i = 0; i < e->n_processes; i++) {
        struct engine_process *p = &e->processes[i];
        if ((p->exit_ns ? p->exit_ns - MIN(p->exit_ns, hour) : p->last_ns) <= until) {
            process_done(p);
            continue;
        }
        index_put(&e->process_index, p->key, n);
        e->processes[n++] = *p;
    }
    e->n_processes = n;
}

struct engine_process *process_get(struct engine *e, uint32_t container, uint32_t tgid,
                                   uint64_t start_ns, uint64_t now_ns)
{
    uint64_t capture = e->capture->capture;
    struct engine_process *p = process_find(e, capture, tgid, start_ns);
    if (p)
        return p;
    if (e->n_processes >= e->options.processes_max) {
        e->counters.refused_processes++;
        processes_sweep(e);
    }
    if (e->n_processes >= e->options.processes_max ||
        !engine_room(e, (void **)&e->processes, e->n_processes, &e->processes_capacity,
                     sizeof(*e->processes)))
        return NULL;
    p = &e->processes[e->n_processes];
    *p = (struct engine_process){.key = process_key(capture, tgid, start_ns),
                                 .capture = capture,
                                 .start_ns = start_ns,
                                 .tgid = tgid,
                                 .container = container,
                                 .first_ns = now_ns,
                                 .last_ns = now_ns};
    if (index_put(&e->process_index, p->key, e->n_processes) < 0)
        return NULL;
    e->n_processes++;
    return p;
}

const struct engine_text *text_find(const struct engine *e, uint64_t id)
{
    uint32_t i = index_get(&e->text_index, id);
    return i == INDEX_NONE ? NULL : &e->texts[i];
}

const struct engine_text *text_use(struct engine *e, uint64_t id)
{
    uint32_t i = index_get(&e->text_index, id);
    if (i == INDEX_NONE)
        return NULL;
    e->texts[i].used = e->counters.blocks;
    return &e->texts[i];
}

/* Makes room: the quarter not asked for for longest goes, or else whoever makes up names for long
 * enough would be blind to from then on. */
static void texts_sweep(struct engine *e)
{
    CLEANUP(freep) uint64_t *used = malloc(e->n_texts * sizeof(*used));
    if (!used)
        return;
    for (uint32_t i = 0; i < e->n_texts; i++)
        used[i] = e->texts[i].used;
    qsort(used, e->n_texts, sizeof(*used), descending);
    uint64_t until = used[e->n_texts / 4 * 3];
    uint32_t n = 0;
    index_clear(&e->text_index);
    for (uint32_t i = 0; i < e->n_texts; i++) {
        if (e->texts[i].used <= until) {
            free(e->texts[i].text);
            continue;
        }
        index_put(&e->text_index, e->texts[i].id, n);
        e->texts[n++] = e->texts[i];
    }
    e->n_texts = n;
}

int texts_take(struct engine *e, const struct text *t)
{
    if (text_use(e, t->id))
        return 0;
    if (e->n_texts >= e->options.texts_max) {
        e->counters.refused_texts++;
        texts_sweep(e);
    }
    if (e->n_texts >= e->options.texts_max)
        return 0;
    if (!engine_room(e, (void **)&e->texts, e->n_texts, &e->texts_capacity, sizeof(*e->texts)))
        return -ENOMEM;
    struct argument_class class;
    argument_classify(t, &class);
    CLEANUP(freep) char *copy = strdup(t->text);
    if (!copy || index_put(&e->text_index, t->id, e->n_texts) < 0)
        return -ENOMEM;
    e->texts[e->n_texts++] = (struct engine_text){.id = t->id,
                                                  .class_key = class.key,
                                                  .used = e->counters.blocks,
                                                  .kind = t->kind,
                                                  .access = t->access,
                                                  .zone = (uint8_t)class.zone,
                                                  .text = TAKE(copy)};
    return 0;
}

static bool memory_grow(struct memory *m)
{
    uint32_t more = m->capacity ? 2 * m->capacity : 16;
    void *grown = realloc(m->item, more * sizeof(*m->item));
    if (!grown)
        return false;
    m->item = grown;
    m->capacity = more;
    return true;
}

bool memory_seen(struct engine_process *p, uint64_t key, uint64_t now_ns)
{
    if (!p->memory)
        p->memory = calloc(1, sizeof(*p->memory));
    struct memory *m = p->memory;
    if (!m)
        return false;
    uint32_t slot = index_get(&m->slots, key);
    if (slot != INDEX_NONE) {
        bool recent = m->item[slot][1] + MEMORY_NS > now_ns;
        m->item[slot][1] = now_ns;
        return recent;
    }
    if (m->n == m->capacity && m->n < MEMORY_KEYS && !memory_grow(m))
        return false;
    slot = m->next;
    if (m->n == MEMORY_KEYS)
        index_remove(&m->slots, m->item[slot][0]);
    if (index_put(&m->slots, key, slot) < 0)
        return false;
    m->item[slot][0] = key, m->item[slot][1] = now_ns;
    m->n += m->n < MEMORY_KEYS;
    m->next = (slot + 1) % MEMORY_KEYS;
    return false;
}
