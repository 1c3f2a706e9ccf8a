#include "features/servers.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dict.h"
#include "base/hash.h"
#include "base/log.h"

#define TICK_NS (250 * NS_PER_MS)
#define PROGRAMS_MAX 256
#define MARKS_MAX 4096
#define NUMBER_SIGNAL_RETURN 1023 /* orig_ax -1; live it is number 15 without result */
#define NUMBER_RT_SIGRETURN 15
#define NUMBER_EXIT_GROUP 231
#define RESTART_LEAD_S                                                                             \
    0.5 /* a new container's first calls come at most so long before "restarted" */
#define NONE UINT32_MAX

enum { COLUMN_TIME, COLUMN_PID, COLUMN_TID, COLUMN_NUMBER, COLUMN_RET, COLUMN_PROGRAM, COLUMNS };

static const struct {
    const char *file;
    uint8_t size;
} columns[COLUMNS] = {
    {"time_ns.i64", 8}, {"pid.u32", 4}, {"tid.u32", 4},
    {"nr.u16", 2},      {"ret.u8", 1},  {"prog.u8", 1},
};

struct thread {
    uint64_t start_ns; /* of its process */
    uint32_t pid, generation, container;
    uint32_t window; /* index of the open one in this block, or NONE */
    uint16_t context[WINDOW_CONTEXT_MAX];
    uint8_t n_context, program;
    bool fresh; /* its next window is the first of its program */
};

struct known_process {
    uint64_t start_ns;
    uint32_t container;
    uint8_t program;
    bool exited; /* its number may be another's next */
};

struct servers {
    char *workload;
    const void *column[COLUMNS];
    size_t mapped[COLUMNS];
    uint64_t calls;
    char *programs[PROGRAMS_MAX];
    uint64_t program_ids[PROGRAMS_MAX];
    uint32_t n_programs;
    struct servers_mark *attacks, *events;
    uint32_t n_attacks, n_events;

    /* how far the blocks have come */
    uint64_t at, tick, words, run_ns;
    uint32_t run_tid, container;
    struct dict tids, pids;
    struct thread *threads;          /* [tids.n] */
    struct known_process *processes; /* [pids.n] */
    uint32_t threads_max, processes_max;
    bool program_sent[PROGRAMS_MAX];
};

static uint64_t time_of(const struct servers *s, uint64_t i)
{
    return SERVERS_ZERO_NS + (uint64_t)((const int64_t *)s->column[COLUMN_TIME])[i];
}

static uint32_t u32_of(const struct servers *s, int column, uint64_t i)
{
    return ((const uint32_t *)s->column[column])[i];
}

static int map_column(struct servers *s, const char *directory, int i)
{
    CLEANUP(freep) char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, columns[i].file) < 0)
        return -ENOMEM;
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = -errno;
        log_error("cannot read %s: %s", path, strerror(errno));
        return r;
    }
    uint64_t n = (uint64_t)st.st_size / columns[i].size;
    if (st.st_size == 0 || n * columns[i].size != (uint64_t)st.st_size || (i && n != s->calls)) {
        log_error("%s: %lld bytes are not the %llu calls of the other arrays", path,
                  (long long)st.st_size, (unsigned long long)s->calls);
        return -EBADMSG;
    }
    s->calls = n;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    s->column[i] = p;
    s->mapped[i] = (size_t)st.st_size;
    return 0;
}

static FILE *open_text(const char *directory, const char *name)
{
    CLEANUP(freep) char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return NULL;
    return fopen(path, "re");
}

static int load_programs(struct servers *s, const char *directory)
{
    CLEANUP(fclosep) FILE *f = open_text(directory, "programs.txt");
    if (!f) {
        log_error("cannot read %s/programs.txt: %s", directory, strerror(errno));
        return -ENOENT;
    }
    char line[TEXT_MAX];
    while (s->n_programs < PROGRAMS_MAX && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\r\n")] = '\0';
        char *name = strdup(line);
        if (!name)
            return -ENOMEM;
        s->program_ids[s->n_programs] = text_id(TEXT_PROGRAM, ACCESS_NONE, name);
        s->programs[s->n_programs++] = name;
    }
    for (uint64_t i = 0; i < s->calls; i++) {
        if (((const uint8_t *)s->column[COLUMN_PROGRAM])[i] >= s->n_programs) {
            log_error("%s/prog.u8: call %llu is of a program that programs.txt lacks", directory,
                      (unsigned long long)i);
            return -EBADMSG;
        }
    }
    return 0;
}

/* Lines of "start,end,name" (times 2) or "time,event" (times 1); a missing file has none. */
static int load_marks(const char *directory, const char *name, int times, struct servers_mark **ret,
                      uint32_t *ret_n)
{
    CLEANUP(fclosep) FILE *f = open_text(directory, name);
    char line[512];
    bool head = true;
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (head || !line[0]) {
            head = false;
            continue;
        }
        struct servers_mark mark = {0};
        int end = 0;
        int n = times == 2 ? sscanf(line, "%lf,%lf,%n", &mark.start_s, &mark.end_s, &end)
                           : sscanf(line, "%lf,%n", &mark.start_s, &end);
        if (n != times || !end || *ret_n >= MARKS_MAX) {
            log_error("%s/%s: cannot read \"%s\"", directory, name, line);
            return -EBADMSG;
        }
        if (times == 1)
            mark.end_s = mark.start_s;
        struct servers_mark *more = realloc(*ret, (*ret_n + 1) * sizeof(*more));
        if (!more)
            return -ENOMEM;
        *ret = more;
        mark.name = strdup(line + end);
        if (!mark.name)
            return -ENOMEM;
        more[(*ret_n)++] = mark;
    }
    return 0;
}

int servers_open(const char *directory, struct servers **ret)
{
    CLEANUP(servers_closep) struct servers *s = calloc(1, sizeof(*s));
    CLEANUP(freep) char *path = strdup(directory);
    if (!s || !path)
        return -ENOMEM;
    s->workload = strdup(basename(path));
    if (!s->workload)
        return -ENOMEM;
    int r = 0;
    for (int i = 0; i < COLUMNS && r == 0; i++)
        r = map_column(s, directory, i);
    if (r == 0)
        r = load_programs(s, directory);
    if (r == 0)
        r = load_marks(directory, "attacks.csv", 2, &s->attacks, &s->n_attacks);
    if (r == 0)
        r = load_marks(directory, "events.csv", 1, &s->events, &s->n_events);
    for (uint64_t i = 1; i < s->calls && r == 0; i++) {
        if (time_of(s, i) < time_of(s, i - 1)) {
            log_error("%s/time_ns.i64: time runs backwards at call %llu", directory,
                      (unsigned long long)i);
            r = -EBADMSG;
        }
    }
    if (r < 0)
        return r;
    servers_rewind(s);
    *ret = TAKE(s);
    return 0;
}

static void marks_free(struct servers_mark *marks, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        free(marks[i].name);
    free(marks);
}

void servers_close(struct servers *s)
{
    for (int i = 0; i < COLUMNS; i++) {
        if (s->column[i])
            munmap((void *)s->column[i], s->mapped[i]);
    }
    for (uint32_t i = 0; i < s->n_programs; i++)
        free(s->programs[i]);
    marks_free(s->attacks, s->n_attacks);
    marks_free(s->events, s->n_events);
    dict_done(&s->tids);
    dict_done(&s->pids);
    free(s->threads);
    free(s->processes);
    free(s->workload);
    free(s);
}

void servers_rewind(struct servers *s)
{
    dict_done(&s->tids);
    dict_done(&s->pids);
    s->at = s->words = 0;
    s->tick = time_of(s, 0) / TICK_NS;
    s->run_ns = 0;
    s->run_tid = 0;
    s->container = 0;
    memset(s->program_sent, 0, sizeof(s->program_sent));
}

const char *servers_workload(const struct servers *s)
{
    return s->workload;
}

uint64_t servers_calls(const struct servers *s)
{
    return s->calls;
}

uint64_t servers_calls_read(const struct servers *s)
{
    return s->at;
}

double servers_seconds(const struct servers *s)
{
    return (double)(time_of(s, s->calls - 1) - time_of(s, 0)) / NS_PER_S;
}

const struct servers_mark *servers_attacks(const struct servers *s, uint32_t *ret_n)
{
    *ret_n = s->n_attacks;
    return s->attacks;
}

/* A block being made: arrays with room for what one tick can hold at most. */
struct making {
    struct block *b;
    struct bin_count *counts; /* [pairs.n], zero behind */
    struct dict pairs;        /* (program, sysno) of the bin at hand */
    uint32_t bin_container;
};

static struct process *add_process(struct servers *s, struct making *m, enum process_event event,
                                   uint64_t i)
{
    struct process *p = &m->b->processes[m->b->n_processes++];
    uint8_t program = ((const uint8_t *)s->column[COLUMN_PROGRAM])[i];
    uint32_t pid = u32_of(s, COLUMN_PID, i);
    const struct known_process *k = &s->processes[dict_add(&s->pids, pid, NULL)];
    bool runs = event == PROCESS_EXEC || event == PROCESS_FOUND;
    *p = (struct process){.time_ns = time_of(s, i),
                          .start_ns = k->start_ns,
                          .program = s->program_ids[program],
                          .container = k->container,
                          .tgid = pid,
                          .event = (uint8_t)event,
                          .flags = strcmp(s->programs[program], "<joined>") ? 0 : PROGRAM_JOINED,
                          .path = strdup(runs ? s->programs[program] : ""),
                          .arguments = strdup("")};
    return p;
}

static void add_text(struct servers *s, struct block *b, uint8_t program)
{
    if (s->program_sent[program])
        return;
    s->program_sent[program] = true;
    b->texts[b->n_texts++] = (struct text){.id = s->program_ids[program],
                                           .container = s->container,
                                           .kind = TEXT_PROGRAM,
                                           .text = strdup(s->programs[program])};
}

static void add_container(struct servers *s, struct block *b, uint32_t number, uint64_t now_ns,
                          enum container_state state)
{
    char id[65];
    snprintf(id, sizeof(id), "%016llx%048u", (unsigned long long)hash_string(s->workload), number);
    char *w = s->workload;
    struct container c = {.number = number,
                          .state = (uint8_t)state,
                          .wanted = true,
                          .cgroup_id = number,
                          .born_ns = now_ns,
                          .gone_ns = state == CONTAINER_GONE ? now_ns : 0,
                          .id = id,
                          .runtime = (char *)"runc",
                          .name = w,
                          .image = w,
                          .workload = w};
    if (container_copy(&c, &b->containers[b->n_containers]) == 0)
        b->n_containers++;
}

/* Does the process that first shows at i begin a new container? The first ones to enter after a
 * restart do: they show shortly before the recording says "restarted". */
static bool begins_container(const struct servers *s, uint64_t i)
{
    uint8_t program = ((const uint8_t *)s->column[COLUMN_PROGRAM])[i];
    if (s->container == 0)
        return true;
    if (strcmp(s->programs[program], "<joined>") != 0)
        return false;
    double now_s = ((double)time_of(s, i) - (double)SERVERS_ZERO_NS) / NS_PER_S;
    uint32_t restarts = 1;
    for (uint32_t k = 0; k < s->n_events; k++) {
        if (strncmp(s->events[k].name, "restarted", 9) != 0)
            continue;
        restarts++;
        if (now_s > s->events[k].start_s - RESTART_LEAD_S && now_s < s->events[k].start_s)
            return s->container < restarts;
    }
    return false;
}

static int grow(void *array, uint32_t *max, uint32_t n, size_t size)
{
    if (n < *max)
        return 0;
    uint32_t more = *max ? *max * 2 : 256;
    void *p = realloc(*(void **)array, more * size);
    if (!p)
        return -ENOMEM;
    *(void **)array = p;
    *max = more;
    return 0;
}

/* The process of call i: new ones and execs leave records. */
static int process_of(struct servers *s, struct making *m, uint64_t i)
{
    uint8_t program = ((const uint8_t *)s->column[COLUMN_PROGRAM])[i];
    bool added;
    uint32_t at = dict_add(&s->pids, u32_of(s, COLUMN_PID, i), &added);
    if (s->pids.error || grow(&s->processes, &s->processes_max, at, sizeof(*s->processes)) < 0)
        return -ENOMEM;
    struct known_process *k = &s->processes[at];
    if (added || k->exited) {
        if (begins_container(s, i)) {
            if (s->container)
                add_container(s, m->b, s->container, time_of(s, i), CONTAINER_GONE);
            add_container(s, m->b, ++s->container, time_of(s, i), CONTAINER_RUNNING);
        }
        *k = (struct known_process){
            .start_ns = time_of(s, i), .container = s->container, .program = program};
        add_text(s, m->b, program);
        add_process(s, m, PROCESS_FORK, i);
    } else if (k->program != program) {
        add_text(s, m->b, program);
        struct process *p = add_process(s, m, PROCESS_EXEC, i);
        p->parent_program = s->program_ids[k->program];
        k->program = program;
    }
    return 0;
}

static struct thread *thread_of(struct servers *s, uint64_t i)
{
    uint32_t pid = u32_of(s, COLUMN_PID, i);
    uint8_t program = ((const uint8_t *)s->column[COLUMN_PROGRAM])[i];
    bool added;
    uint32_t at = dict_add(&s->tids, u32_of(s, COLUMN_TID, i), &added);
    if (s->tids.error || grow(&s->threads, &s->threads_max, at, sizeof(*s->threads)) < 0)
        return NULL;
    struct thread *t = &s->threads[at];
    uint64_t start_ns = s->processes[dict_add(&s->pids, pid, NULL)].start_ns;
    if (added)
        *t = (struct thread){.start_ns = start_ns, .pid = pid, .program = program, .window = NONE};
    if (t->start_ns != start_ns || t->program != program) {
        *t = (struct thread){.start_ns = start_ns,
                             .pid = pid,
                             .program = program,
                             .generation = t->generation + 1,
                             .window = NONE,
                             .fresh = t->start_ns == start_ns};
    }
    return t;
}

static struct window *window_of(struct servers *s, struct making *m, struct thread *t, uint64_t i)
{
    if (t->window != NONE && m->b->windows[t->window].n_calls < WINDOW_CALLS_MAX)
        return &m->b->windows[t->window];
    t->window = m->b->n_windows++;
    struct window *w = &m->b->windows[t->window];
    const struct known_process *k = &s->processes[dict_add(&s->pids, t->pid, NULL)];
    *w = (struct window){.id = {m->b->capture, s->words},
                         .first_ns = time_of(s, i),
                         .program = s->program_ids[t->program],
                         .start_ns = k->start_ns,
                         .tgid = t->pid,
                         .tid = u32_of(s, COLUMN_TID, i),
                         .generation = t->generation,
                         .container = k->container,
                         .flags = t->fresh ? WINDOW_AFTER_EXEC : 0,
                         .n_context = t->n_context};
    memcpy(w->context, t->context, t->n_context * sizeof(*t->context));
    t->fresh = false;
    return w;
}

static void push_context(struct thread *t, uint16_t sysno)
{
    if (t->n_context == WINDOW_CONTEXT_MAX)
        memmove(t->context, t->context + 1, --t->n_context * sizeof(*t->context));
    t->context[t->n_context++] = sysno;
}

static int compare_count(const void *a, const void *b)
{
    const struct bin_count *x = a, *y = b;
    if (x->program != y->program)
        return x->program < y->program ? -1 : 1;
    return (int)x->sysno - (int)y->sysno;
}

/* A tick lies within one second; containers seldom change within one. */
static void finish_bin(struct making *m)
{
    struct bin *bin = &m->b->bins[m->b->n_bins];
    uint32_t n = m->pairs.n;
    struct bin_count *counts = n ? calloc(n, sizeof(*counts)) : NULL;
    if (counts) {
        memcpy(counts, m->counts, n * sizeof(*counts));
        qsort(counts, n, sizeof(*counts), compare_count);
        *bin = (struct bin){.container = m->bin_container,
                            .second = m->b->from_ns / NS_PER_S,
                            .n_counts = n,
                            .counts = counts};
        m->b->n_bins++;
        memset(m->counts, 0, n * sizeof(*counts));
    }
    dict_done(&m->pairs);
}

static void count_call(struct servers *s, struct making *m, const struct window *w, uint8_t program,
                       uint16_t sysno, uint16_t ret)
{
    if (m->bin_container != w->container) {
        finish_bin(m);
        m->bin_container = w->container;
    }
    uint32_t at = dict_add(&m->pairs, (uint64_t)program << 16 | sysno, NULL);
    struct bin_count *c = &m->counts[at];
    c->program = s->program_ids[program];
    c->sysno = sysno;
    c->calls++;
    c->errors += ret_is_error(ret);
    struct block *b = m->b;
    uint32_t k = 0;
    while (k < b->n_ledger && b->ledger[k].container != w->container)
        k++;
    b->n_ledger += k == b->n_ledger;
    b->ledger[k].container = w->container;
    b->ledger[k].seen++;
    b->ledger[k].delivered++;
}

static int take_call(struct servers *s, struct making *m, uint64_t i)
{
    int r = process_of(s, m, i);
    struct thread *t = r == 0 ? thread_of(s, i) : NULL;
    if (!t)
        return -ENOMEM;
    uint32_t tid = u32_of(s, COLUMN_TID, i);
    if (s->run_ns != time_of(s, i) || s->run_tid != tid)
        s->words += 3; /* the context record */
    s->run_ns = time_of(s, i);
    s->run_tid = tid;
    uint16_t sysno = ((const uint16_t *)s->column[COLUMN_NUMBER])[i];
    uint8_t raw = ((const uint8_t *)s->column[COLUMN_RET])[i];
    uint16_t ret = raw < 128 ? raw : (uint16_t)(RET_ERROR + raw - 128);
    if (sysno == NUMBER_SIGNAL_RETURN)
        sysno = NUMBER_RT_SIGRETURN, ret = 0;
    sysno &= SYSNO_COUNT - 1;
    struct window *w = window_of(s, m, t, i);
    w->sysno[w->n_calls] = sysno;
    w->ret[w->n_calls++] = ret;
    w->last_ns = time_of(s, i);
    push_context(t, sysno);
    s->words++;
    count_call(s, m, w, t->program, sysno, ret);
    if (sysno == NUMBER_EXIT_GROUP) {
        add_process(s, m, PROCESS_EXIT, i);
        s->processes[dict_add(&s->pids, t->pid, NULL)].exited = true;
    }
    return 0;
}

/* n: calls in the tick, which bounds everything else */
static int make(struct servers *s, uint64_t n, struct making *m)
{
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->windows = calloc(n + 1, sizeof(*b->windows));
    b->processes = calloc(n * 2 + 1, sizeof(*b->processes));
    b->containers = calloc(n * 2 + 1, sizeof(*b->containers));
    b->texts = calloc(s->n_programs, sizeof(*b->texts));
    b->bins = calloc(n + 1, sizeof(*b->bins));
    b->ledger = calloc(n + 1, sizeof(*b->ledger));
    m->counts = calloc(n + 1, sizeof(*m->counts));
    if (!b->windows || !b->processes || !b->containers || !b->texts || !b->bins || !b->ledger ||
        !m->counts)
        return -ENOMEM;
    b->capture = hash_string(s->workload);
    snprintf(b->node, sizeof(b->node), "recording");
    b->from_ns = s->tick * TICK_NS;
    b->until_ns = b->from_ns + TICK_NS;
    b->mono_ns = b->wall_ns = b->until_ns;
    b->sequence = s->tick - time_of(s, 0) / TICK_NS + 1;
    b->epoch = 1;
    m->b = TAKE(b);
    return 0;
}

int servers_next(struct servers *s, struct block **ret)
{
    if (s->at >= s->calls)
        return -ENODATA;
    uint64_t end = s->at, until_ns = (s->tick + 1) * TICK_NS;
    while (end < s->calls && time_of(s, end) < until_ns)
        end++;
    struct making m = {0};
    int r = make(s, end - s->at, &m);
    CLEANUP(block_freep) struct block *b = m.b;
    CLEANUP(freep) struct bin_count *counts = m.counts;
    for (uint32_t i = 0; i < s->tids.n; i++)
        s->threads[i].window = NONE;
    for (uint64_t i = s->at; i < end && r == 0; i++)
        r = take_call(s, &m, i);
    if (r == 0)
        finish_bin(&m);
    dict_done(&m.pairs);
    if (r < 0)
        return r;
    s->at = end;
    s->tick++;
    *ret = TAKE(b);
    return 0;
}
