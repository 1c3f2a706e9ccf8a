/* The ledger's arithmetic: seen = delivered + dropped, per container, over many blocks
 * (docs/CAPTURE.md, "The ledger"). The store keeps the sum over acknowledged blocks; `vigia ledger`
 * adds what is in the spool behind them (in flight). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/dict.h"
#include "event/block.h"

struct ledger_row {
    uint64_t capture;
    struct ledger_count count; /* container UINT32_MAX: not known which */
};

struct ledger {
    struct ledger_row *rows; /* [n_rows] in the order in which they came up */
    uint32_t n_rows, rows_max;
    struct dict keys; /* of the rows */
    struct blind
        *blinds; /* [n_blinds] with the wall time of the block taken into account: see add */
    uint32_t n_blinds;
    uint64_t blocks;
};

#define LEDGER_ROWS_MAX 65536

void ledger_init(struct ledger *l);
void ledger_done(struct ledger *l);

/* Adds one count; -ENOMEM. Past LEDGER_ROWS_MAX containers the rest share one
 * more row, UINT32_MAX of capture 0. */
int ledger_add_count(struct ledger *l, uint64_t capture, const struct ledger_count *count);
/* Adds the block's counts and blind intervals; these in wall time (ns). */
int ledger_add(struct ledger *l, const struct block *b);
/* Adds all that the other one has. */
int ledger_join(struct ledger *l, const struct ledger *other);
/* The container's row, or NULL. */
struct ledger_row *ledger_find(struct ledger *l, uint64_t capture, uint32_t container);

/* Sum over all rows (container UINT32_MAX). */
struct ledger_count ledger_total(const struct ledger *l);
/* Calls dropped for all reasons that are part of seen (not DROP_DEGRADED, whose calls are binned
 * and so delivered). */
uint64_t ledger_dropped(const struct ledger_count *count);
/* seen = delivered + dropped. */
bool ledger_balanced(const struct ledger_count *count);
