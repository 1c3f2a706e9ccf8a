#include "detect/symbols.h"

#include "event/syscall.h"

static bool noise[SYSNO_COUNT];

__attribute__((constructor)) static void noise_fill(void)
{
    for (unsigned i = 0; i < SYSNO_COUNT; i++)
        noise[i] = syscall_is_noise((uint16_t)i);
}

static bool symbol_counts(uint16_t sysno)
{
    return sysno < SYMBOL_BEGIN && !noise[sysno];
}

void window_symbols_init(struct window_symbols *ret, const struct window *w)
{
    size_t n = 0;
    for (unsigned i = 0; i < w->n_context; i++) {
        ret->symbol[n] = w->context[i];
        ret->at[n] = (int8_t)((int)i - w->n_context);
        n += symbol_counts(w->context[i]);
    }
    size_t first = n;
    for (unsigned i = 0; i < w->n_calls; i++) {
        ret->symbol[n] = w->sysno[i];
        ret->at[n] = (int8_t)i;
        n += symbol_counts(w->sysno[i]);
    }
    ret->s = (struct symbols){
        .program = w->program,
        .symbol = ret->symbol,
        .n = n,
        .first = first,
        .begins = w->n_context < WINDOW_CONTEXT_MAX && !(w->flags & WINDOW_AFTER_GAP),
    };
}
