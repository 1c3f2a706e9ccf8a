#include "cli/chosen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SETTLED_NS (11 * NS_PER_S) /* 10 of them metadata is looked for: capture/containers.h */
#define HELD_MAX 4096              /* beyond that the oldest goes with what is known */

struct chosen_row {
    uint64_t settled_ns; /* from then on wanted is the answer */
    bool wanted;
    bool unknown; /* it went before anybody could tell what it was */
};

void chosen_done(struct chosen *c)
{
    for (uint32_t i = 0; i < c->n_held; i++)
        block_free(c->held[i]);
    free(c->held);
    free(c->rows);
    dict_done(&c->numbers);
    *c = (struct chosen){0};
}

static int learn(struct chosen *c, const struct container *told)
{
    bool added;
    uint32_t at = dict_add(&c->numbers, told->number, &added);
    if (c->numbers.error)
        return c->numbers.error;
    if (added) {
        struct chosen_row *rows = realloc(c->rows, c->numbers.n * sizeof(*rows));
        if (!rows)
            return -ENOMEM;
        c->rows = rows;
    }
    struct chosen_row *row = &c->rows[at];
    *row = (struct chosen_row){.wanted = told->wanted};
    if (told->state == CONTAINER_UNRESOLVED && told->wanted && !told->attached)
        row->settled_ns = told->born_ns + SETTLED_NS;
    row->unknown = told->state == CONTAINER_GONE && told->wanted && !*told->workload;
    return 0;
}

static bool is_settled(const struct chosen *c, uint32_t number)
{
    uint32_t at = dict_find(&c->numbers, number);
    return number == 0 || number == UINT32_MAX ||
           (at != UINT32_MAX && c->now_ns >= c->rows[at].settled_ns);
}

/* 0 is the host, which is captured only when it was asked for; counts of UINT32_MAX are of no
 * container. */
static bool is_chosen(const struct chosen *c, uint32_t number)
{
    uint32_t at = dict_find(&c->numbers, number);
    return number == 0 || number == UINT32_MAX ||
           (is_settled(c, number) && c->rows[at].wanted && !c->rows[at].unknown);
}

int chosen_put(struct chosen *c, struct block *b)
{
    int r = 0;
    for (uint32_t i = 0; i < b->n_containers && r == 0 && !c->all; i++)
        r = learn(c, &b->containers[i]);
    struct block **held = r == 0 ? realloc(c->held, (c->n_held + 1) * sizeof(*held)) : NULL;
    if (!held) {
        block_free(b);
        return -ENOMEM;
    }
    c->held = held;
    held[c->n_held++] = b;
    c->now_ns = b->until_ns;
    return 0;
}

#define EVERY(rows, n, member)                                                                     \
    for (uint32_t i_ = 0; i_ < (n); i_++)                                                          \
        if (!is_settled(c, (rows)[i_].member))                                                     \
            return false;

static bool block_settled(const struct chosen *c, const struct block *b)
{
    EVERY(b->windows, b->n_windows, container)
    EVERY(b->bins, b->n_bins, container)
    EVERY(b->texts, b->n_texts, container)
    EVERY(b->processes, b->n_processes, container)
    EVERY(b->containers, b->n_containers, number)
    EVERY(b->gaps, b->n_gaps, container)
    EVERY(b->ledger, b->n_ledger, container)
    EVERY(b->threads, b->n_threads, container)
    return true;
}

/* Keeps the rows of chosen containers; done frees what another owns. */
#define KEEP(rows, n, member, done)                                                                \
    do {                                                                                           \
        uint32_t kept_ = 0;                                                                        \
        for (uint32_t i_ = 0; i_ < (n); i_++) {                                                    \
            typeof(&(rows)[0]) row = &(rows)[i_];                                                  \
            if (is_chosen(c, row->member))                                                         \
                (rows)[kept_++] = *row;                                                            \
            else                                                                                   \
                done;                                                                              \
        }                                                                                          \
        (n) = kept_;                                                                               \
    } while (0)

static void leave_out(const struct chosen *c, struct block *b)
{
    KEEP(b->windows, b->n_windows, container, (void)0);
    KEEP(b->bins, b->n_bins, container, free(row->counts));
    KEEP(b->texts, b->n_texts, container, free(row->text));
    KEEP(b->processes, b->n_processes, container, (free(row->path), free(row->arguments)));
    KEEP(b->containers, b->n_containers, number, container_done(row));
    KEEP(b->gaps, b->n_gaps, container, (void)0);
    KEEP(b->ledger, b->n_ledger, container, (void)0);
    KEEP(b->threads, b->n_threads, container, (void)0);
}

struct block *chosen_next(struct chosen *c, bool end)
{
    if (!c->n_held)
        return NULL;
    struct block *b = c->held[0];
    bool old = c->now_ns >= b->until_ns + SETTLED_NS || c->n_held > HELD_MAX;
    if (!c->all && !end && !old && !block_settled(c, b))
        return NULL;
    memmove(c->held, c->held + 1, --c->n_held * sizeof(struct block *));
    if (!c->all)
        leave_out(c, b);
    return b;
}

uint32_t chosen_unknown(const struct chosen *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->numbers.n; i++)
        n += c->rows[i].unknown || (c->rows[i].wanted && c->now_ns < c->rows[i].settled_ns);
    return n;
}
