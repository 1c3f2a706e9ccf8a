#include "transport/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

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
    *l = (struct ledger){0};
}

/* Linear from the newest: rows are few, and blocks repeat the same ones. */
static struct ledger_row *find(struct ledger *l, uint64_t capture, uint32_t container)
{
    for (uint32_t i = l->n_rows; i-- > 0;) {
        if (l->rows[i].count.container == container && l->rows[i].capture == capture)
            return &l->rows[i];
    }
    return NULL;
}

int ledger_add_count(struct ledger *l, uint64_t capture, const struct ledger_count *count)
{
    struct ledger_row *row = find(l, capture, count->container);
    if (!row && l->n_rows >= LEDGER_ROWS_MAX) {
        l->refused_rows++;
        row = &l->rows[LEDGER_ROWS_MAX - 1];
        row->capture = 0;
        row->count.container = UINT32_MAX;
    }
    if (!row && l->n_rows == l->rows_max) {
        uint32_t rows_max = l->rows_max ? l->rows_max * 2 : 16;
        struct ledger_row *rows = realloc(l->rows, rows_max * sizeof(*rows));
        if (!rows)
            return -ENOMEM;
        l->rows = rows;
        l->rows_max = rows_max;
    }
    if (!row) {
        row = &l->rows[l->n_rows++];
        *row = (struct ledger_row){.capture = capture, .count.container = count->container};
    }
    row->count.seen += count->seen;
    row->count.delivered += count->delivered;
    for (int i = 0; i < DROP_REASONS; i++)
        row->count.dropped[i] += count->dropped[i];
    return 0;
}

static int add_blind(struct ledger *l, const struct block *b, const struct blind *blind)
{
    struct blind *blinds = realloc(l->blinds, (l->n_blinds + 1) * sizeof(*blinds));
    if (!blinds)
        return -ENOMEM;
    l->blinds = blinds;
    char *reason = strdup(blind->reason ? blind->reason : "");
    if (!reason)
        return -ENOMEM;
    uint64_t shift = b->wall_ns - b->mono_ns; /* wraps: monotonic to wall */
    blinds[l->n_blinds++] = (struct blind){blind->first_ns + shift, blind->last_ns + shift, reason};
    return 0;
}

int ledger_add(struct ledger *l, const struct block *b)
{
    int r = 0;
    for (uint32_t i = 0; i < b->n_ledger && r == 0; i++)
        r = ledger_add_count(l, b->capture, &b->ledger[i]);
    for (uint32_t i = 0; i < b->n_blinds && r == 0; i++)
        r = add_blind(l, b, &b->blinds[i]);
    l->blocks++;
    /* totals so far of one capture, not counts of the block */
    l->refused_texts = MAX(l->refused_texts, b->refused_texts);
    l->refused_containers = MAX(l->refused_containers, b->refused_containers);
    l->refused_processes = MAX(l->refused_processes, b->refused_processes);
    return r;
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
