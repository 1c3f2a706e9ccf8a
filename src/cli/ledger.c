/* vigia ledger: seen = stored + in flight + dropped (by reason), for each container and in sum.
 *
 * As the server's page has it (soc/ledger_view.h), with the corrupt blocks by name. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/look.h"
#include "cli/table.h"
#include "soc/json.h"
#include "soc/ledger_view.h"

#define CORRUPT_SHOWN 100

/* Blocks kept aside: each has a file NAME.reason beside it. */
static void read_corrupt(const char *spool_path, json_t *corrupt)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/corrupt", spool_path);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) && json_array_size(corrupt) < CORRUPT_SHOWN;) {
        char name[4600], reason[256] = "";
        size_t n = strlen(e->d_name);
        if (n < 8 || strcmp(e->d_name + n - 7, ".reason") != 0)
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        CLEANUP(fclosep) FILE *f = fopen(name, "re");
        if (f && fgets(reason, sizeof(reason), f))
            reason[strcspn(reason, "\n")] = '\0';
        name[strlen(name) - 7] = '\0';
        json_array_append_new(
            corrupt, json_pack("{s:o, s:o}", "file", json_text(name), "reason", json_text(reason)));
    }
    if (d)
        closedir(d);
}

static int view_read(struct look *l, json_t **ret, uint64_t *ret_blocks)
{
    CLEANUP(freep) char *path = config_path(l->config, "spool");
    CLEANUP(flight_freep) struct flight *flight = NULL;
    json_auto_t *view = NULL, *corrupt = json_array();
    if (!path)
        return -ENOMEM;
    int r = flight_new(path, &flight);
    if (r == 0)
        r = ledger_view(l->store, flight, &view, ret_blocks);
    if (r < 0)
        return r;
    read_corrupt(path, corrupt);
    json_object_set(view, "corrupt", corrupt);
    *ret = TAKE(view);
    return 0;
}

static void line(const char *name, double n, const char *what)
{
    char text[WORDS_MAX];
    printf("%-12s %20s calls%s\n", name, words_exact((uint64_t)n, text), what);
}

static json_int_t dropped(const json_t *sums)
{
    json_int_t total = 0;
    const char *reason;
    json_t *n;
    json_object_foreach (json_object_get(sums, "dropped"), reason, n)
        total += json_integer_value(n);
    return total;
}

/* Over all containers: one may not make up for another. */
static json_int_t unaccounted(const json_t *view)
{
    const json_t *c;
    size_t i;
    json_int_t off = 0;
    json_array_foreach (json_object_get(view, "containers"), i, c)
        off += llabs(json_integer_value(json_object_get(c, "seen")) -
                     json_integer_value(json_object_get(c, "stored")) -
                     json_integer_value(json_object_get(c, "in_flight")) - dropped(c));
    return off;
}

static void print_sums(const json_t *view, uint64_t in_flight)
{
    char blocks[128], text[WORDS_MAX];
    const char *reason;
    json_t *n;
    snprintf(blocks, sizeof(blocks), "  (%s blocks in the spool that the store has not yet)",
             words_exact(in_flight, text));
    line("Seen", look_number(view, "seen"), "");
    line("Stored", look_number(view, "stored"), "  (scored and counted)");
    line("In flight", look_number(view, "in_flight"), blocks);
    line("Dropped", (double)dropped(view), "");
    json_object_foreach (json_object_get(view, "dropped"), reason, n)
        printf("  %-10s %20s calls\n", reason, words_exact((uint64_t)json_integer_value(n), text));
    if (look_number(view, "degraded") > 0)
        line("Bins only", look_number(view, "degraded"),
             "  (of those stored: counted, but without windows)");
    if (look_true(view, "balanced"))
        puts("Balanced: seen = stored + in flight + dropped, for every container.");
    else
        printf("NOT BALANCED: %lld calls are unaccounted for. Please report this as a bug.\n",
               (long long)unaccounted(view));
}

static void print_blind(const json_t *view)
{
    const json_t *b, *blind = json_object_get(view, "blind");
    size_t i;
    char from[WORDS_MAX], span[WORDS_MAX];
    if (json_array_size(blind) == 0)
        return;
    puts("\nBlind: time without capture");
    json_array_foreach (blind, i, b) {
        printf("  %s for %-8s ", words_time(look_number(b, "from"), from),
               words_duration(look_number(b, "until") - look_number(b, "from"), span));
        table_wrap(stdout, look_text(b, "reason"), 0, 60);
    }
}

static void print_aside(const json_t *view)
{
    const json_t *c, *corrupt = json_object_get(view, "corrupt");
    json_t *n;
    const char *what;
    size_t i;
    char text[WORDS_MAX];
    json_object_foreach (json_object_get(view, "refused"), what, n) {
        if (json_integer_value(n) > 0)
            printf("Refused by a full table: %s %s\n",
                   words_exact((uint64_t)json_integer_value(n), text), what);
    }
    if (json_array_size(corrupt) == 0)
        return;
    puts("\nCorrupt blocks, kept aside");
    json_array_foreach (corrupt, i, c) {
        table_wrap(stdout, look_text(c, "file"), 2, table_width());
        table_wrap(stdout, look_text(c, "reason"), 4, table_width());
    }
}

static int print_containers(const json_t *view)
{
    static const struct table_column columns[] = {
        {"CONTAINER", false, 12}, {"WORKLOAD", false, 12}, {"SEEN", true, 0},
        {"STORED", true, 0},      {"IN FLIGHT", true, 0},  {"DROPPED", true, 0},
    };
    CLEANUP(table_freep) struct table *t = NULL;
    const json_t *row;
    size_t i;
    char text[WORDS_MAX];
    if (table_new(columns, ARRAY_SIZE(columns), &t) < 0)
        return EXIT_FAILED;
    json_array_foreach (json_object_get(view, "containers"), i, row) {
        const char *key = look_text(row, "key");
        const bool known = !strstr(key, "-ffffffff");
        table_cell(t, "%s",
                   *look_text(row, "name") ? look_text(row, "name")
                   : known                 ? key
                                           : "(not known which)");
        table_cell(t, "%s", *look_text(row, "workload") ? look_text(row, "workload") : "-");
        table_cell(t, "%s", words_count(look_number(row, "seen"), text));
        table_cell(t, "%s", words_count(look_number(row, "stored"), text));
        table_cell(t, "%s", words_count(look_number(row, "in_flight"), text));
        table_cell(t, "%s", words_count((double)dropped(row), text));
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
    json_auto_t *view = NULL;
    uint64_t blocks;
    if (look_open(&common, false, &l) < 0 || view_read(&l, &view, &blocks) < 0)
        return EXIT_FAILED;
    const int status = look_true(view, "balanced") ? EXIT_OK : EXIT_FOUND;
    if (common.json) {
        look_print(view);
        return status;
    }
    look_warn_stale(&l);
    print_sums(view, blocks);
    print_blind(view);
    print_aside(view);
    if (json_array_size(json_object_get(view, "containers")) == 0)
        puts("\nNo container has made a call yet. `vigia containers` says what is watched.");
    else if (print_containers(view) != EXIT_OK)
        return EXIT_FAILED;
    return status;
}

const struct command command_ledger = {
    .name = "ledger",
    .group = "looking",
    .summary = "What became of every call seen: stored, in flight, dropped",
    .run = run,
};
