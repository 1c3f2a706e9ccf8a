/* The gate: is the 12-gram that ends here new in this trace? Loops that repeat themselves are
 * strange once at most. A table tagged with a generation, so that the next trace begins without
 * clearing it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/symbols.h"

#define GATE_N 12

struct gate_slot {
    uint64_t key;
    uint64_t generation;
};

struct gate {
    struct gate_slot *slots; /* [mask + 1], a power of two, at least twice the symbols of a trace */
    size_t mask;
    uint64_t generation; /* of this trace */
    uint64_t key;        /* rolling hash of the last GATE_N symbols, or of all */
};

void gate_start(struct gate *g, uint64_t generation);
/* Takes s->symbol[i], for i = 0, 1, ... in turn. Is its 12-gram new? At i < 11 it is the whole
 * prefix. */
bool gate_push(struct gate *g, const struct symbols *s, size_t i);
