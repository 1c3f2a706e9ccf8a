#include "capture/assemble.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bpf/event.h"
#include "capture/assembler.h"

#define GAPS_MAX 4096

int assembler_new(uint64_t capture_id, uint32_t threads_max, struct assembler **ret)
{
    struct assembler *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->capture_id = capture_id;
    a->threads_max = threads_max;
    table_init(&a->threads, threads_max);
    *ret = a;
    return 0;
}

void assembler_free(struct assembler *a)
{
    table_done(&a->threads);
    bins_done(&a->bins);
    free(a->slots);
    free(a->runs);
    free(a->found);
    free(a);
}

/* Makes room for one more element of an array that is a plain pointer and a count. */
static int grow(void *array, uint32_t n, uint32_t *size, size_t element)
{
    if (n < *size)
        return 0;
    uint32_t bigger = *size ? *size * 2 : 64;
    void *p = realloc(*(void **)array, bigger * element);
    if (!p)
        return -ENOMEM;
    *(void **)array = p;
    *size = bigger;
    return 0;
}

static struct ledger_count *ledger_at(struct assembler *a, struct block *b, uint32_t container)
{
    for (uint32_t i = b->n_ledger; i-- > 0;)
        if (b->ledger[i].container == container)
            return &b->ledger[i];
    if (grow(&b->ledger, b->n_ledger, &a->ledger_size, sizeof(*b->ledger)))
        return NULL;
    b->ledger[b->n_ledger] = (struct ledger_count){.container = container};
    return &b->ledger[b->n_ledger++];
}

/* Finding runs: from one context to the next. */

static int run_add(struct assembler *a, const struct ring_read *r, uint32_t ring, uint64_t from)
{
    if (grow(&a->runs, a->n_runs, &a->runs_size, sizeof(*a->runs)))
        return -ENOMEM;
    struct run *run = &a->runs[a->n_runs++];
    *run = (struct run){
        .time_ns = CONTEXT_TIME(r->context[1]), .from = from, .until = from, .ring = ring};
    memcpy(run->context, r->context, sizeof(run->context));
    return 0;
}

static int gap_tell(struct assembler *a, struct block *b, struct gap gap, const struct names *names)
{
    if (gap.container != CONTAINER_UNKNOWN && !names->wanted(names->user, &gap.container))
        return 0;
    struct ledger_count *l = ledger_at(a, b, gap.container);
    if (!l)
        return -ENOMEM;
    l->seen += gap.calls;
    l->dropped[DROP_RING_FULL] += gap.calls;
    if (b->n_gaps >= GAPS_MAX)
        return 0;
    if (grow(&b->gaps, b->n_gaps, &a->gaps_size, sizeof(*b->gaps)))
        return -ENOMEM;
    b->gaps[b->n_gaps++] = gap;
    return 0;
}

void assembler_missing(struct assembler *a, uint32_t container, uint64_t first_ns, uint64_t last_ns)
{
    lost_add(&a->lost, container, first_ns, last_ns);
}

int assembler_lost(struct assembler *a, const struct gap *gap, struct block *b)
{
    a->gaps_size = a->ledger_size = 0; /* of another block */
    assembler_missing(a, gap->container, gap->first_ns, gap->last_ns);
    return gap_tell(a, b, *gap, NULL);
}

/* Reads gap words at `at`; returns the position after them. */
static uint64_t gap_read(struct assembler *a, const struct ring_read *r, uint32_t ring, uint64_t at)
{
    struct gap gap = {.cpu = r->cpu, .reason = DROP_RING_FULL, .container = CONTAINER_UNKNOWN};
    for (; at < r->head; at++) {
        uint64_t w = r->words[at & r->mask];
        if (WORD_TYPE(w) != WORD_AUX || AUX_KIND(w) < AUX_GAP_FIRST)
            break;
        switch (AUX_KIND(w)) {
        case AUX_GAP_FIRST:
            gap.first_ns = AUX_VALUE(w);
            break;
        case AUX_GAP_LAST:
            gap.last_ns = AUX_VALUE(w);
            break;
        case AUX_GAP_CONTAINER:
            gap.container = (uint32_t)w;
            assembler_missing(a, gap.container, gap.first_ns, gap.last_ns);
            break;
        default:
            gap.calls = AUX_VALUE(w);
            if (gap.calls && !grow(&a->found, a->n_found, &a->found_size, sizeof(*a->found)))
                a->found[a->n_found++] = (struct gap_found){at, ring, gap};
        }
    }
    return at;
}

/* Finds r's runs that began before t0; the last may still be going on. */
static int runs_find(struct assembler *a, const struct ring_read *rings, uint32_t i, uint64_t t0)
{
    struct ring_read r = rings[i];
    uint64_t at = r.from;
    int error = run_add(a, &r, i, at);
    while (!error && at < r.head) {
        uint64_t w = r.words[at & r.mask];
        if (WORD_TYPE(w) == WORD_AUX && AUX_KIND(w) >= AUX_GAP_FIRST) {
            a->runs[a->n_runs - 1].until = at;
            uint64_t after = gap_read(a, &r, i, at);
            at = after > at ? after : at + 1;
            continue;
        }
        if (WORD_TYPE(w) != WORD_CONTEXT) {
            a->runs[a->n_runs - 1].until = ++at;
            continue;
        }
        if (at + CONTEXT_WORDS > r.head || CONTEXT_TIME(r.words[(at + 1) & r.mask]) >= t0)
            break;
        for (int k = 0; k < CONTEXT_WORDS; k++)
            r.context[k] = r.words[(at + (uint64_t)k) & r.mask];
        at += CONTEXT_WORDS;
        error = run_add(a, &r, i, at);
    }
    return error;
}

static int run_compare(const void *x, const void *y)
{
    const struct run *a = x, *b = y;
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns ? -1 : 1;
    if (a->ring != b->ring)
        return a->ring < b->ring ? -1 : 1;
    return a->from < b->from ? -1 : a->from > b->from;
}

/* Threads. */

struct thread *assembler_thread_new(struct assembler *a, uint32_t tid)
{
    if (a->threads.n >= a->threads_max) {
        a->refused++;
        return NULL;
    }
    if (grow(&a->slots, a->n_slots, &a->slots_size, sizeof(*a->slots)) ||
        table_put(&a->threads, (uint64_t)tid + 1, a->n_slots))
        return NULL;
    a->slots[a->n_slots] = (struct thread){.tid = tid, .window = NO_WINDOW};
    return &a->slots[a->n_slots++];
}

void memory_clear(struct memory *m)
{
    m->n_context = 0;
}

/* The run's thread, with its memory set right for what comes. */
static struct thread *thread_of_run(struct assembler *a, const struct run *run)
{
    uint32_t tid = CONTEXT_TID(run->context[0]);
    uint64_t *at = table_get(&a->threads, (uint64_t)tid + 1);
    struct thread *t = at ? &a->slots[*at] : assembler_thread_new(a, tid);
    if (!t)
        return NULL;
    struct memory *now = &t->now;
    if (t->cut != a->cut) {
        t->before = *now;
        t->cut = a->cut;
        t->window = NO_WINDOW;
    }
    uint32_t generation = CONTEXT_GENERATION(run->context[2]);
    uint32_t tgid = CONTEXT_TGID(run->context[2]);
    uint64_t exec_key = (uint64_t)generation << 32 | CONTEXT_PROGRAM(run->context[2]);
    if (now->adopted && now->generation == generation && now->tgid == tgid)
        now->exec_key = exec_key;
    now->adopted = false;
    if (now->ended) { /* another thread of the same number, by chance of the same generation too */
        memory_clear(now);
        now->ended = false;
        now->last_ns = run->time_ns - 1;
        t->window = NO_WINDOW;
    }
    if (!now->known || now->exec_key != exec_key || now->tgid != tgid) {
        memory_clear(now);
        now->fresh =
            now->known && now->tgid == tgid && (uint32_t)now->exec_key != (uint32_t)exec_key;
        now->exec_key = exec_key;
        /* Of who is heard of for the first time, nothing is lost unless it is just now. */
        now->last_ns = now->known ? now->last_ns : run->time_ns - 1;
        now->known = true;
        t->window = NO_WINDOW;
    }
    now->tgid = tgid;
    now->generation = generation;
    return t;
}

/* Windows. */

static int window_open(struct assembler *a, struct thread *t, const struct run *run, uint16_t cpu,
                       uint64_t position, bool lost, uint32_t windows_max, struct block *b)
{
    if (b->n_windows >= windows_max)
        return -ENOSPC;
    if (grow(&b->windows, b->n_windows, &a->windows_size, sizeof(*b->windows)))
        return -ENOMEM;
    struct window *w = &b->windows[b->n_windows];
    memset(w, 0, sizeof(*w));
    w->id =
        (struct window_id){a->capture_id, (uint64_t)cpu << 48 | (position & ((1ull << 48) - 1))};
    w->first_ns = w->last_ns = run->time_ns;
    w->program = t->now.program;
    w->start_ns = t->now.start_ns;
    w->tgid = t->now.tgid;
    w->tid = t->tid;
    w->generation = t->now.generation;
    w->container = t->now.container;
    w->level = (uint8_t)CONTEXT_LEVEL(run->context[0]);
    w->flags = (uint8_t)((lost ? WINDOW_AFTER_GAP : 0) | (t->now.fresh ? WINDOW_AFTER_EXEC : 0));
    t->now.fresh = false;
    w->n_context = t->now.n_context;
    memcpy(w->context, t->now.context, sizeof(w->context));
    t->window = b->n_windows++;
    return 0;
}

void memory_add(struct memory *m, uint16_t sysno)
{
    if (m->n_context == WINDOW_CONTEXT_MAX) {
        memmove(m->context, m->context + 1, sizeof(m->context) - sizeof(m->context[0]));
        m->n_context--;
    }
    m->context[m->n_context++] = sysno;
}

struct call {
    uint64_t argument;
    uint16_t sysno, ret;
    uint8_t flags;
};

static struct call call_of(uint64_t word, uint32_t container, const struct names *names)
{
    struct call c = {.sysno = (uint16_t)WORD_SYSNO(word),
                     .ret = (uint16_t)WORD_RET(word),
                     .flags = (uint8_t)WORD_FLAGS(word)};
    if (c.flags & CALL_HAS_ARGUMENT) {
        c.argument = names->argument(names->user, container, WORD_HASH(word));
        if (!c.argument)
            c.flags |= CALL_NO_TEXT;
    }
    return c;
}

/* Adds one call to its thread's window and to the bins. */
static int call_add(struct assembler *a, struct thread *t, const struct run *run, uint16_t cpu,
                    uint64_t position, uint32_t windows_max, struct call c, struct block *b)
{
    /* Within a run nothing is lost: a loss ends it. */
    bool lost =
        t->now.last_ns < run->time_ns &&
        lost_between(&a->lost, CONTEXT_CONTAINER(run->context[0]), t->now.last_ns, run->time_ns);
    if (lost) {
        memory_clear(&t->now);
        t->window = NO_WINDOW;
    }
    if (t->window != NO_WINDOW) { /* a window is of one container and level */
        const struct window *w = &b->windows[t->window];
        if (w->n_calls == WINDOW_CALLS_MAX || w->level != CONTEXT_LEVEL(run->context[0]) ||
            w->container != t->now.container)
            t->window = NO_WINDOW;
    }
    if (t->window == NO_WINDOW) {
        int error = window_open(a, t, run, cpu, position, lost, windows_max, b);
        if (error)
            return error;
    }
    struct window *w = &b->windows[t->window];
    uint32_t i = w->n_calls++;
    w->sysno[i] = c.sysno;
    w->ret[i] = c.ret;
    w->flag[i] = c.flags;
    w->argument[i] = c.argument;
    w->last_ns = run->time_ns;
    if (CONTEXT_FLAGS(run->context[0]) & CONTEXT_MOVED)
        w->flags |= WINDOW_MOVED;
    memory_add(&t->now, c.sysno);
    t->now.ended = c.sysno == SYS_exit || c.sysno == SYS_exit_group;
    t->now.last_ns = run->time_ns;
    struct bin_count *count =
        bins_at(&a->bins, w->container, run->time_ns / NS_PER_S, w->program, c.sysno, w->level);
    if (count) {
        count->calls++;
        count->errors += ret_is_error(c.ret);
    }
    return 0;
}

static void latency_add(struct assembler *a, const struct thread *t, const struct run *run,
                        uint64_t word, uint16_t sysno)
{
    struct bin_count *count =
        bins_at(&a->bins, t->now.container, run->time_ns / NS_PER_S, t->now.program, sysno,
                (uint8_t)CONTEXT_LEVEL(run->context[0]));
    if (count && AUX_KIND(word) == AUX_LATENCY) {
        count->latency_ns += AUX_VALUE(word);
        count->latency_calls++;
    }
}

static int run_refuse(struct assembler *a, const struct run *run, const struct ring_read *r,
                      uint32_t container, struct block *b)
{
    struct ledger_count *l = ledger_at(a, b, container);
    if (!l)
        return -ENOMEM;
    for (uint64_t at = run->from; at < run->until; at++) {
        bool call = WORD_TYPE(r->words[at & r->mask]) == WORD_SYSCALL;
        l->seen += call;
        l->dropped[DROP_TABLE_FULL] += call;
    }
    return 0;
}

uint64_t calls_between(const struct ring_read *r, uint64_t from, uint64_t until)
{
    uint64_t n = 0;
    for (uint64_t at = from; at < until; at++)
        n += WORD_TYPE(r->words[at & r->mask]) == WORD_SYSCALL;
    return n;
}

static int run_deliver(struct assembler *a, const struct run *run, struct ring_read *r,
                       uint32_t windows_max, const struct names *names, struct block *b)
{
    uint32_t number = CONTEXT_CONTAINER(run->context[0]), container = number;
    uint32_t exec = CONTEXT_PROGRAM(run->context[2]), tgid = CONTEXT_TGID(run->context[2]);
    if (run->from == run->until || !names->wanted(names->user, &container)) {
        r->from = run->until;
        return 0;
    }
    struct thread *t = thread_of_run(a, run);
    if (!t) {
        r->from = run->until;
        return run_refuse(a, run, r, container, b);
    }
    t->now.container = container;
    t->now.program = names->program(names->user, container, exec, tgid);
    t->now.start_ns = names->start(names->user, tgid, run->time_ns);
    uint64_t delivered = 0;
    uint16_t sysno = 0;
    int error = 0;
    for (; !error && r->from < run->until; r->from += !error) {
        uint64_t word = r->words[r->from & r->mask];
        if (WORD_TYPE(word) == WORD_AUX) {
            latency_add(a, t, run, word, sysno);
        } else if (WORD_TYPE(word) == WORD_SYSCALL) {
            struct call c = call_of(word, number, names);
            error = call_add(a, t, run, r->cpu, r->from, windows_max, c, b);
            delivered += !error;
            sysno = c.sysno;
        }
    }
    struct ledger_count *l = delivered ? ledger_at(a, b, container) : NULL;
    if (delivered && !l)
        return -ENOMEM;
    if (l) {
        l->seen += delivered;
        l->delivered += delivered;
    }
    return error;
}

/* Adds a run. -ENOSPC: no more windows; the ring then stands where the run was left. */
static int run_add_calls(struct assembler *a, const struct run *run, struct ring_read *r,
                         uint32_t windows_max, const struct names *names, struct block *b)
{
    memcpy(r->context, run->context, sizeof(r->context));
    r->from = run->from;
    int error = run_deliver(a, run, r, windows_max, names, b);
    if (r->counted != CALLS_UNKNOWN)
        r->counted += calls_between(r, run->from, r->from);
    return error;
}

static int checkpoint_write(const struct ring_read *rings, uint32_t n, struct block *b)
{
    b->checkpoint = calloc(n ? n : 1, sizeof(*b->checkpoint));
    if (!b->checkpoint)
        return -ENOMEM;
    b->n_checkpoint = n;
    for (uint32_t i = 0; i < n; i++) {
        b->checkpoint[i].cpu = rings[i].cpu;
        b->checkpoint[i].position = rings[i].from;
        memcpy(b->checkpoint[i].context, rings[i].context, sizeof(b->checkpoint[i].context));
    }
    return 0;
}

/* Gap records that lie before where reading stopped. */
static int gaps_tell(struct assembler *a, struct ring_read *rings, const struct names *names,
                     struct block *b)
{
    for (uint32_t i = 0; i < a->n_found; i++) {
        const struct gap_found *f = &a->found[i];
        if (f->position >= rings[f->ring].from)
            continue;
        int error = gap_tell(a, b, f->gap, names);
        if (error)
            return error;
        rings[f->ring].counted += rings[f->ring].counted == CALLS_UNKNOWN ? 0 : f->gap.calls;
    }
    return 0;
}

/* Time of the earliest run that has calls; no later cut finds an earlier one, except what goes on
 * of the last. */
static uint64_t runs_begin(const struct assembler *a, uint64_t t0)
{
    for (uint32_t i = 0; i < a->n_runs; i++)
        if (a->runs[i].from != a->runs[i].until)
            return a->runs[i].time_ns;
    return t0;
}

int assembler_cut(struct assembler *a, struct ring_read *rings, uint32_t n, uint64_t t0,
                  uint32_t windows_max, const struct names *names, struct block *b)
{
    a->cut++;
    a->n_runs = a->n_found = 0;
    a->windows_size = a->gaps_size = a->ledger_size = 0;
    for (uint32_t i = 0; i < n; i++) {
        int error = runs_find(a, rings, i, t0);
        if (error)
            return error;
    }
    qsort(a->runs, a->n_runs, sizeof(*a->runs), run_compare);
    lost_settle(&a->lost, runs_begin(a, t0));
    b->until_ns = t0;
    for (uint32_t i = 0; i < a->n_runs; i++) {
        int error = run_add_calls(a, &a->runs[i], &rings[a->runs[i].ring], windows_max, names, b);
        if (error == -ENOSPC) { /* the rest belongs to the next block */
            b->until_ns = a->runs[i].time_ns;
            break;
        }
        if (error)
            return error;
    }
    int error = gaps_tell(a, rings, names, b);
    if (!error)
        error = bins_flush(&a->bins, b);
    return error ? error : checkpoint_write(rings, n, b);
}

void assembler_roll_back(struct assembler *a)
{
    for (uint32_t i = 0; i < a->n_slots; i++) {
        struct thread *t = &a->slots[i];
        if (t->cut != a->cut)
            continue;
        t->now = t->before;
        t->cut = 0;
    }
}

uint32_t assembler_threads(const struct assembler *a)
{
    return a->threads.n;
}

bool assembler_crowded(const struct assembler *a)
{
    return a->threads.n > a->threads_max / 4 * 3;
}

uint64_t assembler_refused(const struct assembler *a)
{
    return a->refused;
}

uint64_t assembler_refused_bins(const struct assembler *a)
{
    return a->bins.refused;
}
