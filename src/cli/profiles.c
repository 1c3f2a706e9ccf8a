/* vigia profiles */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/look.h"
#include "cli/table.h"
#include "soc/decision.h"

enum { OPTION_RETIRE = 256 };

struct options {
    struct command_common common;
    const char *workload, *retire;
};

static const struct argp_option option_list[] = {
    {"workload", 'w', "WORKLOAD", 0, "Only this one", 0},
    {"retire", OPTION_RETIRE, "WORKLOAD", 0,
     "Forget what was learnt about it; it is learnt anew while `vigia up` runs", 0},
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
    case OPTION_RETIRE:
        o->retire = arg;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    option_list,
    parse,
    NULL,
    "What Vigia has learnt: the profile of each workload, and when it will be ready."
    "\v"
    "States: learning, ready, drifting (within a day more than five alerts, and than five times "
    "those asked for: the workload may have changed), retired (no call for a week). Steady "
    "running and start-up are learnt apart; while start-up is not learnt, what is strange in a "
    "start is listed as held and not sent. A provisional profile has seen too little for its "
    "thresholds to promise the rate of false alerts that was asked for; it alerts all the same.\n\n"
    "RUNNING counts containers, CALLS what was learnt from. FALSE/DAY is the rate of alerts that "
    "may have been false, as an upper bound with 95 % "
    "confidence, beside the rate that was asked for.\n\n"
    "With --json one profile a line.\n\n"
    "Examples:\n"
    "  vigia profiles\n"
    "  vigia profiles --retire shop/Deployment/web/web",
    command_common_child,
    NULL,
    NULL};

static const struct table_column columns[] = {
    {"WORKLOAD", false, 16}, {"STATE", false, 0}, {"STEADY", false, 0}, {"START-UP", false, 0},
    {"RUNNING", true, 0},    {"CALLS", true, 0},  {"ALERTS", true, 0},  {"FALSE/DAY", true, 0},
};

/* "ready", or how far and how long: "60 %, 5 min left". */
static void part_cell(struct table *t, const json_t *part)
{
    char eta[WORDS_MAX];
    const char *state = look_text(part, "state");
    const json_t *seconds = json_object_get(part, "eta_s");
    if (strcmp(state, "learning") != 0)
        table_cell(t, "%s", *state ? state : "-");
    else if (json_is_number(seconds) && json_number_value(seconds) > 0)
        table_cell(t, "%.0f %%, %s left", look_number(part, "progress") * 100,
                   words_duration(json_number_value(seconds), eta));
    else
        table_cell(t, "%.0f %%", look_number(part, "progress") * 100);
}

static void add_row(struct table *t, const json_t *p)
{
    char calls[WORDS_MAX];
    const json_t *alerts = json_object_get(p, "alerts");
    const json_t *bound = json_object_get(alerts, "per_day_upper95");
    table_cell(t, "%s", look_text(p, "workload"));
    table_cell(t, "%s%s", look_text(p, "state"), look_true(p, "provisional") ? "*" : "");
    part_cell(t, json_object_get(p, "steady"));
    part_cell(t, json_object_get(p, "startup"));
    table_cell(t, "%.0f", look_number(p, "containers"));
    table_cell(t, "%s", words_count(look_number(json_object_get(p, "learnt"), "calls"), calls));
    table_cell(t, "%.0f", look_number(alerts, "count"));
    if (json_is_number(bound))
        table_cell(t, "< %s of %.2g", words_count(json_number_value(bound), calls),
                   look_number(p, "asked_per_day"));
    else
        table_cell(t, "-");
    if (*look_text(p, "reason"))
        table_note(t, "%s", look_text(p, "reason"));
}

static int print_table(const json_t *list, const char *workload)
{
    CLEANUP(table_freep) struct table *t = NULL;
    const json_t *p;
    size_t i;
    bool provisional = false;
    if (json_array_size(list) == 0 && workload) {
        printf("No workload is named %s: `vigia profiles` lists them.\n", workload);
        return EXIT_OK;
    }
    if (json_array_size(list) == 0) {
        puts("Nothing is learnt yet.\n"
             "  A workload appears here with its first calls while `vigia up` runs; it is ready\n"
             "  after about 15 active minutes. `vigia containers` says what is watched.");
        return EXIT_OK;
    }
    if (table_new(columns, sizeof(columns) / sizeof(*columns), &t) < 0)
        return EXIT_FAILED;
    json_array_foreach (list, i, p) {
        add_row(t, p);
        provisional |= look_true(p, "provisional");
    }
    int r = table_print(t, stdout, 0);
    if (provisional)
        puts("* provisional: it alerts, but the rate of false alerts is not yet known well");
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

/* The running Vigia finds the word in the store and starts the workload anew; if none runs, the
 * next one does. */
static int retire(struct look *l, const struct options *o)
{
    char key[1100];
    json_auto_t *profile = NULL;
    int r = store_get(l->store, STORE_PROFILE, o->retire, &profile, NULL, NULL);
    if (r < 0) {
        log_error("there is no profile of a workload \"%s\"; `vigia profiles` lists them",
                  o->retire);
        return EXIT_FOUND;
    }
    snprintf(key, sizeof(key), DECISION_RETIRE "%.1000s", o->retire);
    json_auto_t *word =
        json_pack("{s:s, s:s, s:f}", "workload", o->retire, "who", look_actor(), "time", l->now);
    json_auto_t *body = json_pack("{s:s, s:s}", "state", "retired", "reason",
                                  "retired by hand: it is learnt anew once vigia up has seen this");
    struct store_document documents[] = {
        {.kind = STORE_STATE, .key = key, .time = l->now, .body = word},
        {.kind = STORE_PROFILE, .key = o->retire, .time = l->now, .body = body, .merge = true},
    };
    if (look_commit(l, documents, 2, "profile retired", o->retire, "") < 0)
        return EXIT_FAILED;
    if (o->common.json)
        look_print(word);
    else
        printf("Retired: %s is learnt anew.\n", o->retire);
    return EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct options o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    CLEANUP(look_close) struct look l = {0};
    json_auto_t *list = NULL;
    struct store_query query = {.kind = STORE_PROFILE, .key = o.workload};
    if (look_open(&o.common, o.retire, &l) < 0)
        return EXIT_FAILED;
    if (o.retire)
        return retire(&l, &o);
    if (store_find_all(l.store, query, 0, &list, NULL) < 0)
        return EXIT_FAILED;
    if (!o.common.json) {
        look_warn_stale(&l);
        return print_table(list, o.workload);
    }
    json_t *p;
    size_t i;
    json_array_foreach (list, i, p) {
        json_object_set(p, "workload", json_object_get(p, "key"));
        json_object_del(p, "key");
        json_object_del(p, "time");
        look_print(p);
    }
    return EXIT_OK;
}

const struct command command_profiles = {
    .name = "profiles",
    .group = "looking",
    .summary = "What was learnt about each workload, and when it is ready",
    .run = run,
};
