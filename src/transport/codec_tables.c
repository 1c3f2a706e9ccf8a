#include "transport/codec_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void tables_done(struct tables *t)
{
    dict_done(&t->captures);
    dict_done(&t->cpus);
    dict_done(&t->process_keys);
    dict_done(&t->thread_keys);
    free(t->process_of);
    free(t->process_row);
    free(t->thread_row);
    free(t->last);
    free(t->thread);
    free(t->start);
    free(t->position);
    free(t->ret);
    free(t->flag);
    free(t->argument);
}

void codec_tables_freep(struct tables **t)
{
    if (*t)
        tables_done(*t);
    free(*t);
}

/* Arrays by the number of windows, threads and CPUs never exceed that of windows. */
int codec_tables_new(size_t n, struct tables **ret)
{
    CLEANUP(codec_tables_freep) struct tables *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    n = n ? n : 1;
    t->process_of = calloc(n, sizeof(*t->process_of));
    t->process_row = calloc(n, sizeof(*t->process_row));
    t->thread_row = calloc(n, sizeof(*t->thread_row));
    t->last = calloc(n, sizeof(*t->last));
    t->thread = calloc(n, sizeof(*t->thread));
    t->position = calloc(n, sizeof(*t->position));
    t->start = calloc(SYSNOS + 1, sizeof(*t->start));
    if (!t->process_of || !t->process_row || !t->thread_row || !t->last || !t->thread ||
        !t->position || !t->start)
        return -ENOMEM;
    *ret = TAKE(t);
    return 0;
}

int codec_tables_calls(struct tables *t, uint32_t calls)
{
    size_t n = calls ? calls : 1;
    t->calls = calls;
    t->ret = calloc(n, sizeof(*t->ret));
    t->flag = calloc(n, sizeof(*t->flag));
    t->argument = calloc(n, sizeof(*t->argument));
    return t->ret && t->flag && t->argument ? 0 : -ENOMEM;
}

void codec_process_row(struct codec_io *io, struct row *w, struct dict *captures,
                       uint64_t *start_ns)
{
    if (captures->n > 1) {
        uint64_t at = codec_varint(io, io->out ? dict_add(captures, w->capture, NULL) : 0);
        if (io->in && at >= captures->n) {
            codec_bad(io);
            at = 0;
        }
        w->capture = captures->values[at];
    } else if (captures->n) {
        w->capture = captures->values[0];
    }
    CODEC_FIELD(io, w->container);
    CODEC_FIELD(io, w->tgid);
    CODEC_DELTA(io, w->start_ns, *start_ns);
    CODEC_ID(io, w->program);
    *start_ns = w->start_ns;
}

void codec_thread_row(struct codec_io *io, struct row *w)
{
    uint64_t tid = codec_delta(io, w->tid, w->tgid);
    w->tid = (uint32_t)tid;
    if (io->in && tid > UINT32_MAX)
        codec_bad(io);
    CODEC_FIELD(io, w->generation);
}

uint8_t codec_derive(const struct window *prev, uint16_t context[WINDOW_CONTEXT_MAX])
{
    int from_calls = MIN(prev->n_calls, WINDOW_CONTEXT_MAX);
    int from_context = MIN(prev->n_context, WINDOW_CONTEXT_MAX - from_calls);
    memcpy(context, prev->context + prev->n_context - from_context,
           (size_t)from_context * sizeof(*context));
    memcpy(context + from_context, prev->sysno + prev->n_calls - from_calls,
           (size_t)from_calls * sizeof(*context));
    return (uint8_t)(from_context + from_calls);
}
