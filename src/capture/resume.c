#include "capture/resume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc.h"
#include "base/log.h"

#define STATE_MAGIC UINT64_C(0x3165746174536756)
#define STATE_HALF (STATE_BYTES / 2)

struct state_head {
    uint64_t magic, serial, capture;
    uint32_t size, crc; /* of what follows */
    uint32_t n_rings, n_threads;
};

struct state_ring {
    uint64_t position, context[3];
    uint32_t cpu, pad;
};

void state_save(struct capture *c)
{
    uint8_t *half = c->kernel->state + (c->state_serial + 1) % 2 * STATE_HALF;
    struct state_head *head = (void *)half;
    struct state_ring *rings = (void *)(head + 1);
    head->magic = 0; /* not whole until the end */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < c->n_rings; i++) {
        rings[i] = (struct state_ring){.position = c->rings[i].from, .cpu = c->rings[i].cpu};
        memcpy(rings[i].context, c->rings[i].context, sizeof(rings[i].context));
    }
    struct thread_memory *threads = (void *)(rings + c->n_rings);
    size_t room = STATE_HALF - (size_t)((uint8_t *)threads - half);
    head->n_rings = c->n_rings;
    head->n_threads = assembler_dump(c->assembler, threads, (uint32_t)(room / sizeof(*threads)));
    head->serial = ++c->state_serial;
    head->capture = c->kernel->capture_id;
    head->size = (uint32_t)((uint8_t *)(threads + head->n_threads) - (uint8_t *)rings);
    head->crc = crc32c(rings, head->size);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    head->magic = STATE_MAGIC;
}

static bool state_whole(const struct capture *c, const struct state_head *h)
{
    return h->magic == STATE_MAGIC && h->capture == c->kernel->capture_id &&
           h->size <= STATE_HALF - sizeof(*h) &&
           h->n_rings * sizeof(struct state_ring) + h->n_threads * sizeof(struct thread_memory) ==
               h->size &&
           h->crc == crc32c(h + 1, h->size);
}

static const struct state_head *state_newest(const struct capture *c)
{
    const struct state_head *a = (const void *)c->kernel->state;
    const struct state_head *b = (const void *)(c->kernel->state + STATE_HALF);
    bool a_whole = state_whole(c, a), b_whole = state_whole(c, b);
    if (a_whole && b_whole)
        return a->serial > b->serial ? a : b;
    return a_whole ? a : b_whole ? b : NULL;
}

static int threads_load(struct capture *c, const struct state_head *h)
{
    const struct state_ring *rings = (const void *)(h + 1);
    const struct thread_memory *threads = (const void *)(rings + h->n_rings);
    c->state_serial = h->serial;
    for (uint32_t i = 0; i < h->n_threads; i++)
        known_restore(&c->known, threads[i].tgid, threads[i].start_ns, threads[i].container,
                      threads[i].program);
    for (uint32_t i = 0; i < c->n_rings; i++)
        for (uint32_t k = 0; k < h->n_rings; k++)
            if (rings[k].cpu == c->rings[i].cpu) {
                c->rings[i].from = rings[k].position;
                memcpy(c->rings[i].context, rings[k].context, sizeof(rings[k].context));
            }
    return assembler_restore(c->assembler, threads, h->n_threads);
}

/* The last block may be one ahead of the state: written, but the agent died before it could say so.
 */
static int block_load(struct capture *c, const struct block *last)
{
    bool ahead = false;
    for (uint32_t i = 0; i < c->n_rings; i++)
        for (uint32_t k = 0; k < last->n_checkpoint; k++) {
            const struct checkpoint_cpu *p = &last->checkpoint[k];
            struct ring_read *r = &c->rings[i];
            if (p->cpu != r->cpu || p->position <= r->from ||
                p->position > c->kernel->rings[r->cpu].header->head)
                continue;
            r->from = p->position;
            memcpy(r->context, p->context, sizeof(p->context));
            ahead = true;
        }
    c->cut_ns = last->until_ns;
    return ahead ? assembler_replay(c->assembler, last) : 0;
}

/* Texts and programs whose records are read and gone: their ids are noted in the maps. */
static int names_load(struct capture *c)
{
    struct dictionary_key key, *from = NULL;
    struct dictionary_entry entry;
    while (!bpf_map_get_next_key(c->kernel->maps[MAP_DICTIONARY], from, &key)) {
        from = &key;
        if (!bpf_map_lookup_elem(c->kernel->maps[MAP_DICTIONARY], &key, &entry) && entry.text)
            aging_put(&c->known.dictionary, (uint64_t)key.container << 32 | key.hash, entry.text);
    }
    uint32_t exec, *before = NULL;
    uint64_t id;
    while (!bpf_map_get_next_key(c->kernel->maps[MAP_PROGRAMS], before, &exec)) {
        before = &exec;
        if (!bpf_map_lookup_elem(c->kernel->maps[MAP_PROGRAMS], &exec, &id))
            aging_put(&c->known.programs, exec, id);
    }
    return 0;
}

static int overruns_tell(struct capture *c)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < c->n_rings; i++) {
        uint64_t gap = c->kernel->rings[c->rings[i].cpu].header->gap_first;
        if (gap && (!first || gap < first))
            first = gap;
    }
    return first ? blind_add(c, first, clock_mono_ns(), "agent did not run and the rings overran")
                 : 0;
}

int resume(struct capture *c, const struct block *last)
{
    const struct state_head *state = state_newest(c);
    int error = names_load(c);
    if (!error && state)
        error = threads_load(c, state);
    bool same = last && last->capture == c->kernel->capture_id;
    if (!error && same)
        error = block_load(c, last);
    if (error)
        return error;
    for (uint32_t i = 0; i < c->n_rings; i++) {
        struct ring_read *r = &c->rings[i];
        uint64_t tail = c->kernel->rings[r->cpu].header->tail;
        if (r->from < tail || r->from > c->kernel->rings[r->cpu].header->head) {
            log_warn(
                "CPU %u: the last block ends at %lu, but the ring begins at %lu: going on there",
                r->cpu, (unsigned long)r->from, (unsigned long)tail);
            r->from = tail;
        }
    }
    if (last && !same)
        log_warn("the last block is of another capture: going on at the rings' tails");
    memcpy(c->committed, c->rings, c->n_rings * sizeof(*c->rings));
    /* Texts are told again: the spool may have lost the segments that had them. */
    c->kernel->control->epoch++;
    __atomic_add_fetch(&c->kernel->control->generation, 1, __ATOMIC_SEQ_CST);
    return overruns_tell(c);
}

int blind_add(struct capture *c, uint64_t first_ns, uint64_t last_ns, const char *reason)
{
    struct blind *blinds = realloc(c->blinds, (c->n_blinds + 1) * sizeof(*blinds));
    if (!blinds)
        return -ENOMEM;
    c->blinds = blinds;
    blinds[c->n_blinds] = (struct blind){first_ns, last_ns, strdup(reason)};
    if (!blinds[c->n_blinds].reason)
        return -ENOMEM;
    c->n_blinds++;
    return 0;
}

int blinds_tell(const struct capture *c, struct block *b)
{
    b->blinds = calloc(c->n_blinds ? c->n_blinds : 1, sizeof(*b->blinds));
    if (!b->blinds)
        return -ENOMEM;
    for (uint32_t i = 0; i < c->n_blinds; i++) {
        b->blinds[i] = c->blinds[i];
        b->blinds[i].reason = strdup(c->blinds[i].reason);
        if (!b->blinds[i].reason)
            return -ENOMEM;
        b->n_blinds++;
    }
    return 0;
}

void blinds_clear(struct capture *c)
{
    for (uint32_t i = 0; i < c->n_blinds; i++)
        free(c->blinds[i].reason);
    free(c->blinds);
    c->blinds = NULL;
    c->n_blinds = 0;
}
