/* The table of containers. An entry is made when its cgroup is seen, at once and with what the path
 * alone tells; what the runtime knows is added when it can be read, since runtimes write their
 * state before, while or after they make the cgroup. */
#include "capture/containers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/cgroup.h"
#include "capture/runtime.h"
#include "capture/selector.h"
#include "capture/workload.h"

#define CONTAINERS_MAX_DEFAULT 16384
#define POLL_RESOLVES_MAX 32
#define RETRY_FIRST_NS (50 * NS_PER_MS)
#define RETRY_MAX_NS (60 * NS_PER_S)
#define GRACE_NS (10 * NS_PER_S) /* unresolved ones are wanted as long */

struct entry {
    struct container c;
    struct cgroup_name name;
    char *path; /* the container's own cgroup */
    char hierarchy[16];
    uint64_t retry_ns, due_ns;
    bool isolated;   /* its processes have a pid namespace of their own */
    uint32_t judged; /* generation of the selector that settled wanted; 0: none */
    bool changed, drained;
    uint8_t state; /* before its cgroup went */
    bool outside;  /* its cgroup went, a process of it lives elsewhere */
};

struct containers {
    char *proc, *cgroup, *run, *docker, *podman, *label;
    struct selector *selector;
    uint32_t generation;    /* of the selector, from 1 */
    struct entry **entries; /* by number */
    uint32_t n, room, max;
    uint32_t cursor;         /* number after which the next poll goes on */
    struct container *known; /* containers_restore() */
    uint32_t n_known;
    uint64_t refused;
};

DEFINE_CLEANUP(containers_free, struct containers *)

static void entry_free(struct entry *e)
{
    if (!e)
        return;
    container_done(&e->c);
    free(e->path);
    free(e);
}
DEFINE_CLEANUP(entry_free, struct entry *)

int containers_new(const struct containers_options *options, struct containers **ret)
{
    CLEANUP(containers_freep) struct containers *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->max = options->containers_max ? options->containers_max : CONTAINERS_MAX_DEFAULT;
    c->proc = strdup(options->proc ? options->proc : "/proc");
    c->cgroup = strdup(options->cgroup ? options->cgroup : "/sys/fs/cgroup");
    c->run = strdup(options->run ? options->run : "/run");
    c->docker = strdup(options->docker ? options->docker : "/var/lib/docker");
    c->podman = strdup(options->podman ? options->podman : "/var/lib/containers");
    c->label = strdup(options->workload_label ? options->workload_label : "");
    if (!c->proc || !c->cgroup || !c->run || !c->docker || !c->podman || !c->label)
        return -ENOMEM;
    c->generation = 1;
    int r = selector_new(&options->selector, &c->selector);
    if (r < 0)
        return r;
    *ret = TAKE(c);
    return 0;
}

static void known_free(struct containers *c)
{
    for (uint32_t i = 0; i < c->n_known; i++)
        container_done(&c->known[i]);
    free(c->known);
    c->known = NULL;
    c->n_known = 0;
}

void containers_free(struct containers *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->n; i++)
        entry_free(c->entries[i]);
    free(c->entries);
    known_free(c);
    selector_free(c->selector);
    free(c->proc), free(c->cgroup), free(c->run), free(c->docker), free(c->podman), free(c->label);
    free(c);
}

/* Index of the first entry whose number is not below this. */
static uint32_t position(const struct containers *c, uint32_t number)
{
    uint32_t low = 0, high = c->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->entries[middle]->c.number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *by_number(const struct containers *c, uint32_t number)
{
    uint32_t i = position(c, number);
    return i < c->n && c->entries[i]->c.number == number ? c->entries[i] : NULL;
}

/* The live container in whose cgroup this path is or lies. */
static struct entry *by_path(const struct containers *c, const char *path)
{
    for (uint32_t i = c->n; i-- > 0;) {
        struct entry *e = c->entries[i];
        size_t n = strlen(e->path);
        if (e->c.state == CONTAINER_GONE || e->outside || strncmp(e->path, path, n))
            continue;
        /* Of a name that no runtime has vouched for, a child may be the container. */
        bool sure = e->c.state == CONTAINER_RUNNING || e->name.kind == CGROUP_CONTAINER;
        if (!path[n] || (path[n] == '/' && sure))
            return e;
    }
    return NULL;
}

static int insert(struct containers *c, struct entry *e)
{
    if (c->n == c->room) {
        uint32_t room = c->room ? 2 * c->room : 64;
        struct entry **entries = realloc(c->entries, room * sizeof(struct entry *));
        if (!entries)
            return -ENOMEM;
        c->entries = entries;
        c->room = room;
    }
    uint32_t i = position(c, e->c.number);
    memmove(&c->entries[i + 1], &c->entries[i], (c->n - i) * sizeof(struct entry *));
    c->entries[i] = e;
    c->n++;
    return 0;
}

static bool is_young(const struct entry *e, uint64_t now_ns)
{
    return now_ns < e->c.born_ns + GRACE_NS && !e->c.attached;
}

/* Nothing but its cgroup is known: its first calls are kept for the time that resolving takes. */
static bool unresolved_wanted(const struct containers *c, const struct entry *e, uint64_t now_ns)
{
    bool real = e->name.kind == CGROUP_CONTAINER || e->isolated;
    return !selector_excludes(c->selector, &e->c) &&
           (is_young(e, now_ns) || (real && !selector_includes(c->selector)));
}

static void judge(const struct containers *c, struct entry *e, uint64_t now_ns)
{
    char why[CONTAINER_STRING_MAX];
    bool wanted;
    if (e->c.state == CONTAINER_GONE || e->judged == c->generation)
        return;
    if (e->c.state == CONTAINER_UNRESOLVED) {
        wanted = unresolved_wanted(c, e, now_ns);
        snprintf(why, sizeof(why), "%s", e->c.reason);
        /* What is learnt of it in the meantime must not go to a workload of its own. */
        if (wanted && !is_young(e, now_ns) && !*e->c.workload) {
            runtime_set(&e->c.workload, e->c.id);
            e->changed = true;
        }
    } else {
        wanted = selector_wants(c->selector, &e->c, why, sizeof(why));
        e->judged = c->generation;
    }
    if (e->c.wanted == wanted && !strcmp(e->c.reason, why))
        return;
    e->c.wanted = wanted;
    e->changed = true;
    runtime_set(&e->c.reason, why);
}

/* The facts' strings go over into the entry; numbers and times stay. */
static void adopt(struct entry *e, struct runtime_facts *f)
{
    struct container old = e->c, *c = &e->c;
    *c = f->c;
    f->c = (struct container){0};
    c->number = old.number, c->wanted = old.wanted, c->attached = old.attached;
    c->cgroup_id = old.cgroup_id, c->born_ns = old.born_ns, c->gone_ns = old.gone_ns;
    c->state = old.state == CONTAINER_GONE ? CONTAINER_GONE : CONTAINER_RUNNING;
    old.n_labels = old.labels ? old.n_labels : 0;
    container_done(&old);
    e->changed = true;
}

static int fill_empty(struct container *c)
{
    char **fields[] = {&c->id,  &c->runtime, &c->name,    &c->image,    &c->version, &c->namespace_,
                       &c->pod, &c->owner,   &c->command, &c->workload, &c->reason};
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (!*fields[i] && !(*fields[i] = strdup("")))
            return -ENOMEM;
    return 0;
}

/* One look at the runtimes' state. Below a name that only its state makes a container, the
 * container's own cgroup may be any of the ancestors. */
static int look(const struct containers *c, struct entry *e, struct runtime_facts *f)
{
    const struct runtime_paths paths = {c->run, c->docker, c->podman};
    CLEANUP(freep) char *path = strdup(e->path);
    int r = path ? -ENOENT : -ENOMEM;
    while (r == -ENOENT && *path) {
        struct cgroup_name name;
        if (cgroup_parse(path, &name) ||
            (name.kind != CGROUP_CONTAINER && name.kind != CGROUP_UNKNOWN))
            break;
        const struct runtime_query q = {&name, path};
        r = runtime_find(&paths, &q, f);
        if (r == 0) {
            e->name = name;
            r = runtime_set(&f->c.id, name.id);
            strcpy(e->path, path); /* never longer than what it was made of */
        }
        if (name.kind == CGROUP_CONTAINER)
            break;
        *strrchr(path, '/') = '\0';
    }
    return r;
}

/* Does the cgroup hold a process whose pid namespace is not ours? */
static bool is_isolated(const struct containers *c, const struct entry *e)
{
    char path[2 * CGROUP_PATH_MAX], ours[64] = "", its[64] = "";
    struct cgroup_place place;
    uint64_t id;
    if (cgroup_find(c->cgroup, e->path, &place, &id))
        return false;
    snprintf(path, sizeof(path), "%s/cgroup.controllers", c->cgroup);
    bool pure = !access(path, F_OK);
    snprintf(path, sizeof(path), "%s%s%s%s/cgroup.procs", c->cgroup, pure ? "" : "/",
             pure ? "" : place.hierarchy, e->path);
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    int pid;
    if (!f || fscanf(f, "%d", &pid) != 1)
        return false;
    snprintf(path, sizeof(path), "%s/self/ns/pid", c->proc);
    ssize_t n = readlink(path, ours, sizeof(ours) - 1);
    snprintf(path, sizeof(path), "%s/%d/ns/pid", c->proc, pid);
    ssize_t m = readlink(path, its, sizeof(its) - 1);
    return n > 0 && m > 0 && strcmp(ours, its);
}

static int resolve(const struct containers *c, struct entry *e, uint64_t now_ns)
{
    CLEANUP(runtime_facts_done) struct runtime_facts f = {0};
    int r = look(c, e, &f);
    if (r == 0) {
        r = fill_empty(&f.c);
        r = r < 0 ? r : workload_complete(&f, *c->label ? c->label : NULL);
        if (r == 0)
            adopt(e, &f);
        return r;
    }
    e->retry_ns = e->retry_ns ? MIN(2 * e->retry_ns, RETRY_MAX_NS) : RETRY_FIRST_NS;
    e->due_ns = now_ns + e->retry_ns;
    if (!e->isolated && e->name.kind == CGROUP_UNKNOWN)
        e->isolated = is_isolated(c, e);
    const char *why = f.c.reason ? f.c.reason : "no runtime state found (yet)";
    if (strcmp(e->c.reason, why)) {
        e->changed = true;
        return runtime_set(&e->c.reason, why);
    }
    return 0;
}

static int entry_new(struct containers *c, uint32_t number, uint64_t cgroup_id_, const char *path,
                     const struct cgroup_name *name, struct entry **ret)
{
    CLEANUP(entry_freep) struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    if (c->n >= c->max) {
        /* One line, not one per container: this is what a flood of them looks like. */
        if (!c->refused++)
            log_warn("containers: more than %u at a time: further ones are not watched "
                     "(containers_max)",
                     c->max);
        return -ENOSPC;
    }
    e->name = *name;
    e->path = strndup(path, name->top_bytes);
    e->c.number = number;
    e->c.cgroup_id = cgroup_id_;
    e->c.state = CONTAINER_UNRESOLVED;
    e->changed = true;
    if (!e->path || runtime_set(&e->c.id, name->id) || runtime_set(&e->c.runtime, name->runtime) ||
        fill_empty(&e->c))
        return -ENOMEM;
    *ret = TAKE(e);
    return 0;
}

const struct container *containers_add(struct containers *c, uint32_t number, uint64_t cgroup_id,
                                       const char *path, uint64_t now_ns)
{
    CLEANUP(entry_freep) struct entry *e = NULL;
    struct cgroup_name name;
    struct entry *old = by_number(c, number);
    if (old)
        return &old->c;
    if (cgroup_parse(path, &name) || name.kind == CGROUP_HOST || name.kind == CGROUP_PARENT)
        return NULL;
    old = by_path(c, path);
    if (old)
        return &old->c;
    if (entry_new(c, number, cgroup_id, path, &name, &e))
        return NULL;
    e->c.born_ns = e->due_ns = now_ns;
    judge(c, e, now_ns);
    return insert(c, e) ? NULL : &TAKE(e)->c;
}

void containers_remove(struct containers *c, uint32_t number, uint64_t now_ns)
{
    struct entry *e = by_number(c, number);
    if (e && e->c.state == CONTAINER_GONE && now_ns < e->c.gone_ns) {
        e->c.gone_ns = now_ns; /* told late, by who knows when */
        e->changed = true;
    }
    if (!e || e->c.state == CONTAINER_GONE)
        return;
    /* The state is left for a moment when a runtime deletes the cgroup first. */
    if (e->c.state == CONTAINER_UNRESOLVED)
        resolve(c, e, now_ns);
    judge(c, e, now_ns);
    e->state = e->c.state;
    e->c.state = CONTAINER_GONE;
    e->c.gone_ns = now_ns;
    e->changed = true;
}

void containers_stay(struct containers *c, uint32_t number)
{
    struct entry *e = by_number(c, number);
    if (!e || e->c.state != CONTAINER_GONE)
        return;
    log_warn("container %s: its cgroup is gone, but a process that was moved out of it lives: "
             "watched on",
             e->c.id);
    e->c.state = e->state;
    e->c.gone_ns = 0;
    e->outside = e->changed = true;
}

void containers_drained(struct containers *c, uint32_t number)
{
    struct entry *e = by_number(c, number);
    if (e)
        e->drained = true;
}

int containers_select(struct containers *c, const struct container_selector *selector)
{
    struct selector *s;
    int r = selector_new(selector, &s);
    if (r < 0)
        return r;
    selector_free(c->selector);
    c->selector = s;
    c->generation++;
    return 0;
}

int containers_restore(struct containers *c, const struct container *known, uint32_t n)
{
    if (!n)
        return 0;
    struct container *more = reallocarray(c->known, c->n_known + n, sizeof(*more));
    if (!more)
        return -ENOMEM;
    c->known = more;
    for (uint32_t i = 0; i < n; i++) {
        int r = container_copy(&known[i], &c->known[c->n_known]);
        if (r < 0)
            return r;
        c->n_known++;
    }
    return 0;
}

/* A restarted agent goes on under the numbers that the kernel's maps hold. */
static const struct container *known_one(const struct containers *c, const struct entry *e)
{
    for (uint32_t i = 0; i < c->n_known; i++)
        if (c->known[i].cgroup_id == e->c.cgroup_id && c->known[i].state != CONTAINER_GONE &&
            !strcmp(c->known[i].id, e->c.id) && !by_number(c, c->known[i].number))
            return &c->known[i];
    return NULL;
}

static int scan_add(struct containers *c, const struct cgroup_place *place, uint64_t now_ns,
                    uint32_t *number_next)
{
    CLEANUP(entry_freep) struct entry *e = NULL;
    struct cgroup_place top = *place;
    struct cgroup_name name;
    uint64_t id = 0;
    if (cgroup_parse(place->path, &name) || name.kind == CGROUP_HOST ||
        name.kind == CGROUP_PARENT || by_path(c, place->path))
        return 0;
    int r = entry_new(c, *number_next, 0, place->path, &name, &e);
    if (r < 0)
        return r == -ENOSPC ? 0 : r;
    e->c.born_ns = now_ns;
    e->c.attached = true;
    r = resolve(c, e, now_ns);
    if (r < 0)
        return r;
    /* A process of the host in a cgroup of its own, like any service manager makes them. */
    if (e->c.state == CONTAINER_UNRESOLVED && name.kind == CGROUP_UNKNOWN && !e->isolated)
        return 0;
    if (by_path(c, e->path))
        return 0;
    snprintf(top.path, sizeof(top.path), "%s", e->path);
    if (!cgroup_id(c->cgroup, &top, &id))
        e->c.cgroup_id = id;
    snprintf(e->hierarchy, sizeof(e->hierarchy), "%s", place->hierarchy);
    const struct container *known = known_one(c, e);
    if (known) {
        e->c.number = known->number;
        if (known->born_ns) {
            e->c.attached = known->attached;
            e->c.born_ns = known->born_ns;
        }
    }
    judge(c, e, now_ns);
    uint32_t number = e->c.number;
    r = insert(c, e);
    if (r < 0)
        return r;
    e = NULL;
    *number_next = MAX(*number_next, number + 1);
    return 0;
}

static int scan_process(struct containers *c, const char *pid, uint64_t now_ns,
                        uint32_t *number_next)
{
    char path[CGROUP_PATH_MAX], text[16384];
    struct cgroup_place place;
    snprintf(path, sizeof(path), "%s/%s/cgroup", c->proc, pid);
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0; /* it has ended meanwhile */
    text[n] = '\0';
    if (strlen(text) != (size_t)n || cgroup_of(text, &place))
        return 0;
    return scan_add(c, &place, now_ns, number_next);
}

int containers_scan(struct containers *c, uint64_t now_ns, uint32_t *number_next)
{
    for (uint32_t i = 0; i < c->n_known; i++)
        *number_next = MAX(*number_next, c->known[i].number + 1);
    DIR *d = opendir(c->proc);
    if (!d) {
        log_error("looking for containers: %s: %s", c->proc, strerror(errno));
        return -ENOENT;
    }
    int r = 0;
    struct dirent *e;
    while (r == 0 && (e = readdir(d)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            r = scan_process(c, e->d_name, now_ns, number_next);
    closedir(d);
    return r;
}

static void resolve_due(struct containers *c, uint64_t now_ns)
{
    uint32_t start = position(c, c->cursor), work = 0;
    for (uint32_t k = 0; k < c->n && work < POLL_RESOLVES_MAX; k++) {
        struct entry *e = c->entries[(start + k) % c->n];
        if (e->c.state != CONTAINER_UNRESOLVED || now_ns < e->due_ns)
            continue;
        resolve(c, e, now_ns);
        c->cursor = e->c.number + 1;
        work++;
    }
}

static void forget_drained(struct containers *c)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        struct entry *e = c->entries[i];
        if (e->drained && e->c.state == CONTAINER_GONE)
            entry_free(e);
        else
            c->entries[kept++] = e;
    }
    c->n = kept;
}

int containers_poll(struct containers *c, uint64_t now_ns, struct container **ret, uint32_t *ret_n)
{
    uint32_t changed = 0, n = 0;
    resolve_due(c, now_ns);
    for (uint32_t i = 0; i < c->n; i++) {
        judge(c, c->entries[i], now_ns);
        changed += c->entries[i]->changed;
    }
    struct container *copies = changed ? calloc(changed, sizeof(*copies)) : NULL;
    if (changed && !copies)
        return -ENOMEM;
    for (uint32_t i = 0; i < c->n; i++) {
        struct entry *e = c->entries[i];
        if (!e->changed)
            continue;
        if (container_copy(&e->c, &copies[n])) {
            while (n)
                container_done(&copies[--n]);
            free(copies);
            return -ENOMEM;
        }
        n++;
    }
    for (uint32_t i = 0; i < c->n; i++)
        c->entries[i]->changed = false;
    forget_drained(c);
    *ret = copies;
    *ret_n = n;
    return 0;
}

const struct container *containers_get(struct containers *c, uint32_t number)
{
    struct entry *e = by_number(c, number);
    return e ? &e->c : NULL;
}

uint32_t containers_count(const struct containers *c)
{
    return c->n;
}

uint32_t containers_max(const struct containers *c)
{
    return c->max;
}

const struct container *containers_at(const struct containers *c, uint32_t i)
{
    return i < c->n ? &c->entries[i]->c : NULL;
}

const char *containers_hierarchy(const struct containers *c, uint32_t number)
{
    struct entry *e = by_number(c, number);
    return e ? e->hierarchy : "";
}

uint64_t containers_refused(const struct containers *c)
{
    return c->refused;
}

uint64_t containers_unresolved(const struct containers *c)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        n += c->entries[i]->c.state == CONTAINER_UNRESOLVED;
    return n;
}
