/* vigia alerts */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/alert_view.h"
#include "cli/look.h"
#include "cli/sinks.h"
#include "cli/table.h"
#include "soc/decision.h"

enum {
    OPTION_ID = 256,
    OPTION_WATCH,
    OPTION_ACKNOWLEDGE,
    OPTION_CLOSE,
    OPTION_REOPEN,
    OPTION_VERDICT,
    OPTION_NOTE,
    OPTION_TEST_SINKS,
    OPTION_HELD,
};

#define TABLE_ROWS 100

struct options {
    struct command_common common;
    const char *state, *workload, *text, *id, *verdict, *note;
    const char *become; /* state to change it to */
    unsigned long limit;
    bool watch, test_sinks, held;
};

static const struct argp_option option_list[] = {
    {"state", 's', "STATE", 0, "Only new, acknowledged or closed ones", 1},
    {"workload", 'w', "WORKLOAD", 0, "Only of this workload", 1},
    {"search", 'q', "TEXT", 0, "Only with this text in them: a program, a path, a container", 1},
    {"held", OPTION_HELD, NULL, 0, "Only those held back because start-up is not learnt yet", 1},
    {"limit", 'n', "N", 0, "At most so many, newest first (table: 100, --json: all)", 1},
    {"watch", OPTION_WATCH, NULL, 0, "Go on and show new ones as they come; ends with Ctrl-C", 1},
    {"id", OPTION_ID, "ID", 0, "All about one alert (the beginning of its id is enough)", 2},
    {"acknowledge", OPTION_ACKNOWLEDGE, "ID", 0, "Say that somebody looks into it", 3},
    {"close", OPTION_CLOSE, "ID", 0, "Close it; needs --verdict", 3},
    {"reopen", OPTION_REOPEN, "ID", 0, "Make it new again", 3},
    {"verdict", OPTION_VERDICT, "VERDICT", 0, "\"false alarm\", expected or incident", 3},
    {"note", OPTION_NOTE, "TEXT", 0, "Why; kept in the alert's history with your name", 3},
    {"test-sinks", OPTION_TEST_SINKS, NULL, 0, "Send a test alert through each configured sink", 4},
    {0},
};

static void take_id(struct argp_state *state, struct options *o, const char *id)
{
    if (o->id)
        argp_error(state, "one alert at a time, not %s and %s", o->id, id);
    o->id = id;
}

static error_t parse_change(int key, char *arg, struct argp_state *state, struct options *o)
{
    static const char *const states[] = {[OPTION_ACKNOWLEDGE - OPTION_ACKNOWLEDGE] = "acknowledged",
                                         [OPTION_CLOSE - OPTION_ACKNOWLEDGE] = "closed",
                                         [OPTION_REOPEN - OPTION_ACKNOWLEDGE] = "new"};
    if (o->become)
        argp_error(state, "one of --acknowledge, --close, --reopen at a time");
    o->become = states[key - OPTION_ACKNOWLEDGE];
    take_id(state, o, arg);
    return 0;
}

static void check(struct argp_state *state, struct options *o)
{
    const bool closes = o->become && strcmp(o->become, "closed") == 0;
    if (o->verdict && strcmp(o->verdict, "false-alarm") == 0)
        o->verdict = "false alarm";
    if (o->verdict && strcmp(o->verdict, "false alarm") && strcmp(o->verdict, "expected") &&
        strcmp(o->verdict, "incident"))
        argp_error(state, "--verdict is \"false alarm\", expected or incident");
    if (closes && !o->verdict)
        argp_error(state, "--close needs --verdict \"false alarm\", expected or incident");
    if (o->verdict && !closes)
        argp_error(state, "--verdict goes with --close ID");
    if (o->note && !o->id)
        argp_error(state, "--note goes with --id, --acknowledge, --close or --reopen ID");
    if (o->state && strcmp(o->state, "new") && strcmp(o->state, "acknowledged") &&
        strcmp(o->state, "closed"))
        argp_error(state, "--state is new, acknowledged or closed");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case 's':
        o->state = arg;
        return 0;
    case 'w':
        o->workload = arg;
        return 0;
    case 'q':
        o->text = arg;
        return 0;
    case 'n': {
        char *end;
        o->limit = strtoul(arg, &end, 10);
        if (*end || !isdigit((unsigned char)*arg) || o->limit == 0)
            argp_error(state, "--limit is a number from 1 on");
        return 0;
    }
    case OPTION_HELD:
        o->held = true;
        return 0;
    case OPTION_WATCH:
        o->watch = true;
        return 0;
    case OPTION_ID:
        take_id(state, o, arg);
        return 0;
    case OPTION_ACKNOWLEDGE:
    case OPTION_CLOSE:
    case OPTION_REOPEN:
        return parse_change(key, arg, state, o);
    case OPTION_VERDICT:
        o->verdict = arg;
        return 0;
    case OPTION_NOTE:
        o->note = arg;
        return 0;
    case OPTION_TEST_SINKS:
        o->test_sinks = true;
        return 0;
    case ARGP_KEY_END:
        check(state, o);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    option_list,
    parse,
    NULL,
    "The alerts: list them, read one, say what it was."
    "\v"
    "The score of an alert says how rare it is for its workload: 50 is what the asked rate of "
    "false "
    "alerts lets through, each 10 more is ten times rarer; 99 is the end of the scale.\n\n"
    "Verdicts teach: what is closed as a false alarm or as expected becomes normal for the "
    "workload; an incident does not. What is held is the exception: until start-up is learnt, "
    "whatever a start does is learnt as it happens.\n\n"
    "With --json one alert a line, as GET /api/v1/alerts/ID gives it.\n\n"
    "Examples:\n"
    "  vigia alerts --state new\n"
    "  vigia alerts --id 3f2a\n"
    "  vigia alerts --close 3f2a --verdict expected --note 'new release'\n"
    "  vigia alerts --watch --json | jq -r .headline",
    command_common_child,
    NULL,
    NULL};

static const struct table_column columns[] = {
    {"ALERT", false, 0},     {"FIRST", false, 0}, {"SCORE", true, 0},
    {"WORKLOAD", false, 16}, {"STATE", false, 0},
};

/* As the API gives it. */
static void as_alert(json_t *a)
{
    json_object_set(a, "id", json_object_get(a, "key"));
    json_object_del(a, "key");
    json_object_del(a, "time");
}

static void add_row(struct table *t, const json_t *a)
{
    char when[WORDS_MAX];
    table_cell(t, "%s", look_text(a, "id"));
    table_cell(t, "%s", words_time(look_number(a, "first"), when));
    table_cell(t, "%.0f%s", look_number(a, "score"), look_true(a, "provisional") ? "*" : "");
    table_cell(t, "%s", look_text(a, "workload"));
    table_cell(t, "%s%s%s%s", look_text(a, "state"), *look_text(a, "verdict") ? ": " : "",
               look_text(a, "verdict"), look_true(a, "held") ? " (held)" : "");
    table_note(t, "%s", look_text(a, "headline"));
}

static struct store_query query_of(const struct options *o)
{
    struct store_query q = {.kind = STORE_ALERT, .text = o->text, .brief = true};
    unsigned n = 0;
    if (o->state)
        q.where[n].field = "state", q.where[n++].equals = o->state;
    if (o->workload)
        q.where[n].field = "workload", q.where[n++].equals = o->workload;
    if (o->held)
        q.where[n].field = "held", q.where[n++].equals = "true";
    return q;
}

static int print_table(const struct options *o, json_t *list, uint64_t total)
{
    CLEANUP(table_freep) struct table *t = NULL;
    json_t *a;
    size_t i;
    bool provisional = false;
    if (json_array_size(list) == 0) {
        puts(o->state || o->workload || o->text || o->held
                 ? "No alert fits. `vigia alerts` lists all of them."
                 : "No alerts.\n"
                   "  `vigia profiles` says whether the workloads are learnt yet: before that, "
                   "only\n"
                   "  little can be raised. `vigia demo` shows what an alert looks like.");
        return EXIT_OK;
    }
    if (table_new(columns, ARRAY_SIZE(columns), &t) < 0)
        return EXIT_FAILED;
    json_array_foreach (list, i, a) {
        as_alert(a);
        add_row(t, a);
        provisional |= look_true(a, "provisional");
    }
    int r = table_print(t, stdout, 0);
    if (provisional)
        puts("* provisional: little is learnt yet, so the score is a rough one");
    if (total > json_array_size(list))
        printf("The newest %zu of %llu; --limit N shows more.\n", json_array_size(list),
               (unsigned long long)total);
    puts("`vigia alerts --id ALERT` shows all about one.");
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

/* The whole alert of a brief one. False on an error, but not for one that is gone meanwhile. */
static bool print_whole(struct look *l, const json_t *brief)
{
    json_auto_t *alert = NULL;
    int r = store_get(l->store, STORE_ALERT, look_text(brief, "key"), &alert, NULL, NULL);
    if (r < 0)
        return r == -ENOENT;
    as_alert(alert);
    look_print(alert);
    return true;
}

static int list_alerts(struct look *l, const struct options *o)
{
    json_auto_t *list = NULL;
    json_t *a;
    size_t i;
    uint64_t total = 0;
    size_t limit = o->limit ? o->limit : o->common.json ? 0 : TABLE_ROWS;
    if (store_find_all(l->store, query_of(o), limit, &list, &total) < 0)
        return EXIT_FAILED;
    if (!o->common.json)
        return print_table(o, list, total);
    json_array_foreach (list, i, a) {
        if (!print_whole(l, a))
            return EXIT_FAILED;
    }
    return EXIT_OK;
}

static bool print_new(struct look *l, const struct options *o, json_t *a)
{
    char when[WORDS_MAX];
    if (o->common.json)
        return print_whole(l, a);
    as_alert(a);
    printf("%s  %s  score %.0f%s  ", look_text(a, "id"), words_time(look_number(a, "raised"), when),
           look_number(a, "score"), look_true(a, "held") ? " (held)" : "");
    table_wrap(stdout, look_text(a, "workload"), 0, table_width());
    table_wrap(stdout, look_text(a, "headline"), 4, table_width());
    fflush(stdout);
    return true;
}

/* Those that are there count as seen. The store is asked each second; an alert extended later is
 * not new again. */
static int watch(struct look *l, const struct options *o)
{
    json_auto_t *seen = json_object();
    bool first = true;
    if (!o->common.json)
        fprintf(stderr, "Waiting for new alerts; Ctrl-C ends.\n");
    for (;; first = false, sleep(1)) {
        json_auto_t *list = NULL;
        if (store_find_all(l->store, query_of(o), 1000, &list, NULL) < 0)
            return EXIT_FAILED;
        for (size_t i = json_array_size(list); i-- > 0;) {
            json_t *a = json_array_get(list, i);
            if (json_object_get(seen, look_text(a, "key")))
                continue;
            json_object_set_new(seen, look_text(a, "key"), json_true());
            if (!first && !print_new(l, o, a))
                return EXIT_FAILED;
        }
        if (ferror(stdout))
            return EXIT_FAILED;
    }
}

/* The alert whose id begins so; says so if there is none or more than one. */
static int find_one(struct look *l, const char *id, json_t **ret)
{
    json_auto_t *list = NULL;
    struct store_query q = {.kind = STORE_ALERT, .prefix = id, .limit = 2};
    int r = store_find(l->store, &q, &list, NULL);
    if (r < 0)
        return r;
    if (json_array_size(list) != 1 || !*id) {
        log_error("%s alert has an id that begins with \"%s\"; `vigia alerts` lists them",
                  json_array_size(list) ? "more than one" : "no", id);
        return -ENOENT;
    }
    json_t *alert = json_array_get(list, 0);
    as_alert(alert);
    *ret = json_incref(alert);
    return 0;
}

static int one_alert(struct look *l, const struct options *o)
{
    json_auto_t *alert = NULL;
    int r = find_one(l, o->id, &alert);
    if (r < 0)
        return r == -ENOENT ? EXIT_FOUND : EXIT_FAILED;
    if (o->become || o->note) {
        const struct alert_decision change = {.state = o->become,
                                              .verdict = o->verdict,
                                              .note = o->note,
                                              .who = look_actor(),
                                              .address = LOOK_ADDRESS,
                                              .now = l->now};
        CLEANUP(freep) char *id = strdup(look_text(alert, "id"));
        if (!id || alert_decide(l->store, id, &change) < 0)
            return EXIT_FAILED;
        json_decref(alert);
        alert = NULL;
        if (find_one(l, id, &alert) < 0)
            return EXIT_FAILED;
    }
    if (o->common.json)
        look_print(alert);
    else if (o->become)
        printf("Alert %s is %s%s%s.\n", look_text(alert, "id"), o->become, o->verdict ? ": " : "",
               o->verdict ? o->verdict : "");
    else
        alert_view(stdout, alert, l->now, 0);
    return EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct options o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (o.test_sinks)
        return sinks_test_command(&o.common);
    CLEANUP(look_close) struct look l = {0};
    if (look_open(&o.common, o.become || o.note, &l) < 0)
        return EXIT_FAILED;
    if (o.id)
        return one_alert(&l, &o);
    if (!o.common.json)
        look_warn_stale(&l);
    return o.watch ? watch(&l, &o) : list_alerts(&l, &o);
}

const struct command command_alerts = {
    .name = "alerts",
    .group = "looking",
    .summary = "List alerts, read one, acknowledge and close",
    .run = run,
};
