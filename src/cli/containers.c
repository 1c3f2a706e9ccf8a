/* vigia containers */
#include <stdio.h>
#include <string.h>

#include "cli/look.h"
#include "cli/table.h"
#include "soc/json.h"

enum { OPTION_ALL = 256 };

struct options {
    struct command_common common;
    const char *workload;
    bool all;
};

static const struct argp_option option_list[] = {
    {"workload", 'w', "WORKLOAD", 0, "Only containers of this workload", 0},
    {"all", OPTION_ALL, NULL, 0, "Also those that are gone", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case 'w':
        o->workload = arg;
        return 0;
    case OPTION_ALL:
        o->all = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    option_list,
    parse,
    NULL,
    "Containers of this node: which are watched, under which workload, and why others are not."
    "\v"
    "A workload is what containers share a normal behaviour: namespace/owner/container, or the "
    "image and its command where there is no orchestrator. \"found running\" means that its start "
    "was not seen.\n\n"
    "With --json one container a line: key, id, name, image, workload, state, wanted, reason, "
    "calls, calls_per_s, ...\n\n"
    "Examples:\n"
    "  vigia containers\n"
    "  vigia containers --all --json | jq -r 'select(.wanted) | .workload' | sort -u",
    command_common_child,
    NULL,
    NULL};

static const struct table_column columns[] = {
    {"CONTAINER", false, 12}, {"IMAGE", false, 10}, {"WORKLOAD", false, 14}, {"STATE", false, 0},
    {"WATCHED", false, 10},   {"CALLS", true, 0},   {"RATE", true, 0},       {"SINCE", true, 0},
};

static const char *or_dash(const char *s)
{
    return *s ? s : "-";
}

static void add_row(struct table *t, const json_t *c, double now)
{
    char text[WORDS_MAX], rate[WORDS_MAX], label[CONTAINER_LABEL_MAX];
    const bool gone = strcmp(look_text(c, "state"), "gone") == 0;
    table_cell(t, "%s", json_container_label(c, label));
    table_cell(t, "%s", or_dash(look_text(c, "image")));
    table_cell(t, "%s", or_dash(look_text(c, "workload")));
    table_cell(t, "%s", or_dash(look_text(c, "state")));
    if (look_true(c, "wanted"))
        table_cell(t, "%s", look_true(c, "attached") ? "found running" : "from start");
    else
        table_cell(t, "no: %s", or_dash(look_text(c, "reason")));
    table_cell(t, "%s", words_count(look_number(c, "calls"), text));
    table_cell(t, "%s/s", words_count(gone ? 0 : look_number(c, "calls_per_s"), rate));
    table_cell(t, "%s", words_ago(look_number(c, gone ? "gone" : "born"), now, text));
}

static int print_table(struct look *l, const struct options *o, const json_t *list)
{
    CLEANUP(table_freep) struct table *t = NULL;
    const json_t *c;
    size_t i;
    if (json_array_size(list) == 0) {
        printf("No container%s%s%s.\n"
               "  Vigia finds containers of containerd, Docker, podman and runc by itself while\n"
               "  `vigia up` runs; `vigia doctor` says what it can see here.%s\n",
               o->workload ? " of workload " : "", o->workload ? o->workload : "",
               o->all ? "" : " is running", o->all ? "" : " --all lists those that are gone.");
        return EXIT_OK;
    }
    if (table_new(columns, sizeof(columns) / sizeof(*columns), &t) < 0)
        return EXIT_FAILED;
    bool unresolved = false;
    const char *why = "";
    json_array_foreach (list, i, c) {
        add_row(t, c, l->now);
        if (look_true(c, "wanted") && strcmp(look_text(c, "state"), "unresolved") == 0) {
            unresolved = true;
            why = look_text(c, "reason");
        }
    }
    if (table_print(t, stdout, 0) < 0)
        return EXIT_FAILED;
    if (unresolved) {
        CLEANUP(freep) char *reason = table_escape(why);
        printf("unresolved: its runtime does not tell its name and image%s%s; it is watched all "
               "the same,\n  as a workload of its own.\n",
               reason && *reason ? ": " : "", reason ? reason : "");
    }
    return EXIT_OK;
}

/* Without those that are gone, unless asked for. */
static json_t *select_containers(const json_t *rows, bool all)
{
    json_t *list = json_array(), *c;
    size_t i;
    json_array_foreach (rows, i, c) {
        if (!all && strcmp(look_text(c, "state"), "gone") == 0)
            continue;
        json_object_del(c, "time");
        json_array_append(list, c);
    }
    return list;
}

static int run(int argc, char **argv)
{
    struct options o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    CLEANUP(look_close) struct look l = {0};
    json_auto_t *rows = NULL;
    struct store_query query = {.kind = STORE_CONTAINER};
    if (o.workload)
        query.field = "workload", query.equals = o.workload;
    if (look_open(&o.common, false, &l) < 0 || store_find_all(l.store, query, 0, &rows, NULL) < 0)
        return EXIT_FAILED;
    json_auto_t *list = select_containers(rows, o.all);
    if (o.common.json) {
        json_t *c;
        size_t i;
        json_array_foreach (list, i, c)
            look_print(c);
        return EXIT_OK;
    }
    look_warn_stale(&l);
    return print_table(&l, &o, list);
}

const struct command command_containers = {
    .name = "containers",
    .group = "looking",
    .summary = "Containers of this node: watched or not, and why",
    .run = run,
};
