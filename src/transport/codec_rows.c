/* The sections of a block beside its windows. Each function is the layout, for both directions. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "transport/codec_internal.h"

#define COUNTS_MAX (1u << 20)
#define IDS_MAX (1u << 20)
#define ROWS_MAX (1u << 18)
#define STRING_MAX 65535

uint64_t codec_varint(struct codec_io *io, uint64_t v)
{
    if (io->in)
        return reader_varint(io->in);
    buf_varint(io->out, v);
    return v;
}

uint64_t codec_delta(struct codec_io *io, uint64_t v, uint64_t base)
{
    uint64_t d = v - base;
    uint64_t z = codec_varint(io, d << 1 ^ -(d >> 63));
    return base + (z >> 1 ^ -(z & 1));
}

uint64_t codec_fixed64(struct codec_io *io, uint64_t v)
{
    if (io->in)
        return reader_u64(io->in);
    buf_u64(io->out, v);
    return v;
}

uint64_t codec_id(struct codec_io *io, uint64_t id)
{
    if (io->out) {
        uint32_t index = id ? dict_add(io->ids, id, NULL) + 1 : 0;
        buf_varint(io->out, index);
        return id;
    }
    uint64_t index = reader_varint(io->in);
    if (index > io->ids->n) {
        codec_bad(io);
        return 0;
    }
    return index ? io->ids->values[index - 1] : 0;
}

void codec_bytes(struct codec_io *io, void *data, size_t size)
{
    if (io->out) {
        buf_append(io->out, data, size);
        return;
    }
    const uint8_t *p = reader_bytes(io->in, size);
    if (p && size)
        memcpy(data, p, size);
}

void codec_bad(struct codec_io *io)
{
    if (!io->in->error)
        io->in->error = -EBADMSG;
}

int codec_error(const struct codec_io *io)
{
    if (io->ids && io->ids->error)
        return io->ids->error;
    return io->in ? io->in->error : io->out->error;
}

void *codec_rows(struct codec_io *io, void *rows, uint32_t *n, size_t row_size,
                 size_t row_bytes_min, uint32_t rows_max)
{
    if (io->out && *n > rows_max) {
        io->out->error = -EFBIG;
        return rows;
    }
    uint64_t count = codec_varint(io, *n);
    if (io->out)
        return rows;
    *n = 0;
    if (count > rows_max || count > reader_left(io->in) / row_bytes_min) {
        codec_bad(io);
        return NULL;
    }
    if (io->in->error || count == 0)
        return NULL;
    rows = calloc(count, row_size);
    if (!rows) {
        io->in->error = -ENOMEM;
        return NULL;
    }
    *n = (uint32_t)count;
    return rows;
}

void codec_ids(struct codec_io *io)
{
    if (io->out) {
        buf_varint(io->out, io->ids->n);
        for (uint32_t i = 0; i < io->ids->n; i++)
            buf_u64(io->out, io->ids->values[i]);
        return;
    }
    uint32_t n = 0;
    uint64_t *values = codec_rows(io, NULL, &n, sizeof(*values), sizeof(*values), IDS_MAX);
    for (uint32_t i = 0; i < n; i++)
        values[i] = reader_u64(io->in);
    free(io->ids->values);
    io->ids->values = values;
    io->ids->n = n;
}

/* A string; NULL is written as "". */
static void string(struct codec_io *io, char **s)
{
    if (io->in)
        *s = reader_string(io->in, STRING_MAX);
    else if (*s && strnlen(*s, STRING_MAX + 1) > STRING_MAX)
        io->out->error = -EINVAL;
    else
        buf_string(io->out, *s);
}

void codec_block_rows(struct codec_io *io, struct block *b)
{
    codec_bytes(io, b->boot, sizeof(b->boot));
    char *node = b->node;
    if (io->out)
        buf_string(io->out, node);
    CLEANUP(freep) char *read = io->in ? reader_string(io->in, NODE_NAME_MAX - 1) : NULL;
    if (read)
        memcpy(b->node, read, strlen(read) + 1);
    CODEC_FIELD(io, b->mono_ns);
    CODEC_FIELD(io, b->wall_ns);
    CODEC_FIELD(io, b->level);
    CODEC_FIELD(io, b->snapshot);
    CODEC_FIELD(io, b->epoch);
    CODEC_FIELD(io, b->refused_texts);
    CODEC_FIELD(io, b->refused_containers);
    CODEC_FIELD(io, b->refused_processes);
}

#define EACH(i, n) for (uint32_t i = 0; i < (n) && !codec_error(io); i++)

/* Columns of the counts of one bin, so that equal fields stand together. */
static void counts(struct codec_io *io, struct bin *bin)
{
    bin->counts = codec_rows(io, bin->counts, &bin->n_counts, sizeof(*bin->counts), 6, COUNTS_MAX);
    struct bin_count *c = bin->counts;
    uint32_t n = bin->n_counts;
    EACH(i, n)
    CODEC_ID(io, c[i].program);
    EACH(i, n)
    CODEC_FIELD(io, c[i].sysno);
    EACH(i, n)
    CODEC_FIELD(io, c[i].calls);
    EACH(i, n)
    CODEC_FIELD(io, c[i].errors);
    EACH(i, n)
    CODEC_FIELD(io, c[i].latency_calls);
    EACH(i, n)
    CODEC_FIELD(io, c[i].latency_ns);
}

void codec_bins(struct codec_io *io, struct block *b)
{
    b->bins = codec_rows(io, b->bins, &b->n_bins, sizeof(*b->bins), 4, ROWS_MAX);
    uint64_t second = 0;
    EACH(i, b->n_bins)
    {
        struct bin *bin = &b->bins[i];
        CODEC_FIELD(io, bin->container);
        CODEC_DELTA(io, bin->second, second);
        second = bin->second;
        CODEC_FIELD(io, bin->level);
        counts(io, bin);
    }
}

void codec_texts(struct codec_io *io, struct block *b)
{
    b->texts = codec_rows(io, b->texts, &b->n_texts, sizeof(*b->texts), 5, ROWS_MAX);
    EACH(i, b->n_texts)
    {
        struct text *t = &b->texts[i];
        CODEC_ID(io, t->id);
        CODEC_FIELD(io, t->container);
        CODEC_FIELD(io, t->kind);
        CODEC_FIELD(io, t->access);
        string(io, &t->text);
    }
}

void codec_processes(struct codec_io *io, struct block *b)
{
    b->processes =
        codec_rows(io, b->processes, &b->n_processes, sizeof(*b->processes), 13, ROWS_MAX);
    uint64_t time_ns = b->from_ns;
    EACH(i, b->n_processes)
    {
        struct process *p = &b->processes[i];
        CODEC_DELTA(io, p->time_ns, time_ns);
        CODEC_DELTA(io, p->start_ns, p->time_ns);
        CODEC_DELTA(io, p->parent_start_ns, p->start_ns);
        time_ns = p->time_ns;
        CODEC_ID(io, p->program);
        CODEC_ID(io, p->parent_program);
        CODEC_FIELD(io, p->container);
        CODEC_FIELD(io, p->tgid);
        CODEC_FIELD(io, p->parent_tgid);
        CODEC_FIELD(io, p->tid);
        uint32_t code = (uint32_t)p->exit_code;
        CODEC_FIELD(io, code);
        if (io->in)
            p->exit_code = (int32_t)code;
        CODEC_FIELD(io, p->event);
        CODEC_FIELD(io, p->flags);
        string(io, &p->path);
        string(io, &p->arguments);
    }
}

static void flag(struct codec_io *io, bool *f)
{
    uint8_t v = *f;
    CODEC_FIELD(io, v);
    if (io->in)
        *f = v;
}

static void container(struct codec_io *io, struct container *c)
{
    CODEC_FIELD(io, c->number);
    CODEC_FIELD(io, c->state);
    flag(io, &c->wanted);
    flag(io, &c->attached);
    flag(io, &c->sandbox);
    CODEC_FIELD(io, c->cgroup_id);
    CODEC_FIELD(io, c->born_ns);
    CODEC_FIELD(io, c->gone_ns);
    char **strings[] = {&c->id,      &c->runtime,    &c->name,  &c->image,
                        &c->version, &c->namespace_, &c->pod,   &c->owner,
                        &c->command, &c->workload,   &c->reason};
    EACH(i, ARRAY_SIZE(strings))
    string(io, strings[i]);
    c->labels = codec_rows(io, c->labels, &c->n_labels, sizeof(*c->labels), 2, STRING_MAX);
    EACH(i, c->n_labels)
    {
        string(io, &c->labels[i].key);
        string(io, &c->labels[i].value);
    }
}

void codec_containers(struct codec_io *io, struct block *b)
{
    b->containers =
        codec_rows(io, b->containers, &b->n_containers, sizeof(*b->containers), 20, ROWS_MAX);
    EACH(i, b->n_containers)
    container(io, &b->containers[i]);
}

void codec_losses(struct codec_io *io, struct block *b)
{
    b->gaps = codec_rows(io, b->gaps, &b->n_gaps, sizeof(*b->gaps), 6, ROWS_MAX);
    EACH(i, b->n_gaps)
    {
        struct gap *g = &b->gaps[i];
        CODEC_FIELD(io, g->first_ns);
        CODEC_DELTA(io, g->last_ns, g->first_ns);
        CODEC_FIELD(io, g->calls);
        CODEC_FIELD(io, g->container);
        CODEC_FIELD(io, g->cpu);
        CODEC_FIELD(io, g->reason);
    }
    b->blinds = codec_rows(io, b->blinds, &b->n_blinds, sizeof(*b->blinds), 3, ROWS_MAX);
    EACH(i, b->n_blinds)
    {
        struct blind *d = &b->blinds[i];
        CODEC_FIELD(io, d->first_ns);
        CODEC_DELTA(io, d->last_ns, d->first_ns);
        string(io, &d->reason);
    }
}

void codec_ledger(struct codec_io *io, struct block *b)
{
    /* The number of reasons travels along: an older reader skips those it does not know. */
    uint32_t reasons = DROP_REASONS;
    CODEC_FIELD(io, reasons);
    b->ledger = codec_rows(io, b->ledger, &b->n_ledger, sizeof(*b->ledger), 3, ROWS_MAX);
    EACH(i, b->n_ledger)
    {
        struct ledger_count *l = &b->ledger[i];
        CODEC_FIELD(io, l->container);
        CODEC_FIELD(io, l->seen);
        CODEC_DELTA(io, l->delivered, l->seen);
        EACH(k, reasons)
        {
            uint64_t skipped = 0, *dropped = k < DROP_REASONS ? &l->dropped[k] : &skipped;
            CODEC_FIELD(io, *dropped);
        }
    }
}

void codec_checkpoint(struct codec_io *io, struct block *b)
{
    b->checkpoint =
        codec_rows(io, b->checkpoint, &b->n_checkpoint, sizeof(*b->checkpoint), 26, UINT16_MAX + 1);
    EACH(i, b->n_checkpoint)
    {
        struct checkpoint_cpu *c = &b->checkpoint[i];
        CODEC_FIELD(io, c->cpu);
        CODEC_FIELD(io, c->position);
        for (size_t k = 0; k < ARRAY_SIZE(c->context); k++) {
            uint64_t word = codec_fixed64(io, c->context[k]);
            if (io->in)
                c->context[k] = word;
        }
    }
}

void codec_threads(struct codec_io *io, struct block *b)
{
    b->threads = codec_rows(io, b->threads, &b->n_threads, sizeof(*b->threads), 7, ROWS_MAX);
    EACH(i, b->n_threads)
    {
        struct thread_state *t = &b->threads[i];
        CODEC_FIELD(io, t->start_ns);
        CODEC_ID(io, t->program);
        CODEC_FIELD(io, t->container);
        CODEC_FIELD(io, t->tgid);
        CODEC_FIELD(io, t->tid);
        CODEC_FIELD(io, t->generation);
        CODEC_FIELD(io, t->n_context);
        if (t->n_context > WINDOW_CONTEXT_MAX) {
            t->n_context = 0;
            if (io->in)
                codec_bad(io);
            else
                io->out->error = -EINVAL;
        }
        EACH(k, t->n_context)
        CODEC_FIELD(io, t->context[k]);
    }
}
