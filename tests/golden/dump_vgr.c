/* Every field of every block of a recording, as read_vgr.py prints them; and with --make FILE the
 * golden recording itself: a few made-up blocks that use all of the format. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "transport/blocks.h"
#include "transport/recording.h"

static void string(const char *s)
{
    static const char plain[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)(s ? s : ""); *p; p++) {
        const char *at = strchr(plain, *p);
        if (at)
            printf("\\%c", letters[at - plain]);
        else if (*p < 0x20 || *p >= 0x7f)
            printf("\\u%04x", *p);
        else
            putchar(*p);
    }
    putchar('"');
}

static void hex(const char *name, const uint8_t bytes[16])
{
    printf("\"%s\":\"", name);
    for (int i = 0; i < 16; i++)
        printf("%02x", bytes[i]);
    printf("\",");
}

static void named(const char *name, uint64_t v, const char *end)
{
    printf("\"%s\":%" PRIu64 "%s", name, v, end);
}

static void numbers(const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%s%" PRIu64, i ? "," : "", v[i]);
}
#define NUMBERS(...)                                                                               \
    numbers((const uint64_t[]){__VA_ARGS__},                                                       \
            sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void dump_head(const struct block *b)
{
    printf("{\"block\":{");
    hex("spool", b->spool);
    named("sequence", b->sequence, ",");
    named("capture", b->capture, ",");
    named("from", b->from_ns, ",");
    named("until", b->until_ns, ",");
    named("flags", b->snapshot, ",");
    hex("boot", b->boot);
    printf("\"node\":");
    string(b->node);
    putchar(',');
    named("mono", b->mono_ns, ",");
    named("wall", b->wall_ns, ",");
    named("level", b->level, ",");
    named("snapshot", b->snapshot, ",");
    named("epoch", b->epoch, ",");
    named("refused_texts", b->refused_texts, ",");
    named("refused_containers", b->refused_containers, ",");
    named("refused_processes", b->refused_processes, "}}\n");
}

#define COLUMN(name, array, n, end)                                                                \
    do {                                                                                           \
        printf("\"%s\":[", name);                                                                  \
        for (uint32_t i_ = 0; i_ < (n); i_++)                                                      \
            printf("%s%" PRIu64, i_ ? "," : "", (uint64_t)(array)[i_]);                            \
        printf("]%s", end);                                                                        \
    } while (0)

static void dump_window(const struct window *w)
{
    printf("{\"window\":{");
    named("capture", w->id.capture, ",");
    named("position", w->id.position, ",");
    named("first", w->first_ns, ",");
    named("last", w->last_ns, ",");
    named("program", w->program, ",");
    named("start", w->start_ns, ",");
    named("tgid", w->tgid, ",");
    named("tid", w->tid, ",");
    named("generation", w->generation, ",");
    named("container", w->container, ",");
    named("level", w->level, ",");
    named("flags", w->flags, ",");
    COLUMN("context", w->context, w->n_context, ",");
    COLUMN("sysno", w->sysno, w->n_calls, ",");
    COLUMN("ret", w->ret, w->n_calls, ",");
    COLUMN("flag", w->flag, w->n_calls, ",");
    COLUMN("argument", w->argument, w->n_calls, "}}\n");
}

static void dump_bin(const struct bin *b)
{
    printf("{\"bin\":{");
    named("container", b->container, ",");
    named("second", b->second, ",");
    named("level", b->level, ",\"counts\":[");
    for (uint32_t i = 0; i < b->n_counts; i++) {
        const struct bin_count *c = &b->counts[i];
        printf(i ? ",[" : "[");
        NUMBERS(c->program, c->sysno, c->calls, c->errors, c->latency_calls, c->latency_ns);
        putchar(']');
    }
    printf("]}}\n");
}

static void dump_process(const struct process *p)
{
    printf("{\"process\":[");
    NUMBERS(p->time_ns, p->start_ns, p->parent_start_ns, p->program, p->parent_program,
            p->container, p->tgid, p->parent_tgid, p->tid, (uint32_t)p->exit_code, p->event,
            p->flags);
    putchar(',');
    string(p->path);
    putchar(',');
    string(p->arguments);
    printf("]}\n");
}

static void dump_container(const struct container *c)
{
    const char *strings[] = {c->id,  c->runtime, c->name,    c->image,    c->version, c->namespace_,
                             c->pod, c->owner,   c->command, c->workload, c->reason};
    printf("{\"container\":[");
    NUMBERS(c->number, c->state, c->wanted, c->attached, c->sandbox, c->cgroup_id, c->born_ns,
            c->gone_ns);
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        putchar(',');
        string(strings[i]);
    }
    printf(",[");
    for (uint32_t i = 0; i < c->n_labels; i++) {
        printf(i ? ",[" : "[");
        string(c->labels[i].key);
        putchar(',');
        string(c->labels[i].value);
        putchar(']');
    }
    printf("]]}\n");
}

static void dump_losses(const struct block *b)
{
    for (uint32_t i = 0; i < b->n_gaps; i++) {
        const struct gap *g = &b->gaps[i];
        printf("{\"gap\":[");
        NUMBERS(g->first_ns, g->last_ns, g->calls, g->container, g->cpu, g->reason);
        printf("]}\n");
    }
    for (uint32_t i = 0; i < b->n_blinds; i++) {
        printf("{\"blind\":[");
        NUMBERS(b->blinds[i].first_ns, b->blinds[i].last_ns);
        putchar(',');
        string(b->blinds[i].reason);
        printf("]}\n");
    }
    for (uint32_t i = 0; i < b->n_ledger; i++) {
        printf("{\"ledger\":[");
        NUMBERS(b->ledger[i].container, b->ledger[i].seen, b->ledger[i].delivered);
        putchar(',');
        numbers(b->ledger[i].dropped, DROP_REASONS);
        printf("]}\n");
    }
}

static void dump_resume(const struct block *b)
{
    for (uint32_t i = 0; i < b->n_checkpoint; i++) {
        const struct checkpoint_cpu *c = &b->checkpoint[i];
        printf("{\"checkpoint\":[");
        NUMBERS(c->cpu, c->position, c->context[0], c->context[1], c->context[2]);
        printf("]}\n");
    }
    for (uint32_t i = 0; i < b->n_threads; i++) {
        const struct thread_state *t = &b->threads[i];
        printf("{\"thread\":[");
        NUMBERS(t->start_ns, t->program, t->container, t->tgid, t->tid, t->generation);
        printf(",[");
        for (int k = 0; k < t->n_context; k++)
            printf("%s%u", k ? "," : "", t->context[k]);
        printf("]]}\n");
    }
}

static void dump_block(const struct block *b)
{
    dump_head(b);
    for (uint32_t i = 0; i < b->n_windows; i++)
        dump_window(&b->windows[i]);
    for (uint32_t i = 0; i < b->n_bins; i++)
        dump_bin(&b->bins[i]);
    for (uint32_t i = 0; i < b->n_texts; i++) {
        const struct text *t = &b->texts[i];
        printf("{\"text\":[");
        NUMBERS(t->id, t->container, t->kind, t->access);
        putchar(',');
        string(t->text);
        printf("]}\n");
    }
    for (uint32_t i = 0; i < b->n_processes; i++)
        dump_process(&b->processes[i]);
    for (uint32_t i = 0; i < b->n_containers; i++)
        dump_container(&b->containers[i]);
    dump_losses(b);
    dump_resume(b);
}

static int make(const char *path)
{
    struct recording *r = NULL;
    if (recording_create(path, &r) < 0)
        return 2;
    int error = 0;
    for (uint64_t seed = 1; seed <= 6 && error == 0; seed++) {
        CLEANUP(block_freep) struct block *b = random_block(seed, seed == 1 ? 0 : 5);
        b->sequence = seed;
        error = recording_append(r, b);
    }
    return recording_close(r) < 0 || error < 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--make") == 0)
        return make(argv[2]);
    struct recording *r = NULL;
    if (argc != 2 || recording_open(argv[1], &r) < 0)
        return 2;
    for (struct block *b = NULL; recording_next(r, &b) == 0; block_free(b))
        dump_block(b);
    int status = recording_corrupt(r) ? 1 : 0;
    recording_close(r);
    return status;
}
