#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detect/profile.h"
#include "event/syscall.h"
#include "soc/server.h"

const struct field workload_query[] = {
    {"key", FIELD_STRING, true, 1, 1024, NULL},
    {0},
};

const struct field series_query[] = {
    {"key", FIELD_STRING, true, 1, 1024, NULL},
    {"from", FIELD_NUMBER, false, 0, 1e11, NULL},
    {"until", FIELD_NUMBER, false, 0, 1e11, NULL},
    {0},
};

#define HOUR_S 3600.0
#define SECONDS_MAX 200 /* near the threshold, in one reply */
static const char *const channel_names[STORE_CHANNELS] = {"novelty", "sequence", "frequency"};

int api_workloads(struct request *q)
{
    json_t *rows;
    struct store_query query = {.kind = STORE_PROFILE, .limit = 2000};
    int r = find_documents(q, &query, "workload", true, &rows, NULL);
    return r < 0 ? r : reply_json(q, 200, json_pack("{s:o}", "workloads", rows));
}

static json_t *share_entry(const struct store_share *s, bool errors)
{
    char id[24];
    snprintf(id, sizeof(id), "#%016" PRIx64, s->program);
    json_t *entry = json_pack("{s:o, s:s, s:I, s:I, s:f}", "program",
                              json_text(s->program_text ? s->program_text : id), "syscall",
                              syscall_name(s->sysno), "calls", (json_int_t)s->calls, "errors",
                              (json_int_t)s->errors, "share", s->share);
    if (entry && errors)
        json_object_del(entry, "calls");
    return entry;
}

static int shares(struct request *q, const char *workload, double from, bool errors, json_t **ret)
{
    struct store_rows rows = {0};
    struct store_selection selection = {
        .workload = workload, .from = from, .limit = 30, .errors_only = errors};
    int r = store_shares(q->store, &selection, &rows);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (uint32_t i = 0; i < rows.n; i++)
        json_array_append_new(list, share_entry(&rows.shares[i], errors));
    store_rows_done(&rows);
    *ret = list;
    return 0;
}

/* "Now" of a workload: of a replayed recording it lies in the past. */
static double workload_now(const struct request *q, const json_t *profile)
{
    double updated = json_get_number(profile, "updated", q->now);
    return fmin(updated, q->now);
}

int api_workload(struct request *q)
{
    const char *workload = query_string(q, "key");
    CLEANUP(json_decrefp) json_t *profile = NULL, *alerts = NULL, *containers = NULL;
    CLEANUP(json_decrefp) json_t *calls = NULL, *errors = NULL;
    struct store_query recent = {
        .kind = STORE_ALERT, .field = "workload", .equals = workload, .limit = 10};
    struct store_query members = {
        .kind = STORE_CONTAINER, .field = "workload", .equals = workload, .limit = 200};
    int r = store_get(q->store, STORE_PROFILE, workload, &profile, NULL, NULL);
    if (r < 0)
        return r;
    double from = workload_now(q, profile) - HOUR_S;
    r = find_alerts(q, &recent, &alerts, NULL);
    if (r == 0)
        r = find_documents(q, &members, "key", true, &containers, NULL);
    if (r == 0)
        r = shares(q, workload, from, false, &calls);
    if (r == 0)
        r = shares(q, workload, from, true, &errors);
    if (r < 0)
        return r;
    json_object_set(profile, "workload", json_object_get(profile, "key"));
    json_object_del(profile, "key");
    json_object_del(profile, "time");
    json_object_set(profile, "shares", calls);
    json_object_set(profile, "errors", errors);
    json_object_set(profile, "containers_list", containers);
    json_object_set(profile, "recent_alerts", alerts);
    return reply_json(q, 200, TAKE(profile));
}

static json_t *real_or_null(float v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static json_t *points(const struct store_rows *rows, float threshold[STORE_CHANNELS])
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < rows->n; i++) {
        const struct store_point *p = &rows->points[i];
        json_t *point = json_pack("{s:f, s:I, s:I}", "time", p->time, "calls", (json_int_t)p->calls,
                                  "errors", (json_int_t)p->errors);
        for (int c = 0; c < STORE_CHANNELS; c++) {
            json_object_set_new(point, channel_names[c], real_or_null(p->score[c]));
            if (!isnan(p->threshold[c]))
                threshold[c] = p->threshold[c];
        }
        json_array_append_new(list, point);
    }
    return list;
}

/* The threshold in force on the scale of the scores: of the last one kept, else 1 where the profile
 * has one (its own is in the unit of its strongest detector). */
static json_t *thresholds(const json_t *profile, const float last[STORE_CHANNELS])
{
    const json_t *of_profile = json_object_get(profile, "thresholds");
    json_t *object = json_object();
    for (int c = 0; c < STORE_CHANNELS; c++) {
        json_t *v = json_object_get(of_profile, channel_names[c]);
        json_object_set_new(object, channel_names[c],
                            !isnan(last[c])     ? json_real(last[c])
                            : json_is_number(v) ? json_real(1)
                                                : json_null());
    }
    return object;
}

/* The newest seconds that came near the threshold, and why. */
static int strange_seconds(struct request *q, const struct store_selection *selection, json_t **ret)
{
    struct store_selection newest = *selection;
    newest.limit = SECONDS_MAX;
    newest.explained = true;
    struct store_rows rows = {0};
    int r = store_scores(q->store, &newest, &rows);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (uint32_t i = 0; i < rows.n; i++) {
        const struct store_score *s = &rows.scores[i];
        char container[STORE_KEY_MAX];
        store_container_key(s->capture, s->container, container);
        json_array_append_new(
            list, json_pack("{s:f, s:f, s:s, s:s, s:s, s:s, s:I, s:o}", "time", s->time, "score",
                            s->value, "channel", channel_names[s->channel % STORE_CHANNELS],
                            "phase", s->phase == PHASE_STARTUP ? "startup" : "steady", "container",
                            container, "detector", s->detector ? s->detector : "", "version",
                            (json_int_t)s->model_version, "why", json_text(s->evidence)));
    }
    store_rows_done(&rows);
    *ret = list;
    return 0;
}

int api_workload_series(struct request *q)
{
    CLEANUP(json_decrefp) json_t *profile = NULL, *seconds = NULL;
    float last[STORE_CHANNELS] = {NAN, NAN, NAN};
    struct store_rows rows = {0};
    struct store_selection selection = {.workload = query_string(q, "key")};
    int r = store_get(q->store, STORE_PROFILE, selection.workload, &profile, NULL, NULL);
    if (r < 0)
        return r;
    double until = query_number(q, "until", 0);
    selection.until = until;
    selection.from =
        query_number(q, "from", (until > 0 ? until : workload_now(q, profile)) - HOUR_S);
    if (until > 0 && until <= selection.from)
        return reply_error(q, 400, "bad_query", "\"until\" must be after \"from\"");
    r = strange_seconds(q, &selection, &seconds);
    if (r == 0)
        r = store_series(q->store, &selection, &rows);
    if (r < 0)
        return r;
    json_t *list = points(&rows, last);
    json_t *reply = json_pack("{s:f, s:o, s:o, s:O}", "step_s", rows.step_s, "threshold",
                              thresholds(profile, last), "points", list, "strange", seconds);
    store_rows_done(&rows);
    return reply_json(q, 200, reply);
}
