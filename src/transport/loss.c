#include "transport/loss.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void loss_done(struct loss *l)
{
    for (uint32_t i = 0; i < l->n_blinds; i++)
        free(l->blinds[i].reason);
    free(l->blinds);
    free(l->rows);
    *l = (struct loss){0};
}

static int add(struct loss *l, const struct block *b, const struct ledger_count *count,
               enum drop_reason reason)
{
    struct loss_row *row = NULL;
    for (uint32_t i = 0; i < l->n && !row; i++) {
        if (l->rows[i].capture == b->capture && l->rows[i].count.container == count->container &&
            l->rows[i].gap.reason == reason)
            row = &l->rows[i];
    }
    if (!row) {
        struct loss_row *rows = realloc(l->rows, (l->n + 1) * sizeof(*rows));
        if (!rows)
            return -ENOMEM;
        l->rows = rows;
        row = &rows[l->n++];
        *row = (struct loss_row){.capture = b->capture,
                                 .count.container = count->container,
                                 .gap = {.first_ns = b->from_ns,
                                         .container = count->container,
                                         .cpu = UINT16_MAX,
                                         .reason = (uint8_t)reason}};
    }
    row->gap.first_ns = MIN(row->gap.first_ns, b->from_ns);
    row->gap.last_ns = MAX(row->gap.last_ns, b->until_ns);
    row->gap.calls += count->delivered;
    row->count.seen += count->seen;
    for (int i = 0; i < DROP_REASONS; i++)
        row->count.dropped[i] += count->dropped[i];
    row->count.dropped[reason] += count->delivered;
    return 0;
}

int loss_add(struct loss *l, const struct block *b, uint64_t seen, enum drop_reason reason)
{
    int r = 0;
    for (uint32_t i = 0; i < b->n_ledger && r == 0; i++)
        r = add(l, b, &b->ledger[i], reason);
    struct ledger_count unknown = {UINT32_MAX, seen, seen, {0}};
    if (b->n_ledger == 0)
        r = add(l, b, &unknown, reason);
    return r;
}

int loss_add_unknown(struct loss *l, uint64_t since_ns, const char *place)
{
    struct blind *blinds = realloc(l->blinds, (l->n_blinds + 1) * sizeof(*blinds));
    if (!blinds)
        return -ENOMEM;
    l->blinds = blinds;
    char *reason = strdup(place);
    if (!reason)
        return -ENOMEM;
    blinds[l->n_blinds++] = (struct blind){.first_ns = since_ns, .reason = reason};
    return 0;
}

int loss_join(const struct loss *l, const struct block *b, struct block *ret)
{
    CLEANUP(freep) struct gap *gaps = calloc(b->n_gaps + l->n + 1, sizeof(*gaps));
    CLEANUP(freep) struct ledger_count *ledger = calloc(b->n_ledger + l->n + 1, sizeof(*ledger));
    CLEANUP(freep) struct blind *blinds = calloc(b->n_blinds + l->n_blinds + 1, sizeof(*blinds));
    if (!gaps || !ledger || !blinds)
        return -ENOMEM;
    if (b->n_gaps)
        memcpy(gaps, b->gaps, b->n_gaps * sizeof(*gaps));
    if (b->n_ledger)
        memcpy(ledger, b->ledger, b->n_ledger * sizeof(*ledger));
    if (b->n_blinds)
        memcpy(blinds, b->blinds, b->n_blinds * sizeof(*blinds));
    for (uint32_t i = 0; i < l->n_blinds; i++) {
        struct blind *blind = &blinds[b->n_blinds + i];
        *blind = l->blinds[i];
        blind->last_ns = b->from_ns;
        if (blind->first_ns == 0 || blind->first_ns > b->from_ns) /* of an earlier boot */
            blind->first_ns = b->from_ns;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        gaps[b->n_gaps + i] = l->rows[i].gap;
        ledger[b->n_ledger + i] = l->rows[i].count;
        if (l->rows[i].capture != b->capture) /* its numbers mean other containers here */
            gaps[b->n_gaps + i].container = ledger[b->n_ledger + i].container = UINT32_MAX;
    }
    *ret = *b;
    ret->gaps = TAKE(gaps);
    ret->ledger = TAKE(ledger);
    ret->blinds = TAKE(blinds);
    ret->n_blinds += l->n_blinds;
    ret->n_gaps += l->n;
    ret->n_ledger += l->n;
    return 0;
}
