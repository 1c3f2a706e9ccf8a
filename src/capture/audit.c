#include "capture/audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define TRIES 4
#define DEGRADED_MAX 65536

/* Calls that are in the ring or counted as lost, and all that were counted; false: not at rest. */
static bool ring_at_rest(const struct capture *c, const struct ring_read *r, uint64_t *ret_begun,
                         uint64_t *ret_pending)
{
    const struct ring *ring = c->kernel->rings[r->cpu].header;
    uint64_t done = __atomic_load_n(&ring->done, __ATOMIC_ACQUIRE);
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), lost = 0;
    for (uint32_t i = 0; i < RING_DROPS; i++)
        lost += ring->drops[i].used ? ring->drops[i].calls : 0;
    uint64_t pending = 0;
    for (uint64_t at = r->from; at < head; at++) {
        uint64_t w = r->words[at & r->mask];
        pending += WORD_TYPE(w) == WORD_SYSCALL;
        if (WORD_TYPE(w) == WORD_AUX && AUX_KIND(w) == AUX_GAP_CALLS)
            pending += AUX_VALUE(w);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint64_t begun = __atomic_load_n(&ring->begun, __ATOMIC_ACQUIRE);
    *ret_begun = begun;
    *ret_pending = pending + lost;
    return begun == done;
}

static int seen_by_nobody(struct capture *c, struct block *b, uint16_t cpu, int64_t difference)
{
    if (c->unbalanced++ < 10)
        log_error("CPU %u: the kernel counted %ld calls more than came out of its ring", cpu,
                  (long)difference);
    struct ledger_count *l = realloc(b->ledger, (b->n_ledger + 1) * sizeof(*l));
    if (!l)
        return -ENOMEM;
    b->ledger = l;
    l[b->n_ledger++] =
        (struct ledger_count){.container = CONTAINER_UNKNOWN, .seen = (uint64_t)difference};
    return 0;
}

int audit(struct capture *c, struct block *b)
{
    /* Calls that leave no word: begins anew after them, also when this block cannot be kept. */
    if (c->kernel->control->level >= LEVEL_BINS_ONLY || c->n_degraded || c->draining)
        for (uint32_t i = 0; i < c->n_rings; i++)
            c->rings[i].counted = c->committed[i].counted = CALLS_UNKNOWN;
    for (uint32_t i = 0; i < c->n_rings; i++) {
        struct ring_read *r = &c->rings[i];
        uint64_t begun, pending;
        bool rest = false;
        for (int k = 0; k < TRIES && !rest; k++)
            rest = ring_at_rest(c, r, &begun, &pending);
        if (!rest)
            continue; /* the next tick will do */
        if (r->counted == CALLS_UNKNOWN || begun == r->counted + pending) {
            c->audits += r->counted != CALLS_UNKNOWN;
            r->counted = begun - pending;
            continue;
        }
        int error = seen_by_nobody(c, b, r->cpu, (int64_t)(begun - r->counted - pending));
        if (error)
            return error;
        r->counted = begun - pending;
    }
    return 0;
}

static int degraded_take(struct capture *c, const struct bin_key *key,
                         const struct bin_value *values, int cpus, uint64_t second)
{
    uint32_t number = key->container;
    if (!decide_wanted(&c->decide, &number))
        return 0;
    if ((c->n_degraded & (c->n_degraded - 1)) == 0) {
        size_t n = c->n_degraded ? 2 * (size_t)c->n_degraded : 1;
        struct degraded *more = realloc(c->degraded, n * sizeof(*more));
        if (!more)
            return -ENOMEM;
        c->degraded = more;
    }
    struct degraded *d = &c->degraded[c->n_degraded++];
    *d = (struct degraded){.container = number,
                           .sysno = (uint16_t)key->sysno,
                           .second = second,
                           .program = known_program_of(&c->known, number, key->program, 0)};
    for (int i = 0; i < cpus; i++) {
        d->calls += values[i].calls;
        d->errors += values[i].errors;
    }
    return 0;
}

/* No call is under way that began before now: who a hypervisor keeps from running may be in one for
 * long. */
static bool calls_ended(const struct capture *c)
{
    for (uint32_t i = 0; i < c->n_rings; i++) {
        const struct ring *ring = c->kernel->rings[c->rings[i].cpu].header;
        uint64_t begun = __atomic_load_n(&ring->begun, __ATOMIC_ACQUIRE);
        for (int k = 0; __atomic_load_n(&ring->done, __ATOMIC_ACQUIRE) < begun; k++)
            if (k == 1000)
                return false;
    }
    return true;
}

/* What was counted on the side that was left at the last tick: nothing counts there any more, not
 * between our look and the deletion either. */
static int degraded_read(struct capture *c, uint64_t second)
{
    struct control *control = c->kernel->control;
    struct bin_key key, next;
    int map = c->kernel->maps[MAP_BINS],
        cpus = libbpf_num_possible_cpus(); /* may be past CPUS_MAX */
    CLEANUP(freep) struct bin_value *values = calloc((size_t)cpus, sizeof(*values));
    if (!values)
        return -ENOMEM;
    int end = bpf_map_get_next_key(map, NULL, &next);
    while (!end && c->n_degraded < DEGRADED_MAX) { /* the rest waits where it is */
        key = next;
        end = bpf_map_get_next_key(map, &key, &next);
        if (key.side == control->bins_side || bpf_map_lookup_elem(map, &key, values))
            continue;
        int error = degraded_take(c, &key, values, cpus, second);
        if (error)
            return error;
        bpf_map_delete_elem(map, &key);
    }
    __atomic_store_n(&control->bins_side, !control->bins_side, __ATOMIC_SEQ_CST);
    return 0;
}

static int degraded_bin(struct block *b, const struct degraded *d)
{
    struct bin *bins = realloc(b->bins, (b->n_bins + 1) * sizeof(*bins));
    if (!bins)
        return -ENOMEM;
    b->bins = bins;
    struct bin *bin = &bins[b->n_bins];
    *bin = (struct bin){.container = d->container,
                        .second = d->second,
                        .level = LEVEL_BINS_ONLY,
                        .counts = calloc(1, sizeof(*bin->counts)),
                        .n_counts = 1};
    if (!bin->counts)
        return -ENOMEM;
    b->n_bins++;
    bin->counts[0] = (struct bin_count){.program = d->program,
                                        .sysno = d->sysno,
                                        .calls = (uint32_t)d->calls,
                                        .errors = (uint32_t)d->errors};
    struct ledger_count *l = realloc(b->ledger, (b->n_ledger + 1) * sizeof(*l));
    if (!l)
        return -ENOMEM;
    b->ledger = l;
    l[b->n_ledger] =
        (struct ledger_count){.container = d->container, .seen = d->calls, .delivered = d->calls};
    l[b->n_ledger++].dropped[DROP_DEGRADED] = d->calls;
    return 0;
}

int degraded_tell(struct capture *c, uint64_t now_ns, struct block *b)
{
    if (c->kernel->control->level >= LEVEL_BINS_ONLY)
        c->draining = 3; /* now, and both sides once more after the level rises */
    else if (!c->n_degraded && !c->draining)
        return 0;
    int error = 0;
    if (calls_ended(c)) { /* else the next tick will do */
        c->draining -= c->draining > 0;
        error = degraded_read(c, now_ns / NS_PER_S);
    }
    for (uint32_t i = 0; i < c->n_degraded && !error; i++)
        error = degraded_bin(b, &c->degraded[i]);
    return error;
}

void degraded_clear(struct capture *c)
{
    free(c->degraded);
    c->degraded = NULL;
    c->n_degraded = 0;
}
