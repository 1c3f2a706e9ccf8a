#include "capture/known.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "capture/decide.h"
#include "capture/text.h"
#include "event/program.h"

/* Entries of a generation. */
#define PROGRAMS_MAX (1u << 16)
#define SENT_MAX (1u << 16) /* less than the engine keeps: what it forgot is told again */

/* The kernel sends a text again that we no longer know. */
static void text_forget(uint64_t key, void *user)
{
    struct known *k = user;
    struct dictionary_key kernel_key = {(uint32_t)(key >> 32), (uint32_t)key};
    if (k->dictionary_map >= 0)
        bpf_map_delete_elem(k->dictionary_map, &kernel_key);
    k->forgot = true;
}

void known_init(struct known *k)
{
    *k = (struct known){.dictionary_map = -1, .programs_map = -1};
    aging_init(&k->dictionary, KNOWN_TEXTS_MAX / 2);
    k->dictionary.drop = text_forget;
    k->dictionary.user = k;
    aging_init(&k->programs, PROGRAMS_MAX);
    aging_init(&k->sent, SENT_MAX);
    table_init(&k->tgids, KNOWN_PROCESSES_MAX);
}

void known_done(struct known *k)
{
    for (uint32_t i = 0; i < k->n_processes; i++) {
        free(k->processes[i].path);
        free(k->processes[i].arguments);
    }
    free(k->processes);
    aging_done(&k->dictionary);
    aging_done(&k->programs);
    aging_done(&k->sent);
    table_done(&k->tgids);
}

/* Room for one more element in an array that has grown by powers of two. */
#define APPEND(array, n)                                                                           \
    ({                                                                                             \
        void *grown_ = (array);                                                                    \
        if (((n) & ((n) - 1)) == 0)                                                                \
            grown_ = realloc((array), ((n) ? 2 * (size_t)(n) : 1) * sizeof(*(array)));             \
        if (grown_)                                                                                \
            (array) = grown_;                                                                      \
        grown_ ? &(array)[(n)++] : NULL;                                                           \
    })

/* Tells a text in the block, once per container. */
static int text_tell(struct known *k, uint32_t container, enum text_kind kind, uint8_t access,
                     const char *text, uint64_t *ret_id)
{
    uint64_t id = text_id(kind, access, text), key = hash_mix(id, container) | 1;
    *ret_id = id;
    if (aging_get(&k->sent, key))
        return 0;
    if (aging_put(&k->sent, key, k->tick))
        k->refused_texts++; /* told again each time then */
    struct text *t = APPEND(k->block->texts, k->block->n_texts);
    if (!t)
        return -ENOMEM;
    *t = (struct text){
        .id = id, .container = container, .kind = kind, .access = access, .text = strdup(text)};
    return t->text ? 0 : -ENOMEM;
}

int known_text(struct known *k, const struct record_text *r, uint32_t container)
{
    char text[TEXT_MAX + 1];
    uint64_t id;
    enum text_kind kind = text_normalise(r, text);
    int error = text_tell(k, container, kind, r->access, text, &id);
    if (error)
        return error;
    if (aging_put(&k->dictionary, (uint64_t)r->container << 32 | r->hash, id))
        k->refused_texts++;
    struct dictionary_key key = {r->container, r->hash};
    struct dictionary_entry entry;
    if (k->dictionary_map >= 0 && !bpf_map_lookup_elem(k->dictionary_map, &key, &entry) &&
        entry.text != id) {
        entry.text = id;
        bpf_map_update_elem(k->dictionary_map, &key, &entry, BPF_EXIST);
    }
    return 0;
}

/* Processes. */

static struct known_process *process_at(const struct known *k, uint32_t tgid, uint64_t start_ns)
{
    uint64_t *at = table_get(&k->tgids, tgid);
    for (uint32_t i = at ? (uint32_t)*at : 0; i; i = k->processes[i - 1].older)
        if (k->processes[i - 1].start_ns == start_ns)
            return &k->processes[i - 1];
    return NULL;
}

static struct known_process *process_new(struct known *k, uint32_t tgid, uint64_t start_ns)
{
    uint64_t *at = table_get(&k->tgids, tgid);
    uint32_t older = at ? (uint32_t)*at : 0, index = k->free;
    struct known_process *p = NULL;
    if (index)
        p = &k->processes[index - 1];
    else if (k->n_processes < KNOWN_PROCESSES_MAX)
        p = APPEND(k->processes, k->n_processes);
    if (!p) {
        k->refused_processes++;
        return NULL;
    }
    if (index)
        k->free = p->older;
    index = (uint32_t)(p - k->processes) + 1;
    *p = (struct known_process){.tgid = tgid, .start_ns = start_ns, .older = older};
    if (table_put(&k->tgids, tgid, index)) {
        p->tgid = 0;
        p->older = k->free;
        k->free = index;
        k->refused_processes++;
        return NULL;
    }
    return p;
}

static struct known_process *process_get(struct known *k, const struct record_process *r,
                                         uint32_t container)
{
    struct known_process *p = process_at(k, r->tgid, r->start);
    if (!p)
        p = process_new(k, r->tgid, r->start);
    if (p) {
        p->container = container;
        p->number = r->container;
        p->parent_tgid = r->parent_tgid;
        p->parent_start_ns = r->parent_start;
    }
    return p;
}

static int process_tell(struct known *k, const struct process *p, const char *path,
                        const char *arguments)
{
    struct process *told = APPEND(k->block->processes, k->block->n_processes);
    if (!told)
        return -ENOMEM;
    *told = *p;
    told->path = strdup(path ? path : "");
    told->arguments = strdup(arguments ? arguments : "");
    return told->path && told->arguments ? 0 : -ENOMEM;
}

static uint64_t program_id(struct known *k, uint32_t exec)
{
    uint64_t *id = exec ? aging_get(&k->programs, exec) : NULL;
    return id ? *id : 0;
}

static struct process process_of(struct known *k, const struct record_process *r,
                                 uint32_t container)
{
    return (struct process){.time_ns = r->time,
                            .start_ns = r->start,
                            .parent_start_ns = r->parent_start,
                            .program = program_id(k, r->program),
                            .parent_program = program_id(k, r->parent_program),
                            .container = container,
                            .tgid = r->tgid,
                            .parent_tgid = r->parent_tgid,
                            .tid = r->tid,
                            .exit_code = r->exit_code};
}

static void arguments_join(const char *arguments, size_t length, char *ret)
{
    for (size_t i = 0; i < length; i++)
        ret[i] = arguments[i] ? arguments[i] : ' ';
    while (length && ret[length - 1] == ' ')
        length--;
    ret[length] = 0;
}

int known_program(struct known *k, const struct record_program *r, uint32_t container)
{
    char path[TEXT_JOINED_MAX], arguments[ARGUMENT_BYTES + 1], key[PROGRAM_KEY_MAX];
    uint32_t path_length = MIN(r->process.path_length, PATH_BYTES);
    uint32_t length = MIN(r->process.arguments_length, ARGUMENT_BYTES);
    uint64_t id;
    text_join(r->data, path_length, path);
    arguments_join(r->data + path_length, length, arguments);
    bool entered = r->process.event == PROGRAM_FOUND && r->process.joined;
    if (entered)
        strcpy(key, PROGRAM_ENTERED);
    else
        program_key(path, r->data + path_length, length, key);
    int error = text_tell(k, container, TEXT_PROGRAM, ACCESS_NONE, key, &id);
    if (error)
        return error;
    aging_put(&k->programs, r->process.program, id);
    if (k->programs_map >= 0)
        bpf_map_update_elem(k->programs_map, &r->process.program, &id, BPF_ANY);
    struct process p = process_of(k, &r->process, container);
    p.event = r->process.event == PROGRAM_EXEC ? PROCESS_EXEC : PROCESS_FOUND;
    p.flags =
        (uint8_t)((!strncmp(path, "/memfd:", 7) ? PROGRAM_MEMFD : 0) |
                  (r->process.deleted ? PROGRAM_DELETED : 0) |
                  (r->process.upper ? PROGRAM_NOT_FROM_IMAGE : 0) | (entered ? PROGRAM_JOINED : 0) |
                  (p.event == PROCESS_EXEC && r->process.joined == JOIN_SESSION ? PROGRAM_SESSION
                                                                                : 0));
    struct known_process *known = process_get(k, &r->process, container);
    if (known) {
        free(known->path);
        free(known->arguments);
        known->path = strdup(path);
        known->arguments = strdup(arguments);
        known->program = id;
        known->flags = p.flags;
    }
    return process_tell(k, &p, path, arguments);
}

int known_fork(struct known *k, const struct record_process *r, uint32_t container)
{
    struct process p = process_of(k, r, container);
    p.event = PROCESS_FORK;
    struct known_process *known = process_get(k, r, container);
    struct known_process *parent = process_at(k, r->parent_tgid, r->parent_start);
    p.flags = (uint8_t)((r->joined ? PROGRAM_JOINED : 0) |
                        (parent ? parent->flags & ~(PROGRAM_JOINED | PROGRAM_SESSION) : 0));
    if (known)
        known->program = p.program, known->flags = p.flags;
    if (known && parent && !known->path) {
        known->path = parent->path ? strdup(parent->path) : NULL;
        known->arguments = parent->arguments ? strdup(parent->arguments) : NULL;
    }
    return process_tell(k, &p, NULL, NULL);
}

int known_exit(struct known *k, const struct record_process *r, uint32_t container)
{
    struct process p = process_of(k, r, container);
    p.event = PROCESS_EXIT;
    struct known_process *known = process_at(k, r->tgid, r->start);
    if (known)
        known->exit_ns = r->time;
    return process_tell(k, &p, NULL, NULL);
}

/* Names for words. */

static uint64_t program_from_proc(struct known *k, uint32_t container, uint32_t tgid)
{
    char path[64], exe[PATH_MAX] = "", arguments[ARGUMENT_BYTES], key[PROGRAM_KEY_MAX];
    uint64_t id = 0;
    snprintf(path, sizeof(path), "/proc/%u/exe", tgid);
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = 0;
    snprintf(path, sizeof(path), "/proc/%u/cmdline", tgid);
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, arguments, sizeof(arguments)) : 0;
    program_key(exe, arguments, length > 0 ? (size_t)length : 0, key);
    return text_tell(k, container, TEXT_PROGRAM, ACCESS_NONE, key, &id) ? 0 : id;
}

uint64_t known_program_of(struct known *k, uint32_t container, uint32_t exec, uint32_t tgid)
{
    uint64_t id = program_id(k, exec);
    if (id)
        return id;
    k->unknown_programs++; /* its record was lost */
    id = program_from_proc(k, container, tgid);
    if (exec)
        aging_put(&k->programs, exec, id);
    return id;
}

uint64_t known_start_of(const struct known *k, uint32_t tgid, uint64_t time_ns)
{
    uint64_t *at = table_get(&k->tgids, tgid), oldest = 0;
    for (uint32_t i = at ? (uint32_t)*at : 0; i; i = k->processes[i - 1].older) {
        oldest = k->processes[i - 1].start_ns;
        if (oldest <= time_ns)
            break;
    }
    return oldest;
}

uint64_t known_argument_of(struct known *k, uint32_t container, uint32_t hash)
{
    uint64_t *id = aging_get(&k->dictionary, (uint64_t)container << 32 | hash);
    return id ? *id : 0;
}

bool known_ended(const struct known *k, uint32_t tgid, uint64_t start_ns, uint64_t before_ns)
{
    const struct known_process *p = process_at(k, tgid, start_ns);
    return !p || (p->exit_ns && p->exit_ns < before_ns);
}

void known_restore(struct known *k, uint32_t tgid, uint64_t start_ns, uint32_t container,
                   uint64_t program)
{
    struct known_process *p = process_at(k, tgid, start_ns);
    if (!p)
        p = process_new(k, tgid, start_ns);
    if (p) {
        p->container = p->number = container;
        p->program = program;
    }
}

static size_t length(const char *s)
{
    return s ? strlen(s) : 0;
}

int known_snapshot(struct known *k, uint64_t now_ns)
{
    size_t room = SNAPSHOT_TEXTS_MAX;
    uint64_t untold = 0;
    for (uint32_t i = 0; i < k->n_processes; i++) {
        const struct known_process *p = &k->processes[i];
        if (!p->tgid || p->exit_ns)
            continue;
        struct process found = {.time_ns = now_ns,
                                .start_ns = p->start_ns,
                                .program = p->program,
                                .parent_start_ns = p->parent_start_ns,
                                .container = p->container,
                                .tgid = p->tgid,
                                .parent_tgid = p->parent_tgid,
                                .tid = p->tgid,
                                .flags = p->flags,
                                .event = PROCESS_FOUND};
        size_t size = length(p->path) + length(p->arguments);
        bool fits = size <= room;
        room -= fits ? size : 0;
        untold += !fits;
        int error = process_tell(k, &found, fits ? p->path : NULL, fits ? p->arguments : NULL);
        if (error)
            return error;
    }
    if (untold && !k->said_untold)
        log_warn("more processes with long arguments than a snapshot has room for: %lu are told "
                 "without",
                 (unsigned long)untold);
    k->said_untold = untold;
    k->refused_processes += untold;
    return 0;
}

void known_hold(const struct known *k, struct decide *d)
{
    for (uint32_t i = 0; i < k->n_processes && d->gone.n; i++)
        if (k->processes[i].tgid && !k->processes[i].exit_ns)
            decide_hold(d, k->processes[i].number);
}

static bool told_at(uint64_t key, uint64_t *value, void *user)
{
    (void)key;
    return *value == *(uint64_t *)user;
}

void known_roll_back(struct known *k)
{
    table_sweep(&k->sent.young, told_at, &k->tick);
    table_sweep(&k->sent.old, told_at, &k->tick);
}

static void process_free(struct known *k, uint32_t index)
{
    struct known_process *p = &k->processes[index - 1];
    free(p->path);
    free(p->arguments);
    *p = (struct known_process){.older = k->free};
    k->free = index;
}

struct sweep {
    struct known *known;
    uint64_t before_ns, now_ns;
    bool pids;
};

/* Its exit may have been lost, or not have been told since nobody wanted its container any more. Of
 * one tgid only the newest can live. */
static bool has_ended(const struct sweep *s, uint32_t tgid, bool newest)
{
    return !newest || (s->pids && kill((pid_t)tgid, 0) && errno == ESRCH);
}

/* Frees what ended of one tgid's list; true when nothing is left. */
static bool tgid_sweep(uint64_t key, uint64_t *value, void *user)
{
    struct sweep *s = user;
    uint32_t head = 0, *link = &head;
    for (uint32_t i = (uint32_t)*value, older; i; i = older) {
        struct known_process *p = &s->known->processes[i - 1];
        older = p->older;
        if (!p->exit_ns && has_ended(s, (uint32_t)key, i == (uint32_t)*value))
            p->exit_ns = s->now_ns;
        if (p->exit_ns && p->exit_ns < s->before_ns) {
            process_free(s->known, i);
        } else {
            *link = i;
            link = &p->older;
        }
    }
    *link = 0;
    *value = head;
    return head == 0;
}

void known_sweep(struct known *k, uint64_t before_ns, uint64_t now_ns, bool pids)
{
    struct sweep s = {k, before_ns, now_ns, pids};
    table_sweep(&k->tgids, tgid_sweep, &s);
}
