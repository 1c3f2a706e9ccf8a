#include "transport/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"

void ledger_init(struct ledger *l)
{
    *l = (struct ledger){0};
}

void ledger_done(struct ledger *l)
{
    for (uint32_t i = 0; i < l->n_blinds; i++)
        free(l->blinds[i].reason);
    free(l->blinds);
    free(l->rows);
    dict_done(&l->keys);
    *l = (struct ledger){0};
}

/* Index of the row, or where the next one goes. Hashes that stand for another row are mixed on. */
static uint32_t find(struct ledger *l, uint64_t capture, uint32_t container, bool add)
{
    for (uint64_t hash = hash_mix(capture, container);; hash = hash_mix(hash, 1)) {
        uint32_t at = add ? dict_add(&l->keys, hash, NULL) : dict_find(&l->keys, hash);
        if (l->keys.error || at >= l->n_rows ||
            (l->rows[at].capture == capture && l->rows[at].count.container == container))
            return at;
    }
}

int ledger_add_count(struct ledger *l, uint64_t capture, const struct ledger_count *count)
{
    if (l->n_rows == l->rows_max) {
        uint32_t rows_max = l->rows_max ? l->rows_max * 2 : 16;
        struct ledger_row *rows = realloc(l->rows, rows_max * sizeof(*rows));
        if (!rows)
            return -ENOMEM;
        l->rows = rows;
        l->rows_max = rows_max;
    }
    uint32_t container = count->container;
    if (l->n_rows >= LEDGER_ROWS_MAX && find(l, capture, container, false) == UINT32_MAX) {
        capture = 0;
        container = UINT32_MAX;
    }
    uint32_t at = find(l, capture, container, true);
    if (l->keys.error)
        return l->keys.error;
    struct ledger_row *row = &l->rows[at];
    if (at == l->n_rows) {
        l->n_rows++;
        *row = (struct ledger_row){.capture = capture, .count.container = container};
    }
    row->count.seen += count->seen;
    row->count.delivered += count->delivered;
    for (int i = 0; i < DROP_REASONS; i++)
        row->count.dropped[i] += count->dropped[i];
    return 0;
}

static int add_blind(struct ledger *l, const struct blind *blind, uint64_t shift)
{
    struct blind *blinds = realloc(l->blinds, (l->n_blinds + 1) * sizeof(*blinds));
    if (!blinds)
        return -ENOMEM;
    l->blinds = blinds;
    char *reason = strdup(blind->reason ? blind->reason : "");
    if (!reason)
        return -ENOMEM;
    blinds[l->n_blinds++] = (struct blind){blind->first_ns + shift, blind->last_ns + shift, reason};
    return 0;
}

int ledger_add(struct ledger *l, const struct block *b)
{
    int r = 0;
    for (uint32_t i = 0; i < b->n_ledger && r == 0; i++)
        r = ledger_add_count(l, b->capture, &b->ledger[i]);
    for (uint32_t i = 0; i < b->n_blinds && r == 0; i++)
        r = add_blind(l, &b->blinds[i], b->wall_ns - b->mono_ns); /* wraps: monotonic to wall */
    l->blocks++;
    return r;
}

int ledger_join(struct ledger *l, const struct ledger *other)
{
    int r = 0;
    for (uint32_t i = 0; i < other->n_rows && r == 0; i++)
        r = ledger_add_count(l, other->rows[i].capture, &other->rows[i].count);
    for (uint32_t i = 0; i < other->n_blinds && r == 0; i++)
        r = add_blind(l, &other->blinds[i], 0);
    l->blocks += other->blocks;
    return r;
}

struct ledger_row *ledger_find(struct ledger *l, uint64_t capture, uint32_t container)
{
    uint32_t at = find(l, capture, container, false);
    return at < l->n_rows ? &l->rows[at] : NULL;
}

struct ledger_count ledger_total(const struct ledger *l)
{
    struct ledger_count total = {.container = UINT32_MAX};
    for (uint32_t i = 0; i < l->n_rows; i++) {
        const struct ledger_count *c = &l->rows[i].count;
        total.seen += c->seen;
        total.delivered += c->delivered;
        for (int k = 0; k < DROP_REASONS; k++)
            total.dropped[k] += c->dropped[k];
    }
    return total;
}

uint64_t ledger_dropped(const struct ledger_count *count)
{
    uint64_t dropped = 0;
    for (int i = 0; i < DROP_REASONS; i++)
        dropped += i == DROP_DEGRADED ? 0 : count->dropped[i];
    return dropped;
}

bool ledger_balanced(const struct ledger_count *count)
{
    return count->seen == count->delivered + ledger_dropped(count);
}
