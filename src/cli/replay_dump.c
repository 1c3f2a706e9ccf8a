/* A recording as JSON lines for people and scripts: names instead of numbers. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/dict.h"
#include "base/utf8.h"
#include "soc/json.h"
#include "cli/replay.h"
#include "event/syscall.h"

#define TEXTS_MAX 1000000

struct replay_dump {
    struct dict ids;
    struct text *texts; /* [ids.n] */
    uint32_t texts_max;
    uint64_t wall_shift; /* of the block at hand: wall = monotonic + this, wraps */
};

int replay_dump_new(struct replay_dump **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void replay_dump_free(struct replay_dump *d)
{
    for (uint32_t i = 0; i < d->ids.n; i++)
        free(d->texts[i].text);
    free(d->texts);
    dict_done(&d->ids);
    free(d);
}

static int learn_text(struct replay_dump *d, const struct text *t)
{
    bool added;
    if (d->ids.n >= TEXTS_MAX)
        return 0;
    uint32_t at = dict_add(&d->ids, t->id, &added);
    if (d->ids.error)
        return -ENOMEM;
    if (!added)
        return 0;
    if (at >= d->texts_max) {
        uint32_t texts_max = d->texts_max ? d->texts_max * 2 : 256;
        struct text *more = realloc(d->texts, texts_max * sizeof(*more));
        if (!more) {
            d->ids.n--; /* its text is not there to be freed */
            return -ENOMEM;
        }
        d->texts = more;
        d->texts_max = texts_max;
    }
    d->texts[at] = *t;
    d->texts[at].text = utf8_copy(t->text ? t->text : "", strlen(t->text ? t->text : ""));
    return d->texts[at].text ? 0 : -ENOMEM;
}

static json_t *hex(uint64_t v)
{
    char text[20];
    snprintf(text, sizeof(text), "%016" PRIx64, v);
    return json_string(text);
}

static json_t *seconds(const struct replay_dump *d, uint64_t mono_ns)
{
    return json_real((double)(mono_ns + d->wall_shift) / 1e9);
}

/* The text of an id, or the id itself when the recording began after the text was sent. */
static json_t *text_of(struct replay_dump *d, uint64_t id)
{
    if (id == 0)
        return json_null();
    uint32_t at = dict_find(&d->ids, id);
    if (at == UINT32_MAX)
        return hex(id);
    const struct text *t = &d->texts[at];
    const char *access = text_access_name(t->access);
    return t->kind == TEXT_PROGRAM || !access[0] ? json_string(t->text)
                                                 : json_sprintf("%s %s", access, t->text);
}

static void print(const char *kind, json_t *body)
{
    json_auto_t *line = json_object();
    json_object_set_new(line, kind, body);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
}

static json_t *call(struct replay_dump *d, const struct window *w, int k)
{
    json_t *o = json_object();
    uint16_t ret = w->ret[k];
    json_object_set_new(o, "name", json_string(syscall_name(w->sysno[k])));
    json_object_set_new(o, "result",
                        ret_is_error(ret)  ? json_string(errno_name(ret_errno(ret)))
                        : ret < 128        ? json_integer(ret)
                        : ret == RET_NEVER ? json_string("never returned")
                        : ret == RET_ASYNC ? json_string("asynchronous")
                                           : json_sprintf("2^%d", ret - 128));
    if (w->argument[k])
        json_object_set_new(o, "argument", text_of(d, w->argument[k]));
    if (w->flag[k] & ~CALL_HAS_ARGUMENT)
        json_object_set_new(o, "flags", json_integer(w->flag[k]));
    return o;
}

static void dump_window(struct replay_dump *d, const struct window *w)
{
    json_t *o = json_object(), *calls = json_array(), *context = json_array();
    json_object_set_new(o, "id",
                        json_sprintf("%016" PRIx64 "-%" PRIx64, w->id.capture, w->id.position));
    json_object_set_new(o, "first", seconds(d, w->first_ns));
    json_object_set_new(o, "last", seconds(d, w->last_ns));
    json_object_set_new(o, "container", json_integer(w->container));
    json_object_set_new(o, "program", text_of(d, w->program));
    json_object_set_new(o, "tgid", json_integer(w->tgid));
    json_object_set_new(o, "tid", json_integer(w->tid));
    json_object_set_new(o, "generation", json_integer(w->generation));
    json_object_set_new(o, "level", json_integer(w->level));
    json_object_set_new(o, "after_gap", json_boolean(w->flags & WINDOW_AFTER_GAP));
    json_object_set_new(o, "after_exec", json_boolean(w->flags & WINDOW_AFTER_EXEC));
    for (int k = 0; k < w->n_context; k++)
        json_array_append_new(context, json_string(syscall_name(w->context[k])));
    for (int k = 0; k < w->n_calls; k++)
        json_array_append_new(calls, call(d, w, k));
    json_object_set_new(o, "context", context);
    json_object_set_new(o, "calls", calls);
    print("window", o);
}

static void dump_bin(struct replay_dump *d, const struct bin *b)
{
    json_t *o = json_object(), *counts = json_array();
    json_object_set_new(o, "container", json_integer(b->container));
    json_object_set_new(o, "time", seconds(d, b->second * 1000000000));
    for (uint32_t i = 0; i < b->n_counts; i++) {
        const struct bin_count *c = &b->counts[i];
        json_t *count = json_object();
        json_object_set_new(count, "program", text_of(d, c->program));
        json_object_set_new(count, "name", json_string(syscall_name(c->sysno)));
        json_object_set_new(count, "calls", json_integer(c->calls));
        json_object_set_new(count, "errors", json_integer(c->errors));
        if (c->latency_calls)
            json_object_set_new(count, "latency_ns",
                                json_real((double)c->latency_ns / c->latency_calls));
        json_array_append_new(counts, count);
    }
    json_object_set_new(o, "counts", counts);
    print("bin", o);
}

static void dump_process(struct replay_dump *d, const struct process *p)
{
    static const char *const events[] = {"fork", "exec", "exit", "found"};
    json_t *o = json_object();
    json_object_set_new(o, "event", json_string(p->event < 4 ? events[p->event] : "?"));
    json_object_set_new(o, "time", seconds(d, p->time_ns));
    json_object_set_new(o, "container", json_integer(p->container));
    json_object_set_new(o, "tgid", json_integer(p->tgid));
    json_object_set_new(o, "parent_tgid", json_integer(p->parent_tgid));
    json_object_set_new(o, "program", text_of(d, p->program));
    json_object_set_new(o, "parent_program", text_of(d, p->parent_program));
    json_object_set_new(o, "path", json_text(p->path));
    json_object_set_new(o, "arguments", json_text(p->arguments));
    json_object_set_new(o, "flags", json_integer(p->flags));
    if (p->event == PROCESS_EXIT)
        json_object_set_new(o, "exit_code", json_integer(p->exit_code));
    print("process", o);
}

static void dump_container(struct replay_dump *d, const struct container *c)
{
    static const char *const states[] = {"unresolved", "running", "gone"};
    const struct {
        const char *name, *value;
    } strings[] = {{"id", c->id},         {"runtime", c->runtime},      {"name", c->name},
                   {"image", c->image},   {"version", c->version},      {"pod", c->pod},
                   {"owner", c->owner},   {"namespace", c->namespace_}, {"command", c->command},
                   {"reason", c->reason}, {"workload", c->workload}};
    json_t *o = json_object(), *labels = json_object();
    json_object_set_new(o, "number", json_integer(c->number));
    json_object_set_new(o, "state", json_string(c->state < 3 ? states[c->state] : "?"));
    json_object_set_new(o, "wanted", json_boolean(c->wanted));
    json_object_set_new(o, "attached", json_boolean(c->attached));
    json_object_set_new(o, "born", seconds(d, c->born_ns));
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        json_object_set_new(o, strings[i].name, json_text(strings[i].value));
    for (uint32_t i = 0; i < c->n_labels; i++) {
        const char *key = c->labels[i].key ? c->labels[i].key : "";
        CLEANUP(freep) char *copy = utf8_copy(key, strlen(key));
        if (copy)
            json_object_set_new(labels, copy, json_text(c->labels[i].value));
    }
    json_object_set_new(o, "labels", labels);
    print("container", o);
}

static void dump_losses(struct replay_dump *d, const struct block *b)
{
    for (uint32_t i = 0; i < b->n_gaps; i++) {
        const struct gap *g = &b->gaps[i];
        json_t *o = json_object();
        json_object_set_new(o, "first", seconds(d, g->first_ns));
        json_object_set_new(o, "last", seconds(d, g->last_ns));
        json_object_set_new(o, "calls", json_integer((json_int_t)g->calls));
        json_object_set_new(o, "container", json_integer(g->container));
        json_object_set_new(o, "reason", json_string(drop_reason_name(g->reason)));
        print("gap", o);
    }
    for (uint32_t i = 0; i < b->n_blinds; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "first", seconds(d, b->blinds[i].first_ns));
        json_object_set_new(o, "last", seconds(d, b->blinds[i].last_ns));
        json_object_set_new(o, "reason", json_text(b->blinds[i].reason));
        print("blind", o);
    }
    for (uint32_t i = 0; i < b->n_ledger; i++) {
        const struct ledger_count *l = &b->ledger[i];
        json_t *o = json_object(), *dropped = json_object();
        json_object_set_new(o, "container", json_integer(l->container));
        json_object_set_new(o, "seen", json_integer((json_int_t)l->seen));
        json_object_set_new(o, "delivered", json_integer((json_int_t)l->delivered));
        for (enum drop_reason k = 0; k < DROP_REASONS; k++) {
            if (l->dropped[k])
                json_object_set_new(dropped, drop_reason_name(k),
                                    json_integer((json_int_t)l->dropped[k]));
        }
        json_object_set_new(o, "dropped", dropped);
        print("ledger", o);
    }
}

int replay_dump_block(struct replay_dump *d, const struct block *b)
{
    d->wall_shift = b->wall_ns - b->mono_ns;
    int r = 0;
    for (uint32_t i = 0; i < b->n_texts && r == 0; i++)
        r = learn_text(d, &b->texts[i]);
    json_t *o = json_object();
    json_object_set_new(o, "sequence", json_integer((json_int_t)b->sequence));
    json_object_set_new(o, "capture", hex(b->capture));
    json_object_set_new(o, "node", json_text(b->node));
    json_object_set_new(o, "from", seconds(d, b->from_ns));
    json_object_set_new(o, "until", seconds(d, b->until_ns));
    json_object_set_new(o, "windows", json_integer(b->n_windows));
    json_object_set_new(o, "snapshot", json_boolean(b->snapshot));
    print("block", o);
    for (uint32_t i = 0; i < b->n_containers; i++)
        dump_container(d, &b->containers[i]);
    for (uint32_t i = 0; i < b->n_processes; i++)
        dump_process(d, &b->processes[i]);
    for (uint32_t i = 0; i < b->n_windows; i++)
        dump_window(d, &b->windows[i]);
    for (uint32_t i = 0; i < b->n_bins; i++)
        dump_bin(d, &b->bins[i]);
    dump_losses(d, b);
    return r < 0 ? r : ferror(stdout) ? -EIO : 0;
}
