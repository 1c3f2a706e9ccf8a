#include "cli/demo_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/demo_site.h"

static const char *text_of(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static double number_of(json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

bool demo_watch_live(struct store *s, double since)
{
    CLEANUP(json_decrefp) json_t *live = NULL;
    if (store_get(s, STORE_STATE, "live", &live, NULL, NULL))
        return false;
    return number_of(live, "time") >= since;
}

/* The workload is filed with the container; there may be several of that name, of earlier demos. */
static int workload_of(struct store *s, const char *container, char *ret, size_t size)
{
    CLEANUP(json_decrefp) json_t *found = NULL;
    const struct store_query q = {
        .kind = STORE_CONTAINER, .field = "name", .equals = container, .limit = 1};
    int r = store_find(s, &q, &found, NULL);
    if (r < 0)
        return r;
    json_t *one = json_array_get(found, 0);
    if (!one)
        return -ENOENT;
    snprintf(ret, size, "%s", text_of(one, "workload"));
    return 0;
}

int demo_watch_profile(struct store *s, const char *container, struct demo_profile *ret)
{
    CLEANUP(json_decrefp) json_t *profile = NULL;
    struct demo_profile p = {.reason = "its container has not been seen yet"};
    int r = workload_of(s, container, p.workload, sizeof(p.workload));
    if (r == 0)
        r = store_get(s, STORE_PROFILE, p.workload, &profile, NULL, NULL);
    if (r == 0) {
        json_t *steady = json_object_get(profile, "steady"),
               *startup = json_object_get(profile, "startup");
        bool steady_ready = !strcmp(text_of(steady, "state"), "ready");
        p.ready = steady_ready && !strcmp(text_of(startup, "state"), "ready");
        p.progress = number_of(steady, "progress");
        snprintf(p.reason, sizeof(p.reason), "%s",
                 text_of(steady_ready ? startup : steady, "reason"));
    } else if (r != -ENOENT) {
        return r;
    }
    *ret = p;
    return 0;
}

bool demo_watch_is_of(json_t *alert, const char *container)
{
    return !strcmp(text_of(json_object_get(alert, "container"), "name"), container);
}

int demo_watch_alerts(struct store *s, double since, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *all = NULL, *ours = json_array();
    json_t *alert;
    const struct store_query q = {.kind = STORE_ALERT, .limit = 1000, .oldest_first = true};
    size_t i;
    int r = ours ? store_find(s, &q, &all, NULL) : -ENOMEM;
    if (r < 0)
        return r;
    json_array_foreach (all, i, alert) {
        bool is_ours = demo_watch_is_of(alert, DEMO_WEB) || demo_watch_is_of(alert, DEMO_REDIS);
        if (is_ours && !json_is_true(json_object_get(alert, "held")) &&
            number_of(alert, "last") >= since)
            json_array_append(ours, alert);
    }
    *ret = TAKE(ours);
    return 0;
}

static json_t *process_of(json_t *alert, const char *id)
{
    json_t *process;
    size_t i;
    json_array_foreach (json_object_get(alert, "processes"), i, process)
        if (!strcmp(text_of(process, "id"), id))
            return process;
    return NULL;
}

static bool is_attack(json_t *alert, const char *id, const struct demo_attack *a)
{
    for (int depth = 0; depth < 64 && *id; depth++) {
        pid_t tgid = (pid_t)strtol(id, NULL, 10);
        for (uint32_t i = 0; i < a->n_processes; i++)
            if (a->processes[i] == tgid)
                return true;
        json_t *process = process_of(alert, id);
        id = process ? text_of(process, "parent") : "";
    }
    return false;
}

void demo_watch_marked(json_t *alert, const struct demo_attack *a, double since,
                       unsigned *ret_marked, unsigned *ret_attack)
{
    json_t *sequence, *call;
    size_t i, j;
    unsigned marked = 0, attack = 0;
    json_array_foreach (json_object_get(alert, "sequences"), i, sequence) {
        if (number_of(sequence, "time") < since)
            continue;
        bool its = is_attack(alert, text_of(sequence, "process"), a);
        json_array_foreach (json_object_get(sequence, "calls"), j, call) {
            bool strange = json_is_true(json_object_get(call, "strange"));
            marked += strange;
            attack += strange && its;
        }
    }
    *ret_marked = marked;
    *ret_attack = attack;
}
