/* What is remembered of threads between cuts: swept, kept for a successor, taken from a
 * predecessor. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/assembler.h"

void assembler_sweep(struct assembler *a, uint64_t before_ns,
                     bool (*ended)(void *user, uint32_t tgid, uint64_t start_ns,
                                   uint64_t before_ns),
                     void *user)
{
    uint32_t n = 0;
    table_clear(&a->threads);
    for (uint32_t i = 0; i < a->n_slots; i++) {
        const struct thread *t = &a->slots[i];
        if (!t->now.known ||
            (t->now.last_ns < before_ns &&
             (t->now.ended || ended(user, t->now.tgid, t->now.start_ns, before_ns))))
            continue;
        a->slots[n] = *t;
        if (!table_put(&a->threads, (uint64_t)t->tid + 1, n))
            n++;
    }
    a->n_slots = n;
}

int assembler_save(const struct assembler *a, struct block *b)
{
    b->threads = calloc(a->n_slots ? a->n_slots : 1, sizeof(*b->threads));
    if (!b->threads)
        return -ENOMEM;
    for (uint32_t i = 0; i < a->n_slots; i++) {
        const struct thread *t = &a->slots[i];
        if (!t->now.known)
            continue;
        struct thread_state *s = &b->threads[b->n_threads++];
        *s = (struct thread_state){.start_ns = t->now.start_ns,
                                   .program = t->now.program,
                                   .container = t->now.container,
                                   .tgid = t->now.tgid,
                                   .tid = t->tid,
                                   .generation = t->now.generation,
                                   .n_context = t->now.n_context};
        memcpy(s->context, t->now.context, sizeof(s->context));
    }
    return 0;
}

uint32_t assembler_dump(const struct assembler *a, struct thread_memory *ret, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n_slots && n < max; i++) {
        const struct thread *t = &a->slots[i];
        if (!t->now.known || t->now.ended)
            continue;
        struct thread_memory *m = &ret[n++];
        *m = (struct thread_memory){.start_ns = t->now.start_ns,
                                    .program = t->now.program,
                                    .exec_key = t->now.exec_key,
                                    .last_ns = t->now.last_ns,
                                    .container = t->now.container,
                                    .tgid = t->now.tgid,
                                    .tid = t->tid,
                                    .generation = t->now.generation,
                                    .n_context = t->now.n_context};
        memcpy(m->context, t->now.context, sizeof(m->context));
    }
    return n;
}

int assembler_restore(struct assembler *a, const struct thread_memory *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct thread_memory *m = &from[i];
        if (m->n_context > WINDOW_CONTEXT_MAX || table_get(&a->threads, (uint64_t)m->tid + 1))
            continue;
        struct thread *t = assembler_thread_new(a, m->tid);
        if (!t)
            return -ENOMEM;
        t->now.tgid = m->tgid;
        t->now.generation = m->generation;
        t->now.container = m->container;
        t->now.program = m->program;
        t->now.start_ns = m->start_ns;
        t->now.known = true;
        t->now.exec_key = m->exec_key;
        t->now.last_ns = m->last_ns;
        t->now.n_context = m->n_context;
        memcpy(t->now.context, m->context, sizeof(t->now.context));
    }
    return 0;
}

int assembler_replay(struct assembler *a, const struct block *b)
{
    for (uint32_t i = 0; i < b->n_windows; i++) {
        const struct window *w = &b->windows[i];
        uint64_t *at = table_get(&a->threads, (uint64_t)w->tid + 1);
        struct thread *t = at ? &a->slots[*at] : assembler_thread_new(a, w->tid);
        if (!t)
            continue; /* counted */
        if (!t->now.known || t->now.generation != w->generation || t->now.tgid != w->tgid ||
            t->now.program != w->program || w->flags & (WINDOW_AFTER_EXEC | WINDOW_AFTER_GAP))
            memory_clear(&t->now);
        t->now.tgid = w->tgid;
        t->now.generation = w->generation;
        t->now.container = w->container;
        t->now.program = w->program;
        t->now.start_ns = w->start_ns;
        t->now.known = t->now.adopted = true;
        t->now.last_ns = w->last_ns;
        for (uint32_t k = 0; k < w->n_calls; k++)
            memory_add(&t->now, w->sysno[k]);
    }
    return 0;
}
