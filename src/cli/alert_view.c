#include "cli/alert_view.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/look.h"
#include "cli/table.h"

#define DEPTH_MAX 24
#define CONTEXT_SHOWN 4 /* calls before the first strange one; the whole window is in --json */

struct view {
    FILE *out;
    unsigned width;
    const char *bold, *mark, *dim, *plain; /* terminal codes, or "" */
    double now;
};

static void print_escaped(struct view *v, const char *s)
{
    CLEANUP(freep) char *text = table_escape(s);
    fputs(text ? text : "", v->out);
}

static void title(struct view *v, const char *text)
{
    fprintf(v->out, "\n%s%s%s\n", v->bold, text, v->plain);
}

static void field(struct view *v, const char *name, const char *value)
{
    CLEANUP(freep) char *text = table_escape(value);
    if (text && *text)
        fprintf(v->out, "  %-11s%s\n", name, text);
}

static void head(struct view *v, const json_t *a)
{
    fprintf(v->out, "%sAlert %s%s  score %.0f of 99, %s%s%s%s%s%s\n", v->bold, look_text(a, "id"),
            v->plain, look_number(a, "score"), look_text(a, "state"),
            *look_text(a, "verdict") ? ": " : "", look_text(a, "verdict"),
            look_true(a, "provisional") ? ", provisional" : "",
            look_true(a, "held") ? ", held (start-up not learnt)" : "",
            look_true(a, "open") ? ", still going on" : "");
    fputs(v->mark, v->out);
    table_wrap(v->out, look_text(a, "headline"), 0, v->width);
    fprintf(v->out, "%s\n", v->plain);
}

static void where_and_when(struct view *v, const json_t *a)
{
    char first[WORDS_MAX], last[WORDS_MAX], ago[WORDS_MAX], took[WORDS_MAX], line[512];
    const json_t *c = json_object_get(a, "container");
    field(v, "Workload", look_text(a, "workload"));
    const char *name = look_text(c, "name"), *id = look_text(c, "id");
    if (*name && strcmp(name, id) != 0)
        snprintf(line, sizeof(line), "%.100s (%.12s)", name, id);
    else
        snprintf(line, sizeof(line), "%.100s", id);
    field(v, "Container", line);
    field(v, "Image", look_text(c, "image"));
    field(v, "Pod", look_text(c, "pod"));
    field(v, "Node", look_text(c, "node"));
    snprintf(line, sizeof(line), "%s (%s), last %s", words_time(look_number(a, "first"), first),
             words_ago(look_number(a, "first"), v->now, ago),
             words_clock(look_number(a, "last"), last));
    field(v, "First", line);
    snprintf(line, sizeof(line), "%s after the first strange call",
             words_duration(look_number(a, "latency_s"), took));
    field(v, "Raised", line);
    if (look_number(a, "replicas") > 1 || look_number(a, "repeats") > 0) {
        snprintf(line, sizeof(line), "in %.0f containers, came back %.0f times",
                 look_number(a, "replicas"), look_number(a, "repeats"));
        field(v, "Also", line);
    }
    field(v, "Follows", look_text(a, "linked"));
}

static void why(struct view *v, const json_t *a)
{
    const json_t *item;
    size_t i;
    title(v, "Why");
    json_array_foreach (json_object_get(a, "why"), i, item) {
        const char *s = json_string_value(item);
        table_wrap(v->out, s ? s : "", 2, v->width);
    }
    bool first = true;
    json_array_foreach (json_object_get(a, "detectors"), i, item) {
        if (look_number(item, "share") < .005)
            continue;
        fprintf(v->out, "%s%s %.0f %%", first ? "  Found by " : ", ", look_text(item, "name"),
                look_number(item, "share") * 100);
        first = false;
    }
    fputs(first ? "" : "\n", v->out);
}

static const json_t *process_by_id(const json_t *processes, const char *id)
{
    const json_t *p;
    size_t i;
    json_array_foreach (processes, i, p) {
        if (*id && strcmp(look_text(p, "id"), id) == 0)
            return p;
    }
    return NULL;
}

static void process_line(struct view *v, const json_t *p, const char *branch)
{
    const json_t *flag;
    size_t i;
    const bool strange = look_true(p, "strange");
    fprintf(v->out, "  %s %s%s", strange ? "!" : " ", branch, strange ? v->mark : "");
    print_escaped(v, *look_text(p, "program") ? look_text(p, "program") : "(unknown program)");
    fprintf(v->out, "%s %spid %.0f%s", v->plain, v->dim, look_number(p, "tgid"), v->plain);
    json_array_foreach (json_object_get(p, "flags"), i, flag)
        fprintf(v->out, " [%s]", json_string_value(flag) ? json_string_value(flag) : "");
    fputc('\n', v->out);
    if (*look_text(p, "arguments")) {
        CLEANUP(freep) char *text = table_escape(look_text(p, "arguments"));
        const unsigned indent = 6 + table_text_width(branch);
        const unsigned room = v->width > indent + 20 ? v->width - indent : 20;
        CLEANUP(freep) char *cut = text ? table_cut(text, room) : NULL;
        fprintf(v->out, "%*s%s%s%s\n", (int)indent, "", v->dim, cut ? cut : "", v->plain);
    }
}

static bool is_child(const json_t *processes, const json_t *p, const char *parent)
{
    const char *up = look_text(p, "parent");
    if (parent)
        return strcmp(up, parent) == 0 && strcmp(look_text(p, "id"), parent) != 0;
    return !process_by_id(processes, up) || strcmp(look_text(p, "id"), up) == 0;
}

/* Did it, or anything that it started, do what is strange? */
static bool leads_to_strange(const json_t *processes, const json_t *process, unsigned depth)
{
    const json_t *p;
    size_t i;
    if (look_true(process, "strange") || depth >= DEPTH_MAX)
        return look_true(process, "strange");
    json_array_foreach (processes, i, p) {
        if (is_child(processes, p, look_text(process, "id")) &&
            leads_to_strange(processes, p, depth + 1))
            return true;
    }
    return false;
}

/* Children of a process, or with parent NULL those whose parent is not listed; only what leads to
 * something strange. Loops in hostile data end at DEPTH_MAX. Returns how many it showed. */
static size_t process_tree(struct view *v, const json_t *processes, const char *parent,
                           unsigned depth)
{
    const json_t *p;
    size_t i, shown = 0;
    char branch[DEPTH_MAX * 3 + 8];
    if (depth >= DEPTH_MAX)
        return 0;
    snprintf(branch, sizeof(branch), "%*s%s", depth ? (int)(depth - 1) * 3 : 0, "",
             depth ? "└─ " : "");
    json_array_foreach (processes, i, p) {
        if (!is_child(processes, p, parent) || !leads_to_strange(processes, p, depth))
            continue;
        process_line(v, p, branch);
        shown += 1 + process_tree(v, processes, look_text(p, "id"), depth + 1);
    }
    return shown;
}

static void process_list(struct view *v, const json_t *processes)
{
    const size_t n = json_array_size(processes);
    if (n == 0)
        return;
    title(v, "Processes (! did what is strange)");
    size_t shown = process_tree(v, processes, NULL, 0);
    if (shown < n)
        fprintf(v->out, "    %s%s%zu that did nothing strange%s\n", v->dim, shown ? "and " : "",
                n - shown, v->plain);
}

static void novelties(struct view *v, const json_t *a)
{
    static const struct table_column columns[] = {
        {"  WHEN", false, 0}, {"KIND", false, 0}, {"WHAT", false, 20},
        {"BY", false, 12},    {"TIMES", true, 0},
    };
    CLEANUP(table_freep) struct table *t = NULL;
    const json_t *list = json_object_get(a, "novelties"), *n;
    size_t i;
    char when[WORDS_MAX];
    if (json_array_size(list) == 0 || table_new(columns, ARRAY_SIZE(columns), &t) < 0)
        return;
    title(v, "Never seen before in this workload");
    json_array_foreach (list, i, n) {
        table_cell(t, "  %s", words_clock(look_number(n, "time"), when));
        table_cell(t, "%s", look_text(n, "kind"));
        table_cell(t, "%s", look_text(n, "text"));
        table_cell(t, "%s", look_text(n, "program"));
        table_cell(t, "%.0f", look_number(n, "count"));
    }
    table_print(t, v->out, v->width);
}

static void call_line(struct view *v, const json_t *call)
{
    char line[1200];
    const bool strange = look_true(call, "strange"), context = look_true(call, "context");
    const char *meaning = look_text(call, "meaning"), *argument = look_text(call, "argument");
    snprintf(line, sizeof(line), "%-16s %-15s %.500s%s%.200s", look_text(call, "name"),
             look_text(call, "result"), argument, *argument && *meaning ? " - " : "", meaning);
    CLEANUP(freep) char *text = table_escape(line);
    CLEANUP(freep) char *cut = text ? table_cut(text, v->width - 4) : NULL;
    fprintf(v->out, "  %s%s %s%s\n",
            strange   ? v->mark
            : context ? v->dim
                      : "",
            strange ? "!" : " ", cut ? cut : "", v->plain);
}

static void expected(struct view *v, const json_t *sequence)
{
    const json_t *e;
    size_t i;
    const json_t *list = json_object_get(sequence, "expected");
    if (json_array_size(list) == 0)
        return;
    fputs("    Normally here:", v->out);
    json_array_foreach (list, i, e)
        fprintf(v->out, "%s %s (%.0f %%)", i ? "," : "", look_text(e, "name"),
                look_number(e, "share") * 100);
    fputc('\n', v->out);
}

/* Of a window only what is near its strange calls: the rest is said to be left out. */
static void calls(struct view *v, const json_t *list)
{
    const size_t n = json_array_size(list);
    size_t hidden = 0;
    for (size_t i = 0; i < n; i++) {
        bool near = false;
        for (size_t k = i > 1 ? i - 1 : 0; k < n && k <= i + CONTEXT_SHOWN && !near; k++)
            near = look_true(json_array_get(list, k), "strange");
        if (near && hidden)
            fprintf(v->out, "    %s... %zu ordinary calls ...%s\n", v->dim, hidden, v->plain);
        hidden = near ? 0 : hidden + 1;
        if (near)
            call_line(v, json_array_get(list, i));
    }
    if (hidden)
        fprintf(v->out, "    %s... %zu ordinary calls ...%s\n", v->dim, hidden, v->plain);
}

static void sequences(struct view *v, const json_t *a)
{
    const json_t *list = json_object_get(a, "sequences"), *s;
    size_t i;
    char when[WORDS_MAX];
    if (json_array_size(list) == 0)
        return;
    title(v, "Strange sequences (! marks the unusual calls)");
    json_array_foreach (list, i, s) {
        fprintf(v->out, "%s  %s%s ", i ? "\n" : "", v->bold,
                words_clock(look_number(s, "time"), when));
        print_escaped(v, look_text(s, "program"));
        fprintf(v->out, "%s, pid %.0f, found by %s\n", v->plain,
                strtod(look_text(s, "process"), NULL),
                look_text(s, "detector")); /* the id is "tgid-start": it may not be listed */
        table_wrap(v->out, look_text(s, "sentence"), 4, v->width);
        calls(v, json_object_get(s, "calls"));
        expected(v, s);
    }
}

static void history(struct view *v, const json_t *a)
{
    const json_t *list = json_object_get(a, "history"), *h;
    size_t i;
    char when[WORDS_MAX];
    if (json_array_size(list) == 0)
        return;
    title(v, "History");
    json_array_foreach (list, i, h) {
        char line[1200];
        snprintf(line, sizeof(line), "%s  %.100s: %.100s%s%.800s",
                 words_time(look_number(h, "time"), when), look_text(h, "who"),
                 look_text(h, "action"), *look_text(h, "note") ? " - " : "", look_text(h, "note"));
        table_wrap(v->out, line, 2, v->width);
    }
}

static void what_to_do(struct view *v, const json_t *a)
{
    const char *id = look_text(a, "id");
    title(v, "What to do");
    if (strcmp(look_text(a, "state"), "closed") == 0) {
        fprintf(v->out, "  Closed. To look again: vigia alerts --reopen %s\n", id);
        return;
    }
    if (strcmp(look_text(a, "state"), "new") == 0)
        fprintf(v->out, "  vigia alerts --acknowledge %s --note 'looking into it'\n", id);
    fprintf(v->out,
            "  vigia alerts --close %s --verdict incident       (it was an attack)\n"
            "  vigia alerts --close %s --verdict expected       (a change: learn it)\n"
            "  vigia alerts --close %s --verdict 'false alarm'  (normal: learn it)\n",
            id, id, id);
    CLEANUP(freep) char *workload = table_escape(look_text(a, "workload"));
    if (look_true(a, "held") && workload)
        fprintf(
            v->out,
            "  Until start-up is learnt every start teaches, this one too, whatever the verdict.\n"
            "  After an attack: vigia profiles --retire %s\n",
            workload);
}

void alert_view(FILE *out, const json_t *alert, double now, unsigned width)
{
    const bool colored = out == stdout && table_is_colored();
    struct view v = {.out = out,
                     .width = width ? width : table_width(),
                     .bold = colored ? "\033[1m" : "",
                     .mark = colored ? "\033[1;31m" : "",
                     .dim = colored ? "\033[2m" : "",
                     .plain = colored ? "\033[0m" : "",
                     .now = now};
    head(&v, alert);
    where_and_when(&v, alert);
    why(&v, alert);
    process_list(&v, json_object_get(alert, "processes"));
    novelties(&v, alert);
    sequences(&v, alert);
    history(&v, alert);
    what_to_do(&v, alert);
}
