/* What sequence detectors look at: an array of symbols with a place where counting begins. Windows
 * of live data and whole traces of research data sets are counted by the same code through this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/window.h"

struct symbols {
    uint64_t program;       /* key that all n-grams carry; 0 for traces without programs */
    const uint16_t *symbol; /* [n] below SYMBOL_BEGIN */
    size_t n;
    size_t first; /* symbols before it are context: seen, but not counted */
    bool begins;  /* symbol[0] is the first of its thread: nothing was before it */
};

#define SYMBOL_BITS 12
#define SYMBOL_BEGIN 4095 /* stands before the first symbol of a thread; never a call's number */

/* A window's calls without noise (syscall_is_noise), with its context before them. */
struct window_symbols {
    struct symbols s; /* points into symbol */
    uint16_t symbol[WINDOW_CONTEXT_MAX + WINDOW_CALLS_MAX];
    int8_t at[WINDOW_CONTEXT_MAX + WINDOW_CALLS_MAX]; /* place in the window, negative: context */
};

/* The context starts empty after an exec, a gap or the start of a thread, and is full otherwise; so
 * a context that is not full reaches back to such a beginning. Beginnings by a gap are none. */
void window_symbols_init(struct window_symbols *ret, const struct window *w);
