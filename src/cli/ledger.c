/* vigia ledger: seen = stored + in flight + dropped (by reason), for each container and in sum.
 *
 * The store has the counts of every block up to its acknowledgement; the blocks behind that are
 * read from the spool here. Nothing is derived from the other figures, so the sum can fail. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/look.h"
#include "cli/table.h"
#include "soc/json.h"
#include "transport/ledger.h"
#include "transport/spool.h"

#define TRIES 50
#define CORRUPT_SHOWN 100

struct view {
    json_t *containers; /* {key: row} */
    json_t *blind, *corrupt, *refused;
    struct ledger flight; /* blocks of the spool behind the acknowledgement */
    uint64_t acknowledged;
};

struct sums {
    json_int_t seen, stored, in_flight, dropped, degraded;
    json_t *reasons; /* {reason: calls} */
};

static void view_done(struct view *v)
{
    json_decref(v->containers);
    json_decref(v->blind);
    json_decref(v->corrupt);
    json_decref(v->refused);
    ledger_done(&v->flight);
}

static void add(json_t *object, const char *name, json_int_t n)
{
    json_t *had = json_object_get(object, name);
    json_object_set_new(object, name, json_integer(json_integer_value(had) + n));
}

static json_t *row_of(struct view *v, const char *key)
{
    json_t *row = json_object_get(v->containers, key);
    if (row)
        return row;
    row = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:{}}", "key", key, "name", "", "workload", "",
                    "seen", 0, "stored", 0, "in_flight", 0, "dropped");
    json_object_set_new(v->containers, key, row);
    return row;
}

/* Counts of the store and the acknowledgement they belong to: a commit in between would be counted
 * twice or not at all, so look again until none was. */
static int read_store(struct look *l, const uint8_t *uuid, json_t **ret, uint64_t *ret_acknowledged)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = 0, after = 0;
        json_auto_t *rows = NULL;
        int r = uuid ? store_acknowledged(l->store, uuid, &before) : 0;
        if (r == 0)
            r = look_find(l, (struct store_query){.kind = STORE_LEDGER}, 0, &rows, NULL);
        if (r == 0 && uuid)
            r = store_acknowledged(l->store, uuid, &after);
        if (r < 0)
            return r;
        if (before == after) {
            *ret = TAKE(rows);
            *ret_acknowledged = after;
            return 0;
        }
    }
    log_error("the store is written faster than it can be read; try again");
    return -EAGAIN;
}

static void add_stored(struct view *v, const json_t *rows)
{
    const json_t *stored;
    json_t *n;
    const char *reason;
    size_t i;
    json_array_foreach (rows, i, stored) {
        json_t *row = row_of(v, look_text(stored, "key"));
        add(row, "seen", json_integer_value(json_object_get(stored, "seen")));
        add(row, "stored", json_integer_value(json_object_get(stored, "stored")));
        json_object_foreach (json_object_get(stored, "dropped"), reason, n)
            add(json_object_get(row, "dropped"), reason, json_integer_value(n));
    }
}

static void add_flight(struct view *v)
{
    char key[STORE_KEY_MAX];
    for (uint32_t i = 0; i < v->flight.n_rows; i++) {
        const struct ledger_count *c = &v->flight.rows[i].count;
        store_container_key(v->flight.rows[i].capture, c->container, key);
        json_t *row = row_of(v, key);
        add(row, "seen", (json_int_t)c->seen);
        add(row, "in_flight", (json_int_t)c->delivered);
        for (int k = 0; k < DROP_REASONS; k++) {
            if (c->dropped[k])
                add(json_object_get(row, "dropped"), drop_reason_name(k),
                    (json_int_t)c->dropped[k]);
        }
    }
    for (uint32_t i = 0; i < v->flight.n_blinds; i++) {
        const struct blind *b = &v->flight.blinds[i];
        json_array_append_new(
            v->blind, json_pack("{s:f, s:f, s:o}", "from", (double)b->first_ns / 1e9, "until",
                                (double)b->last_ns / 1e9, "reason", json_text(b->reason)));
    }
}

static int read_flight(struct spool *spool, struct view *v)
{
    for (uint64_t next = v->acknowledged + 1;;) {
        struct block *b = NULL;
        int r = spool_read(spool, next, 0, &b);
        if (r == -ETIMEDOUT)
            return 0;
        if (r < 0)
            return r;
        next = b->sequence + 1;
        r = ledger_add(&v->flight, b);
        block_free(b);
        if (r < 0)
            return r;
    }
}

/* Blocks kept aside: each has a file NAME.reason beside it. */
static void read_corrupt(const char *spool_path, struct view *v)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/corrupt", spool_path);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) && json_array_size(v->corrupt) < CORRUPT_SHOWN;) {
        char name[4600], reason[256] = "";
        size_t n = strlen(e->d_name);
        if (n < 8 || strcmp(e->d_name + n - 7, ".reason") != 0)
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        CLEANUP(fclosep) FILE *f = fopen(name, "re");
        if (f && fgets(reason, sizeof(reason), f))
            reason[strcspn(reason, "\n")] = '\0';
        name[strlen(name) - 7] = '\0';
        json_array_append_new(v->corrupt, json_pack("{s:o, s:o}", "file", json_text(name), "reason",
                                                    json_text(reason)));
    }
    if (d)
        closedir(d);
}

static void name_containers(struct look *l, struct view *v)
{
    json_auto_t *rows = NULL;
    const json_t *c;
    size_t i;
    if (look_find(l, (struct store_query){.kind = STORE_CONTAINER}, 0, &rows, NULL) < 0)
        return;
    json_array_foreach (rows, i, c) {
        json_t *row = json_object_get(v->containers, look_text(c, "key"));
        if (!row)
            continue;
        json_object_set(row, "name", json_object_get(c, "name"));
        json_object_set(row, "workload", json_object_get(c, "workload"));
    }
}

static int read_rest(struct look *l, struct view *v)
{
    json_auto_t *blind = NULL, *live = NULL;
    const json_t *b;
    size_t i;
    int r = look_find(l, (struct store_query){.kind = STORE_BLIND, .oldest_first = true}, 0, &blind,
                      NULL);
    if (r < 0)
        return r;
    json_array_foreach (blind, i, b)
        json_array_append_new(v->blind,
                              json_pack("{s:f, s:f, s:s}", "from", look_number(b, "from"), "until",
                                        look_number(b, "until"), "reason", look_text(b, "reason")));
    r = store_get(l->store, STORE_STATE, "live", &live, NULL, NULL);
    const json_t *refused = json_object_get(json_object_get(live, "agent"), "refused");
    json_object_update(v->refused, (json_t *)refused);
    return r == -ENOENT ? 0 : r;
}

static int view_read(struct look *l, struct view *v)
{
    CLEANUP(freep) char *path = config_path(l->config, "spool");
    CLEANUP(spool_closep) struct spool *spool = NULL;
    json_auto_t *rows = NULL;
    uint8_t uuid[16];
    if (!path)
        return -ENOMEM;
    const bool there = access(path, F_OK) == 0;
    struct spool_options options = {.directory = path, .read_only = true};
    int r = there ? spool_open(&options, &spool) : 0;
    if (r < 0)
        return r;
    if (spool)
        spool_uuid(spool, uuid);
    r = read_store(l, spool ? uuid : NULL, &rows, &v->acknowledged);
    if (r == 0 && spool)
        r = read_flight(spool, v);
    if (r == 0)
        r = read_rest(l, v);
    if (r < 0)
        return r;
    add_stored(v, rows);
    add_flight(v);
    name_containers(l, v);
    read_corrupt(path, v);
    return 0;
}

/* Calls that were only binned (degraded) are stored: not part of what was dropped. */
static json_int_t sum_dropped(json_t *dropped, struct sums *s)
{
    json_int_t total = 0;
    const char *reason;
    json_t *n;
    json_object_foreach (dropped, reason, n) {
        if (strcmp(reason, drop_reason_name(DROP_DEGRADED)) == 0) {
            s->degraded += json_integer_value(n);
            continue;
        }
        total += json_integer_value(n);
        add(s->reasons, reason, json_integer_value(n));
    }
    json_object_del(dropped, drop_reason_name(DROP_DEGRADED));
    return total;
}

/* In sum, and for each container: one may not make up for the other. */
static bool sum_up(struct view *v, struct sums *s)
{
    const char *key;
    json_t *row;
    bool balanced = true;
    json_object_foreach (v->containers, key, row) {
        json_int_t seen = json_integer_value(json_object_get(row, "seen"));
        json_int_t stored = json_integer_value(json_object_get(row, "stored"));
        json_int_t in_flight = json_integer_value(json_object_get(row, "in_flight"));
        json_int_t dropped = sum_dropped(json_object_get(row, "dropped"), s);
        s->seen += seen;
        s->stored += stored;
        s->in_flight += in_flight;
        s->dropped += dropped;
        balanced &= seen == stored + in_flight + dropped;
    }
    return balanced;
}

static json_t *rows_of(const struct view *v)
{
    json_t *list = json_array(), *row;
    const char *key;
    json_object_foreach (v->containers, key, row)
        json_array_append(list, row);
    return list;
}

static void print_json(const struct view *v, const struct sums *s, bool balanced)
{
    json_auto_t *all =
        json_pack("{s:I, s:I, s:I, s:O, s:O, s:b, s:I, s:O, s:O, s:o}", "seen", s->seen, "stored",
                  s->stored, "in_flight", s->in_flight, "dropped", s->reasons, "blind", v->blind,
                  "balanced", balanced, "degraded", s->degraded, "refused", v->refused, "corrupt",
                  v->corrupt, "containers", rows_of(v));
    look_print(all);
}

static void line(const char *name, json_int_t n, const char *what)
{
    char text[WORDS_MAX];
    printf("%-12s %20s calls%s\n", name, words_exact((uint64_t)n, text), what);
}

static void print_sums(const struct view *v, const struct sums *s, bool balanced)
{
    char blocks[128], text[WORDS_MAX];
    const char *reason;
    json_t *n;
    snprintf(blocks, sizeof(blocks), "  (%s blocks in the spool that the store has not yet)",
             words_exact(v->flight.blocks, text));
    line("Seen", s->seen, "");
    line("Stored", s->stored, "  (scored and counted)");
    line("In flight", s->in_flight, blocks);
    line("Dropped", s->dropped, "");
    json_object_foreach (s->reasons, reason, n)
        printf("  %-10s %20s calls\n", reason, words_exact((uint64_t)json_integer_value(n), text));
    if (s->degraded)
        line("Bins only", s->degraded, "  (of those stored: counted, but without windows)");
    const json_int_t off = s->seen - s->stored - s->in_flight - s->dropped;
    if (balanced)
        puts("Balanced: seen = stored + in flight + dropped, for every container.");
    else
        printf("NOT BALANCED: %lld calls are unaccounted for. Please report this as a bug.\n",
               (long long)off);
}

static void print_blind(const struct view *v)
{
    const json_t *b;
    size_t i;
    char from[WORDS_MAX], span[WORDS_MAX];
    if (json_array_size(v->blind) == 0)
        return;
    puts("\nBlind: time without capture");
    json_array_foreach (v->blind, i, b) {
        printf("  %s for %-8s ", words_time(look_number(b, "from"), from),
               words_duration(look_number(b, "until") - look_number(b, "from"), span));
        table_wrap(stdout, look_text(b, "reason"), 0, 60);
    }
}

static void print_aside(const struct view *v)
{
    const json_t *c;
    json_t *n;
    const char *what;
    size_t i;
    char text[WORDS_MAX];
    json_object_foreach (v->refused, what, n) {
        if (json_integer_value(n) > 0)
            printf("Refused by a full table: %s %s\n",
                   words_exact((uint64_t)json_integer_value(n), text), what);
    }
    if (json_array_size(v->corrupt) == 0)
        return;
    puts("\nCorrupt blocks, kept aside");
    json_array_foreach (v->corrupt, i, c) {
        table_wrap(stdout, look_text(c, "file"), 2, table_width());
        table_wrap(stdout, look_text(c, "reason"), 4, table_width());
    }
}

static int print_containers(const struct view *v)
{
    static const struct table_column columns[] = {
        {"CONTAINER", false, 12}, {"WORKLOAD", false, 12}, {"SEEN", true, 0},
        {"STORED", true, 0},      {"IN FLIGHT", true, 0},  {"DROPPED", true, 0},
    };
    CLEANUP(table_freep) struct table *t = NULL;
    json_t *row, *n;
    const char *key, *reason;
    char text[WORDS_MAX];
    if (table_new(columns, ARRAY_SIZE(columns), &t) < 0)
        return EXIT_FAILED;
    json_object_foreach (v->containers, key, row) {
        json_int_t dropped = 0;
        json_object_foreach (json_object_get(row, "dropped"), reason, n)
            dropped += json_integer_value(n);
        const bool known = !strstr(key, "-ffffffff");
        table_cell(t, "%s",
                   *look_text(row, "name") ? look_text(row, "name")
                   : known                 ? key
                                           : "(not known which)");
        table_cell(t, "%s", *look_text(row, "workload") ? look_text(row, "workload") : "-");
        table_cell(t, "%s", words_count(look_number(row, "seen"), text));
        table_cell(t, "%s", words_count(look_number(row, "stored"), text));
        table_cell(t, "%s", words_count(look_number(row, "in_flight"), text));
        table_cell(t, "%s", words_count((double)dropped, text));
    }
    putchar('\n');
    return table_print(t, stdout, 0) < 0 ? EXIT_FAILED : EXIT_OK;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static const struct argp argp = {
    NULL,
    parse,
    NULL,
    "What became of every system call that was seen."
    "\v"
    "seen = stored + in flight + dropped (by reason), exactly, for every container. Stored: scored "
    "and counted, and the store has committed it. In flight: in the spool, not yet in the store. "
    "Blind intervals are time in which nothing could be seen: no agent ran and the kernel's rings "
    "overran, or the machine restarted.\n\n"
    "Exit status 1 when the ledger does not balance.\n\n"
    "With --json one object: seen, stored, in_flight, dropped (by reason), blind (from, until, "
    "reason), balanced, refused, corrupt, containers.\n\n"
    "Example: vigia ledger --json | jq -e .balanced",
    command_common_child,
    NULL,
    NULL};

static int run(int argc, char **argv)
{
    struct command_common common = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &common);
    CLEANUP(look_close) struct look l = {0};
    CLEANUP(view_done)
    struct view v = {.containers = json_object(),
                     .blind = json_array(),
                     .corrupt = json_array(),
                     .refused = json_object()};
    json_auto_t *reasons = json_object();
    struct sums sums = {.reasons = reasons};
    ledger_init(&v.flight);
    if (look_open(&common, false, &l) < 0 || view_read(&l, &v) < 0)
        return EXIT_FAILED;
    const bool balanced = sum_up(&v, &sums);
    if (common.json) {
        print_json(&v, &sums, balanced);
        return balanced ? EXIT_OK : EXIT_FOUND;
    }
    look_warn_stale(&l);
    print_sums(&v, &sums, balanced);
    print_blind(&v);
    print_aside(&v);
    if (json_object_size(v.containers) == 0)
        puts("\nNo container has made a call yet. `vigia containers` says what is watched.");
    else if (print_containers(&v) != EXIT_OK)
        return EXIT_FAILED;
    return balanced ? EXIT_OK : EXIT_FOUND;
}

const struct command command_ledger = {
    .name = "ledger",
    .group = "looking",
    .summary = "What became of every call seen: stored, in flight, dropped",
    .run = run,
};
