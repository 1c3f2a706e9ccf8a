#include "soc/scene.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define TICK_NS (250 * NS_PER_MS)
#define ZERO_NS (1000 * NS_PER_S)

#define SERVER "/usr/sbin/server"

/* One more element at the end of an array of the block, zeroed. */
#define MORE(array, n)                                                                             \
    ({                                                                                             \
        (array) = realloc((array), ((n) + 1) * sizeof(*(array)));                                  \
        memset(&(array)[n], 0, sizeof(*(array)));                                                  \
        &(array)[(n)++];                                                                           \
    })

static uint64_t now_ns(const struct scene *s)
{
    return ZERO_NS + s->tick * TICK_NS;
}

static void begin(struct scene *s)
{
    struct block *b = s->block = calloc(1, sizeof(*b));
    b->capture = s->capture;
    strcpy(b->node, "node-1");
    b->sequence = s->tick + 1;
    b->from_ns = now_ns(s);
    b->until_ns = b->mono_ns = b->from_ns + TICK_NS;
    b->wall_ns = b->mono_ns + s->wall_lead_ns;
}

void scene_init(struct scene *s, uint64_t capture)
{
    *s = (struct scene){
        .capture = capture, .position = 1, .wall_lead_ns = UINT64_C(1700000000) * NS_PER_S};
    begin(s);
}

struct block *scene_end(struct scene *s)
{
    struct block *b = s->block;
    s->tick++;
    begin(s);
    return b;
}

double scene_seconds(const struct scene *s)
{
    return (double)s->tick / 4;
}

static uint64_t add_text(struct scene *s, uint32_t container, enum text_kind kind,
                         enum text_access access, const char *text)
{
    uint64_t id = text_id(kind, access, text);
    struct text *t = MORE(s->block->texts, s->block->n_texts);
    *t = (struct text){
        .id = id, .container = container, .kind = kind, .access = access, .text = strdup(text)};
    return id;
}

static void add_container(struct scene *s, uint32_t number, const char *workload, uint8_t state,
                          bool attached)
{
    struct container *c = MORE(s->block->containers, s->block->n_containers);
    *c = (struct container){.number = number,
                            .state = state,
                            .wanted = true,
                            .attached = attached,
                            .born_ns = now_ns(s)};
    char **strings[] = {&c->id,      &c->runtime,    &c->name,  &c->image,
                        &c->version, &c->namespace_, &c->pod,   &c->owner,
                        &c->command, &c->workload,   &c->reason};
    for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
        *strings[i] = strdup("");
    free(c->workload), free(c->name), free(c->id);
    c->workload = strdup(workload), c->name = strdup("server"), c->id = strdup("c0ffee");
    c->labels = calloc(1, sizeof(*c->labels));
}

void scene_container(struct scene *s, uint32_t number, const char *workload, bool attached)
{
    add_container(s, number, workload, CONTAINER_RUNNING, attached);
}

void scene_gone(struct scene *s, uint32_t number, const char *workload)
{
    add_container(s, number, workload, CONTAINER_GONE, false);
}

static struct process *add_process(struct scene *s, uint32_t container, uint32_t tgid,
                                   enum process_event event)
{
    struct process *p = MORE(s->block->processes, s->block->n_processes);
    *p = (struct process){.time_ns = now_ns(s),
                          .start_ns = tgid,
                          .container = container,
                          .tgid = tgid,
                          .event = (uint8_t)event};
    return p;
}

void scene_fork(struct scene *s, uint32_t container, uint32_t parent, uint32_t tgid,
                const char *program)
{
    uint64_t id = add_text(s, container, TEXT_PROGRAM, ACCESS_NONE, program);
    struct process *p = add_process(s, container, tgid, PROCESS_FORK);
    p->program = id;
    p->parent_tgid = parent, p->parent_start_ns = parent;
    p->path = strdup(""), p->arguments = strdup("");
}

void scene_exec(struct scene *s, uint32_t container, uint32_t tgid, const char *before,
                const char *program, const char *arguments)
{
    uint64_t parent = add_text(s, container, TEXT_PROGRAM, ACCESS_NONE, before);
    uint64_t id = add_text(s, container, TEXT_PROGRAM, ACCESS_NONE, program);
    struct process *p = add_process(s, container, tgid, PROCESS_EXEC);
    p->program = id, p->parent_program = parent;
    p->path = strdup(program), p->arguments = strdup(arguments);
}

void scene_exit(struct scene *s, uint32_t container, uint32_t tgid)
{
    struct process *p = add_process(s, container, tgid, PROCESS_EXIT);
    p->path = strdup(""), p->arguments = strdup("");
}

static void count(struct scene *s, uint32_t container, uint64_t program, uint16_t sysno, bool error)
{
    struct block *b = s->block;
    uint32_t i = 0, at = 0;
    while (i < b->n_bins && b->bins[i].container != container)
        i++;
    if (i == b->n_bins) {
        struct bin *x = MORE(b->bins, b->n_bins);
        x->container = container, x->second = b->from_ns / NS_PER_S;
    }
    struct bin *x = &b->bins[i];
    while (at < x->n_counts && (x->counts[at].program < program ||
                                (x->counts[at].program == program && x->counts[at].sysno < sysno)))
        at++;
    if (at == x->n_counts || x->counts[at].program != program || x->counts[at].sysno != sysno) {
        (void)MORE(x->counts, x->n_counts);
        memmove(&x->counts[at + 1], &x->counts[at], (x->n_counts - 1 - at) * sizeof(*x->counts));
        x->counts[at] = (struct bin_count){.program = program, .sysno = sysno};
    }
    x->counts[at].calls++;
    x->counts[at].errors += error;
}

static struct window *add_window(struct scene *s, uint32_t container, uint32_t tgid,
                                 uint64_t program, const struct window *before)
{
    struct window last = before ? *before : (struct window){0};
    struct window *w = MORE(s->block->windows, s->block->n_windows);
    *w = (struct window){.id = {.capture = s->capture, .position = s->position},
                         .first_ns = now_ns(s),
                         .last_ns = now_ns(s),
                         .program = program,
                         .start_ns = tgid,
                         .tgid = tgid,
                         .tid = tgid,
                         .container = container};
    for (unsigned i = 0; i < WINDOW_CONTEXT_MAX && i < last.n_calls; i++) {
        unsigned n = last.n_calls < WINDOW_CONTEXT_MAX ? last.n_calls : WINDOW_CONTEXT_MAX;
        w->context[i] = last.sysno[last.n_calls - n + i];
        w->n_context = (uint8_t)n;
    }
    return w;
}

void scene_calls(struct scene *s, uint32_t container, uint32_t tgid, const char *program,
                 const struct scene_call *calls, unsigned repeat)
{
    uint64_t id = add_text(s, container, TEXT_PROGRAM, ACCESS_NONE, program);
    struct window *w = NULL;
    for (unsigned r = 0; r < repeat; r++) {
        for (const struct scene_call *c = calls; c->name; c++, s->position++) {
            if (!w || w->n_calls == WINDOW_CALLS_MAX)
                w = add_window(s, container, tgid, id,
                               w ? &s->block->windows[s->block->n_windows - 1] : NULL);
            unsigned i = w->n_calls++;
            uint16_t sysno = 0;
            if (syscall_by_name(c->name, &sysno) < 0)
                abort();
            w->sysno[i] = sysno;
            w->ret[i] = ret_class(c->ret);
            if (c->argument) {
                w->argument[i] = add_text(s, container, TEXT_PATH, c->access, c->argument);
                w->flag[i] = CALL_HAS_ARGUMENT;
            }
            count(s, container, id, sysno, c->ret < 0);
        }
    }
}

void scene_serve(struct scene *s, uint32_t container, uint32_t tgid)
{
    static const struct scene_call page[] = {
        {"epoll_wait", 1, NULL, 0}, {"accept4", 7, NULL, 0},
        {"read", 100, NULL, 0},     {"openat", 8, "/srv/www/page.html", ACCESS_READ},
        {"fstat", 0, NULL, 0},      {"read", 50, NULL, 0},
        {"close", 0, NULL, 0},      {"write", 90, NULL, 0},
        {"close", 0, NULL, 0},      {NULL, 0, NULL, 0}};
    static const struct scene_call missing[] = {
        {"epoll_wait", 1, NULL, 0}, {"accept4", 7, NULL, 0},
        {"read", 100, NULL, 0},     {"openat", -2, "/srv/www/no.html", ACCESS_READ},
        {"write", 90, NULL, 0},     {"close", 0, NULL, 0},
        {NULL, 0, NULL, 0}};
    scene_calls(s, container, tgid, SERVER, page, 3 + (unsigned)s->tick % 4);
    if (s->tick % 5 == 0)
        scene_calls(s, container, tgid, SERVER, missing, 1);
}

void scene_boot(struct scene *s, uint32_t container, uint32_t tgid)
{
    static const struct scene_call boot[] = {{"brk", 0, NULL, 0},
                                             {"mmap", 0, NULL, 0},
                                             {"openat", 3, "/etc/server.conf", ACCESS_READ},
                                             {"read", 100, NULL, 0},
                                             {"close", 0, NULL, 0},
                                             {"socket", 3, NULL, 0},
                                             {"bind", 0, NULL, 0},
                                             {"listen", 0, NULL, 0},
                                             {"epoll_create1", 4, NULL, 0},
                                             {"epoll_ctl", 0, NULL, 0},
                                             {NULL, 0, NULL, 0}};
    scene_fork(s, container, 0, tgid, SERVER);
    scene_calls(s, container, tgid, SERVER, boot, 1);
}

void scene_attack(struct scene *s, uint32_t container, uint32_t tgid, uint32_t shell)
{
    static const struct scene_call spawn[] = {
        {"pipe2", 0, NULL, 0}, {"clone", 99, NULL, 0}, {"wait4", 99, NULL, 0}, {NULL, 0, NULL, 0}};
    static const struct scene_call read_shadow[] = {{"brk", 0, NULL, 0},
                                                    {"openat", 3, "/etc/shadow", ACCESS_READ},
                                                    {"read", 100, NULL, 0},
                                                    {"write", 100, NULL, 0},
                                                    {"openat", 3, "/tmp/.x1", ACCESS_CREATE},
                                                    {"write", 99, NULL, 0},
                                                    {"fchmod", 0, NULL, 0},
                                                    {"close", 0, NULL, 0},
                                                    {NULL, 0, NULL, 0}};
    static const struct scene_call call_home[] = {{"socket", 3, NULL, 0},
                                                  {"connect", -111, NULL, 0},
                                                  {"nanosleep", 0, NULL, 0},
                                                  {"connect", -111, NULL, 0},
                                                  {NULL, 0, NULL, 0}};
    scene_fork(s, container, tgid, shell, SERVER);
    scene_exec(s, container, shell, SERVER, "/usr/bin/dash", "sh -c 'cat /etc/shadow'");
    scene_calls(s, container, tgid, SERVER, spawn, 1);
    scene_calls(s, container, shell, "/usr/bin/dash", read_shadow, 2);
    scene_fork(s, container, shell, shell + 1, "/usr/bin/dash");
    scene_exec(s, container, shell + 1, "/usr/bin/dash", "/tmp/.x1", "/tmp/.x1 10.0.0.9");
    scene_calls(s, container, shell + 1, "/tmp/.x1", call_home, 8);
}
