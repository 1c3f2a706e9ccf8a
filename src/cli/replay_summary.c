/* What is in a recording: a line a container. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/dict.h"
#include "base/hash.h"
#include "base/log.h"
#include "soc/json.h"
#include "cli/replay.h"
#include "cli/table.h"
#include "transport/codec.h"
#include "transport/ledger.h"

struct row {
    uint32_t container;
    uint64_t calls, errors, windows, execs;
    char *name, *image, *workload;
};

struct replay_summary {
    struct dict keys; /* (capture, container) */
    struct row *rows; /* [keys.n] */
    uint32_t rows_max;
    struct ledger ledger;
    uint64_t blocks, windows, calls, texts, first_ns, last_ns; /* wall */
};

int replay_summary_new(struct replay_summary **ret)
{
    struct replay_summary *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    ledger_init(&s->ledger);
    *ret = s;
    return 0;
}

void replay_summary_free(struct replay_summary *s)
{
    for (uint32_t i = 0; i < s->keys.n; i++) {
        free(s->rows[i].name);
        free(s->rows[i].image);
        free(s->rows[i].workload);
    }
    free(s->rows);
    dict_done(&s->keys);
    ledger_done(&s->ledger);
    free(s);
}

static struct row *row_of(struct replay_summary *s, uint64_t capture, uint32_t container)
{
    if (s->keys.n == s->rows_max) {
        uint32_t rows_max = s->rows_max ? s->rows_max * 2 : 64;
        struct row *more = realloc(s->rows, rows_max * sizeof(*more));
        if (!more)
            return NULL;
        s->rows = more;
        s->rows_max = rows_max;
    }
    bool added;
    uint32_t at = dict_add(&s->keys, hash_mix(capture, container), &added);
    if (s->keys.error)
        return NULL;
    if (added)
        s->rows[at] = (struct row){.container = container};
    return &s->rows[at];
}

static int set(char **to, const char *from)
{
    char *copy = strdup(from ? from : "");
    if (!copy)
        return -ENOMEM;
    free(*to);
    *to = copy;
    return 0;
}

int replay_summary_add(struct replay_summary *s, const struct block *b)
{
    uint64_t shift = b->wall_ns - b->mono_ns;
    int r = ledger_add(&s->ledger, b);
    for (uint32_t i = 0; i < b->n_containers && r == 0; i++) {
        struct row *row = row_of(s, b->capture, b->containers[i].number);
        r = row ? set(&row->name, b->containers[i].name) : -ENOMEM;
        if (r == 0)
            r = set(&row->image, b->containers[i].image);
        if (r == 0)
            r = set(&row->workload, b->containers[i].workload);
    }
    for (uint32_t i = 0; i < b->n_windows && r == 0; i++) {
        const struct window *w = &b->windows[i];
        struct row *row = row_of(s, b->capture, w->container);
        if (!row)
            return -ENOMEM;
        row->windows++;
        row->calls += w->n_calls;
        for (int k = 0; k < w->n_calls; k++)
            row->errors += ret_is_error(w->ret[k]);
    }
    for (uint32_t i = 0; i < b->n_processes && r == 0; i++) {
        struct row *row = row_of(s, b->capture, b->processes[i].container);
        if (!row)
            return -ENOMEM;
        row->execs += b->processes[i].event == PROCESS_EXEC;
    }
    if (!s->blocks)
        s->first_ns = b->from_ns + shift;
    s->last_ns = b->until_ns + shift;
    s->blocks++;
    s->windows += b->n_windows;
    s->calls += codec_calls(b);
    s->texts += b->n_texts;
    return r;
}

static void print_json(const struct replay_summary *s, const struct recording *r)
{
    struct ledger_count total = ledger_total(&s->ledger);
    json_auto_t *o = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:b}", "blocks", (json_int_t)s->blocks,
        "windows", (json_int_t)s->windows, "calls", (json_int_t)s->calls, "texts",
        (json_int_t)s->texts, "bytes", (json_int_t)recording_size_bytes(r), "from",
        (double)s->first_ns / 1e9, "until", (double)s->last_ns / 1e9, "corrupt",
        (json_int_t)recording_corrupt(r), "seen", (json_int_t)total.seen, "dropped",
        (json_int_t)ledger_dropped(&total), "balanced", ledger_balanced(&total));
    json_t *containers = json_array();
    for (uint32_t i = 0; i < s->keys.n; i++) {
        const struct row *row = &s->rows[i];
        json_t *c = json_pack("{s:i, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "number",
                              (int)row->container, "name", json_text(row->name), "image",
                              json_text(row->image), "workload", json_text(row->workload), "calls",
                              (json_int_t)row->calls, "errors", (json_int_t)row->errors, "windows",
                              (json_int_t)row->windows, "execs", (json_int_t)row->execs);
        json_array_append_new(containers, c);
    }
    json_object_set_new(o, "containers", containers);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
}

int replay_summary_print(const struct replay_summary *s, const struct recording *r, bool json)
{
    if (json) {
        print_json(s, r);
        return 0;
    }
    static const struct table_column columns[] = {
        {"CONTAINER", false, 12}, {"WORKLOAD", false, 12}, {"IMAGE", false, 12}, {"CALLS", true, 0},
        {"ERRORS", true, 0},      {"WINDOWS", true, 0},    {"EXECS", true, 0}};
    CLEANUP(table_freep) struct table *t = NULL;
    int e = table_new(columns, ARRAY_SIZE(columns), &t);
    if (e < 0)
        return e;
    char word[WORDS_MAX];
    for (uint32_t i = 0; i < s->keys.n; i++) {
        const struct row *row = &s->rows[i];
        const char *name = row->name && row->name[0] ? row->name
                           : row->container == 0     ? "(host)"
                                                     : "(no name)";
        table_cell(t, "%s", name);
        table_cell(t, "%s", row->workload ? row->workload : "");
        table_cell(t, "%s", row->image ? row->image : "");
        table_cell(t, "%s", words_count((double)row->calls, word));
        table_cell(t, "%s", words_count((double)row->errors, word));
        table_cell(t, "%s", words_count((double)row->windows, word));
        table_cell(t, "%s", words_count((double)row->execs, word));
    }
    e = table_print(t, stdout, 0);
    struct ledger_count total = ledger_total(&s->ledger);
    double bytes = (double)recording_size_bytes(r);
    char calls[WORDS_MAX], size[WORDS_MAX], time[WORDS_MAX], begin[WORDS_MAX], drop[WORDS_MAX];
    printf("\n%s calls from %s on, %s: %s, %.2f bytes a call; %" PRIu64
           " blocks; %s calls dropped; %" PRIu64 " damaged parts.\n",
           words_exact(s->calls, calls), words_time((double)s->first_ns / 1e9, begin),
           words_duration((double)(s->last_ns - s->first_ns) / 1e9, time), words_bytes(bytes, size),
           s->calls ? bytes / (double)s->calls : 0, s->blocks,
           words_exact(ledger_dropped(&total), drop), recording_corrupt(r));
    return e;
}
