#include "detect/gate.h"

/* A polynomial hash modulo 2^64: key = sum of value(symbol) * BASE^(distance from the end). */
#define BASE UINT64_C(0x9fb21c651e98df25)

static uint64_t base_power; /* BASE^GATE_N */

__attribute__((constructor)) static void power_fill(void)
{
    base_power = 1;
    for (int i = 0; i < GATE_N; i++)
        base_power *= BASE;
}

static inline uint64_t symbol_value(uint16_t symbol)
{
    uint64_t v = (symbol + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    return v ^ (v >> 29);
}

void gate_start(struct gate *g, uint64_t generation)
{
    g->generation = generation;
    g->key = 0;
}

bool gate_push(struct gate *g, const struct symbols *s, size_t i)
{
    g->key = g->key * BASE + symbol_value(s->symbol[i]);
    if (i >= GATE_N)
        g->key -= symbol_value(s->symbol[i - GATE_N]) * base_power;
    for (size_t at = (g->key ^ (g->key >> 32)) & g->mask;; at = (at + 1) & g->mask) {
        struct gate_slot *slot = &g->slots[at];
        if (slot->generation != g->generation) {
            *slot = (struct gate_slot){.key = g->key, .generation = g->generation};
            return true;
        }
        if (slot->key == g->key)
            return false;
    }
}
