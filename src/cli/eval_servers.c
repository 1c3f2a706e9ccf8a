/* vigia eval servers DIR: recordings of real servers through the same windows, profiles,
 * calibration and alert stage as live data. Learns for so long, then every alert outside of the
 * attacks is a false one, and an attack is found when an alert shows, while it runs, something that
 * would open an alert by itself. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/eval.h"
#include "features/servers.h"
#include "soc/engine.h"
#include "soc/explain.h"

#define LEARN_S 840.0 /* 14 minutes, as the figures to compare with */
#define ATTACKS_MAX 64
#define BEFORE_S 1.0 /* an alert belongs to an attack from so long before it ... */
#define AFTER_S 5.0  /* ... until so long after its end */

DEFINE_CLEANUP(engine_free, struct engine *)

struct options {
    struct command_common common;
    struct engine_options engine;
    const char *directory;
};

struct row {
    const char *workload;
    double ready_s,
        hours; /* ready: second of the recording, negative never; hours of normal time */
    uint32_t false_alerts, false_startup, held;
    uint32_t attacks, found;
    bool hit[ATTACKS_MAX], extended[ATTACKS_MAX]; /* extended: only added to an open alert */
    double delay_s[ATTACKS_MAX];
};

enum { KEY_LIVE_RULE = 0x100 };

static const struct argp_option argp_options[] = {
    {"learn", 'l', "SECONDS", 0, "Learn for so long (840)", 0},
    {"live-rule", KEY_LIVE_RULE, NULL, 0, "Learn until the rule for live data says ready", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case 'l':
        o->engine.profile.ready_after_s = strtod(arg, &end);
        if (*end || !(o->engine.profile.ready_after_s > 0))
            argp_error(state, "--learn wants seconds, not '%s'", arg);
        return 0;
    case KEY_LIVE_RULE:
        o->engine.profile.ready_after_s = 0;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "too many arguments");
        o->directory = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->directory)
            argp_error(state, "say where the unpacked recordings are");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    argp_options,
    parse,
    "DIR",
    "Measure false alerts and attacks found on recordings of real servers: DIR has one directory "
    "per "
    "workload with time_ns.i64, pid.u32, tid.u32, nr.u16, ret.u8, prog.u8, programs.txt, "
    "attacks.csv and events.csv. Each goes through the engine as live data does.",
    command_common_child,
    NULL,
    NULL};

/* The attack that runs at this second of the recording; the number of attacks if none does. */
static uint32_t attack_at(const struct servers_mark *attacks, uint32_t n, double s)
{
    uint32_t i = 0;
    while (i < n && (s < attacks[i].start_s - BEFORE_S || s > attacks[i].end_s + AFTER_S))
        i++;
    return i;
}

static double seconds_of(const struct block *b, double wall)
{
    double mono = wall - (double)(int64_t)(b->wall_ns - b->mono_ns) / 1e9;
    return mono - SERVERS_ZERO_NS / 1e9;
}

static void note_alert(const struct options *o, struct servers *s, const struct block *b,
                       const struct engine_alert *x, struct row *row)
{
    uint32_t n;
    const struct servers_mark *attacks = servers_attacks(s, &n);
    n = MIN(n, (uint32_t)ATTACKS_MAX);
    const struct alert *a = x->alert;
    if (x->change != ALERT_CLOSED) {
        uint32_t i = attack_at(attacks, n, seconds_of(b, a->last_over));
        if (i < n && !a->held && !row->hit[i]) {
            row->hit[i] = true;
            row->found++;
            row->delay_s[i] = MAX((b->until_ns - SERVERS_ZERO_NS) / 1e9 - attacks[i].start_s, 0);
        }
    }
    uint32_t last = attack_at(attacks, n, seconds_of(b, a->last));
    if (x->change != ALERT_CLOSED && last < n && !a->held)
        row->extended[last] = true;
    if (x->change != ALERT_OPENED)
        return;
    bool attack = attack_at(attacks, n, seconds_of(b, a->first)) < n;
    row->held += a->held;
    if (!attack && !a->held) {
        row->false_alerts++;
        row->false_startup += a->phase == PHASE_STARTUP;
    }
    if (o->common.verbose) {
        CLEANUP(freep) char *headline = explain_headline(a);
        fprintf(stderr, "%s %8.2f s %s%s: %s\n", row->workload, seconds_of(b, a->first),
                attack ? "attack" : "FALSE", a->held ? " (held)" : "", headline ? headline : "");
    }
}

/* Hours of normal time after learning: without the attacks. */
static double normal_hours(struct servers *s, double from_s)
{
    uint32_t n;
    const struct servers_mark *attacks = servers_attacks(s, &n);
    double hours = MAX(servers_seconds(s) - from_s, 0) / 3600;
    for (uint32_t i = 0; i < n; i++)
        hours -= (attacks[i].end_s - attacks[i].start_s) / 3600;
    return from_s < 0 ? 0 : MAX(hours, 0);
}

static int run_workload(const struct options *o, struct servers *s, struct row *row)
{
    CLEANUP(engine_freep) struct engine *e = NULL;
    int err = engine_new(&o->engine, &e);
    if (err < 0)
        return err;
    *row = (struct row){.workload = servers_workload(s), .ready_s = -1};
    for (;;) {
        CLEANUP(block_freep) struct block *b = NULL;
        struct engine_output out;
        err = servers_next(s, &b);
        if (err == -ENODATA)
            break;
        if (err == 0)
            err = engine_block(e, b, &out);
        if (err < 0)
            return err;
        for (uint32_t i = 0; i < out.n_alerts; i++)
            note_alert(o, s, b, &out.alerts[i], row);
        const struct profile *p = engine_profile(e, 0);
        if (row->ready_s < 0 && p && profile_ready(p, PHASE_STEADY))
            row->ready_s = (b->until_ns - SERVERS_ZERO_NS) / 1e9;
        if (isatty(STDERR_FILENO) && !o->common.verbose && b->sequence % 256 == 0)
            fprintf(stderr, "\r%-12s %3.0f %%", row->workload,
                    100.0 * (double)servers_calls_read(s) / (double)servers_calls(s));
    }
    if (isatty(STDERR_FILENO) && !o->common.verbose)
        fputs("\r\033[K", stderr);
    servers_attacks(s, &row->attacks);
    row->attacks = MIN(row->attacks, (uint32_t)ATTACKS_MAX);
    row->hours = normal_hours(s, row->ready_s);
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median delay of the attacks found; negative: none was. */
static double median_delay(const struct row *r)
{
    double delay[ATTACKS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->attacks; i++) {
        if (r->hit[i])
            delay[n++] = r->delay_s[i];
    }
    qsort(delay, n, sizeof(*delay), compare);
    return n ? delay[n / 2] : -1;
}

static json_t *row_json(const struct row *r, struct servers *s)
{
    uint32_t n;
    const struct servers_mark *attacks = servers_attacks(s, &n);
    json_t *missed = json_array(), *found = json_array(), *extended = json_array();
    for (uint32_t i = 0; i < r->attacks; i++)
        json_array_append_new(r->hit[i] ? found : missed, json_string(attacks[i].name));
    for (uint32_t i = 0; i < r->attacks; i++) {
        if (r->extended[i] && !r->hit[i])
            json_array_append_new(extended, json_string(attacks[i].name));
    }
    double delay = median_delay(r);
    return json_pack("{ss so sf si si si sf si si so so so so}", "workload", r->workload, "ready_s",
                     r->ready_s < 0 ? json_null() : json_real(r->ready_s), "hours", r->hours,
                     "false_alerts", (int)r->false_alerts, "false_alerts_startup",
                     (int)r->false_startup, "held", (int)r->held, "false_alerts_per_hour",
                     r->hours > 0 ? r->false_alerts / r->hours : 0.0, "attacks", (int)r->attacks,
                     "found", (int)r->found, "found_names", found, "missed", missed, "extended",
                     extended, "delay_s", delay < 0 ? json_null() : json_real(delay));
}

static void print_row(const struct row *r, struct servers *s)
{
    uint32_t n;
    const struct servers_mark *attacks = servers_attacks(s, &n);
    double delay = median_delay(r);
    printf("%-12s %7.0f %7.2f %7u %9u %6u %5u/%-3u", r->workload, r->ready_s, r->hours,
           r->false_alerts, r->false_startup, r->held, r->found, r->attacks);
    if (delay < 0)
        printf("%8s ", "-");
    else
        printf("%8.2f ", delay);
    const char *joint = " ";
    for (uint32_t i = 0; i < r->attacks; i++) {
        if (r->hit[i])
            continue;
        printf("%s%s", joint, attacks[i].name);
        joint = ", ";
    }
    putchar('\n');
}

static int one(const struct options *o, const char *path, json_t *rows, struct row *total)
{
    CLEANUP(servers_closep) struct servers *s = NULL;
    struct row row;
    int err = servers_open(path, &s);
    if (err == 0)
        err = run_workload(o, s, &row);
    if (err < 0)
        return err;
    if (!o->common.json && json_array_size(rows) == 0)
        printf("%-12s %7s %7s %7s %9s %6s %9s %7s  %s\n", "workload", "ready s", "hours", "false",
               "in starts", "held", "found", "delay s", "missed");
    if (!o->common.json)
        print_row(&row, s);
    json_array_append_new(rows, row_json(&row, s));
    total->hours += row.hours;
    total->false_alerts += row.false_alerts, total->false_startup += row.false_startup;
    total->attacks += row.attacks, total->found += row.found;
    total->held += row.held;
    return 0;
}

static int is_workload(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

/* Every directory below that holds a recording, in order of name; or the directory itself. */
static int all(const struct options *o, json_t *rows, struct row *total)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/time_ns.i64", o->directory);
    if (access(path, R_OK) == 0)
        return one(o, o->directory, rows, total);
    struct dirent **names;
    int n = scandir(o->directory, &names, is_workload, alphasort), err = 0;
    if (n < 0) {
        log_error("cannot read %s: %s", o->directory, strerror(errno));
        return -errno;
    }
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/%s/time_ns.i64", o->directory, names[i]->d_name);
        bool recording = access(path, R_OK) == 0;
        snprintf(path, sizeof(path), "%s/%s", o->directory, names[i]->d_name);
        if (recording && err == 0)
            err = one(o, path, rows, total);
        free(names[i]);
    }
    free(names);
    if (err == 0 && json_array_size(rows) == 0) {
        log_error("there is no recording below %s: unpack servers.tar.zst there", o->directory);
        return -ENOENT;
    }
    return err;
}

static int run(int argc, char **argv)
{
    struct options o = {0};
    engine_options_default(&o.engine);
    o.engine.profile.ready_after_s = LEARN_S;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    json_t *rows = json_array();
    struct row total = {.workload = "all"};
    int err = all(&o, rows, &total);
    if (err == 0 && o.common.json) {
        json_t *j = json_pack("{ss ss sO}", "dataset", "servers", "protocol",
                              o.engine.profile.ready_after_s > 0 ? "learn by time" : "live rule",
                              "rows", rows);
        json_dumpf(j, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(j);
    } else if (err == 0) {
        printf("%-12s %7s %7.2f %7u %9u %6u %5u/%u\n", "all", "", total.hours, total.false_alerts,
               total.false_startup, total.held, total.found, total.attacks);
    }
    json_decref(rows);
    return err < 0 ? EXIT_FAILED : EXIT_OK;
}

extern const struct eval_dataset eval_servers;
const struct eval_dataset eval_servers = {
    .name = "servers",
    .summary = "Real servers in containers, live rules, attacks in the end",
    .run = run,
};
