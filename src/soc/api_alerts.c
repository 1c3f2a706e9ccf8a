#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "soc/audit.h"
#include "soc/decision.h"
#include "soc/server.h"

static const char *const states[] = {"new", "acknowledged", "closed", NULL};
static const char *const sorts[] = {"first", "last", "score", NULL};
static const char *const verdicts[] = {"false alarm", "expected", "incident", NULL};

const struct field alerts_query[] = {
    {"state", FIELD_STRING, false, 0, 0, states},
    {"workload", FIELD_STRING, false, 1, 1024, NULL},
    {"q", FIELD_STRING, false, 1, 200, NULL},
    {"from", FIELD_NUMBER, false, 0, 1e11, NULL},
    {"until", FIELD_NUMBER, false, 0, 1e11, NULL},
    {"held", FIELD_BOOL, false, 0, 0, NULL},
    {"sort", FIELD_STRING, false, 0, 0, sorts},
    {"limit", FIELD_INTEGER, false, 1, 500, NULL},
    {"offset", FIELD_INTEGER, false, 0, 1e9, NULL},
    {0},
};

const struct field alert_body[] = {
    {"state", FIELD_STRING, false, 0, 0, states},
    {"verdict", FIELD_STRING, false, 0, 0, verdicts},
    {"note", FIELD_STRING, false, 0, 4000, NULL},
    {0},
};

const struct field suppression_body[] = {
    {"workload", FIELD_STRING, true, 1, 1024, NULL},
    {"key", FIELD_STRING, true, 1, 16, NULL},
    {"expires", FIELD_NUMBER, true, 0, 1e11, NULL},
    {"reason", FIELD_STRING, true, 1, 1000, NULL},
    {0},
};

/* What lists have of an alert. */
static json_t *summary(json_t *alert)
{
    static const char *const members[] = {
        "id",   "state", "verdict",  "score",     "provisional", "held",     "phase",   "first",
        "last", "open",  "workload", "container", "headline",    "replicas", "repeats",
    };
    json_t *s = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        json_t *v = json_object_get(alert, members[i]);
        json_object_set_new(s, members[i], v ? json_incref(v) : json_null());
    }
    return s;
}

int find_alerts(struct request *q, const struct store_query *query, json_t **ret,
                uint64_t *ret_total)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    CLEANUP(json_decrefp) json_t *list = json_array();
    json_t *row;
    size_t i;
    struct store_query brief = *query;
    brief.brief = true;
    int r = find_documents(q, &brief, "id", true, &rows, ret_total);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row) {
        if (json_array_append_new(list, summary(row)) < 0)
            return -ENOMEM;
    }
    *ret = TAKE(list);
    return 0;
}

int api_alerts(struct request *q)
{
    const json_t *held = json_object_get(q->query, "held");
    const struct {
        const char *field, *equals;
    } filters[] = {
        {"state", query_string(q, "state")},
        {"workload", query_string(q, "workload")},
        {"held", held ? (json_is_true(held) ? "true" : "false") : NULL},
    };
    struct store_query query = {
        .kind = STORE_ALERT,
        .text = query_string(q, "q"),
        .from = query_number(q, "from", 0),
        .until = query_number(q, "until", 0),
        .sort = query_string(q, "sort"),
        .limit = (uint32_t)query_number(q, "limit", 100),
        .offset = (uint32_t)query_number(q, "offset", 0),
    };
    json_t *list;
    uint64_t total;
    for (size_t i = 0, n = 0; i < ARRAY_SIZE(filters); i++) {
        if (!filters[i].equals)
            continue;
        query.where[n].field = filters[i].field;
        query.where[n++].equals = filters[i].equals;
    }
    int r = find_alerts(q, &query, &list, &total);
    return r < 0 ? r
                 : reply_json(q, 200,
                              json_pack("{s:o, s:I}", "alerts", list, "total", (json_int_t)total));
}

static int get_alert(struct request *q, struct store *s, json_t **ret)
{
    json_t *alert;
    int r = store_get(s, STORE_ALERT, q->id, &alert, NULL, NULL);
    if (r < 0)
        return r;
    json_object_set(alert, "id", json_object_get(alert, "key"));
    json_object_del(alert, "key");
    json_object_del(alert, "time");
    *ret = alert;
    return 0;
}

int api_alert(struct request *q)
{
    json_t *alert;
    int r = get_alert(q, q->store, &alert);
    return r < 0 ? r : reply_json(q, 200, alert);
}

/* What the alert becomes: a closed one has a verdict, one taken up again has none. false: it may
 * not become that, and the reply says why. */
static bool changed(struct request *q, const json_t *alert, struct alert_decision *ret)
{
    const char *state = json_get_string(q->body, "state", NULL);
    const char *verdict = json_get_string(q->body, "verdict", NULL);
    const char *note = json_get_string(q->body, "note", "");
    if (!state && !verdict && !note[0]) {
        reply_error(q, 400, "bad_request", "give state, verdict or note");
        return false;
    }
    if (verdict && !state)
        state = "closed";
    if (state && !verdict && strcmp(state, "closed") == 0)
        verdict = json_get_string(alert, "verdict", NULL);
    if (state && (strcmp(state, "closed") == 0) != (verdict != NULL)) {
        reply_error(q, 400, "bad_request",
                    verdict ? "a verdict closes the alert: leave state out, or \"closed\""
                            : "to close an alert, give its verdict: \"false alarm\", \"expected\" "
                              "or \"incident\"");
        return false;
    }
    *ret = (struct alert_decision){.state = state,
                                   .verdict = verdict,
                                   .note = note,
                                   .who = q->user.name,
                                   .address = q->address,
                                   .now = q->now};
    return true;
}

int api_alert_change(struct request *q)
{
    CLEANUP(json_decrefp) json_t *alert = NULL;
    struct alert_decision change;
    json_t *after;
    int r = get_alert(q, q->http->writer, &alert);
    if (r < 0)
        return r;
    if (!changed(q, alert, &change))
        return 0;
    r = alert_decide(q->http->writer, q->id, &change);
    if (r == 0)
        r = get_alert(q, q->http->writer, &after);
    return r < 0 ? r : reply_json(q, 200, after);
}

/* A document's "key" is its own: the evidence key is stored as "evidence". */
static void suppression_public(json_t *body)
{
    json_object_set(body, "key", json_object_get(body, "evidence"));
    json_object_del(body, "evidence");
}

int api_suppressions(struct request *q)
{
    json_t *rows;
    struct store_query query = {.kind = STORE_SUPPRESSION, .limit = 10000};
    int r = find_documents(q, &query, "id", true, &rows, NULL);
    if (r < 0)
        return r;
    json_t *row;
    size_t i;
    json_array_foreach (rows, i, row)
        suppression_public(row);
    return reply_json(q, 200, json_pack("{s:o}", "suppressions", rows));
}

/* 16 hex digits; "0" stands for everything of the workload (maintenance). */
static bool key_parse(const char *text, char ret[17])
{
    uint64_t v;
    if (strspn(text, "0123456789abcdefABCDEF") != strlen(text))
        return false;
    v = strtoull(text, NULL, 16);
    snprintf(ret, 17, "%016" PRIx64, v);
    return true;
}

int api_suppression_add(struct request *q)
{
    char key[17], id[17];
    uint64_t random;
    double expires = json_get_number(q->body, "expires", 0);
    const char *workload = json_get_string(q->body, "workload", "");
    const char *reason = json_get_string(q->body, "reason", "");
    if (!key_parse(json_get_string(q->body, "key", ""), key))
        return reply_error(q, 400, "bad_request",
                           "\"key\" is up to 16 hex digits, from \"keys\" of an alert; 0: all");
    if (expires != 0 && expires <= q->now)
        return reply_error(q, 400, "bad_request",
                           "\"expires\" is in the past; give wall seconds, 0 for never");
    randombytes_buf(&random, sizeof(random));
    snprintf(id, sizeof(id), "%016" PRIx64, random);
    CLEANUP(json_decrefp)
    json_t *body =
        json_pack("{s:s, s:s, s:f, s:s, s:s, s:f}", "workload", workload, "evidence", key,
                  "expires", expires, "reason", reason, "author", q->user.name, "created", q->now);
    if (!body)
        return -ENOMEM;
    struct store_document document = {
        .kind = STORE_SUPPRESSION, .key = id, .time = q->now, .body = body};
    char detail[1200];
    snprintf(detail, sizeof(detail), "%s %s: %s", workload, key, reason);
    int r = audit_commit(
        q->http->writer, &document, 1,
        audit_entry(q->now, q->user.name, q->address, "suppression added", id, detail));
    if (r < 0)
        return r;
    suppression_public(body);
    json_object_set_new(body, "id", json_string(id));
    return reply_json(q, 201, TAKE(body));
}

int api_suppression_remove(struct request *q)
{
    CLEANUP(json_decrefp) json_t *there = NULL;
    int r = store_get(q->http->writer, STORE_SUPPRESSION, q->id, &there, NULL, NULL);
    if (r < 0)
        return r;
    struct store_document document = {.kind = STORE_SUPPRESSION, .key = q->id, .removed = true};
    r = audit_commit(q->http->writer, &document, 1,
                     audit_entry(q->now, q->user.name, q->address, "suppression removed", q->id,
                                 json_get_string(there, "workload", "")));
    return r < 0 ? r : reply_json(q, 200, json_object());
}

int api_sinks_test(struct request *q)
{
    json_t *results;
    int r = sinks_test(q->http->options.sinks, q->http->options.n_sinks, &results);
    if (r == 0)
        r = audit_commit(q->http->writer, NULL, 0,
                         audit_entry(q->now, q->user.name, q->address, "sinks tested", "", ""));
    return r < 0 ? r : reply_json(q, 200, json_pack("{s:o}", "sinks", results));
}
