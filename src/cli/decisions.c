#include "cli/decisions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "soc/decision.h"

struct decisions {
    struct store *store;
    struct engine *engine;
    json_t *suppressions; /* that the engine has, {id: document} */
};

static enum verdict verdict_parse(const char *name)
{
    static const char *const names[] = {[VERDICT_FALSE_ALARM] = "false alarm",
                                        [VERDICT_EXPECTED] = "expected",
                                        [VERDICT_INCIDENT] = "incident"};
    for (int v = VERDICT_FALSE_ALARM; name && v <= VERDICT_INCIDENT; v++) {
        if (strcmp(name, names[v]) == 0)
            return v;
    }
    return VERDICT_NONE;
}

static const char *text(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "";
}

static void suppress(struct decisions *d, const char *id, json_t *body)
{
    struct engine_suppression s = {
        .id = id,
        .workload = text(body, "workload"),
        .author = text(body, "author"),
        .key = strtoull(text(body, "evidence"), NULL, 16),
        .expires = json_number_value(json_object_get(body, "expires")),
    };
    int r = engine_suppress(d->engine, &s);
    if (r < 0)
        log_error("cannot apply the suppression %s: %s", id, strerror(-r));
}

/* Takes now, {id: document}, over in place of those before; returns how many differ. */
static uint32_t replace_suppressions(struct decisions *d, json_t *now)
{
    uint32_t n = 0;
    const char *id;
    json_t *row;
    json_object_foreach (now, id, row) {
        if (json_equal(row, json_object_get(d->suppressions, id)))
            continue;
        suppress(d, id, row);
        n++;
    }
    json_object_foreach (d->suppressions, id, row) {
        if (json_object_get(now, id))
            continue;
        engine_unsuppress(d->engine, id);
        n++;
    }
    json_decref(d->suppressions);
    d->suppressions = now;
    return n;
}

uint32_t decisions_suppress(struct decisions *d)
{
    struct store_query query = {.kind = STORE_SUPPRESSION, .limit = 10000};
    json_t *rows = NULL, *row;
    size_t i;
    if (store_find(d->store, &query, &rows, NULL) < 0)
        return 0;
    json_t *now = json_object();
    json_array_foreach (rows, i, row)
        json_object_set(now, text(row, "key"), row);
    json_decref(rows);
    return replace_suppressions(d, now);
}

json_t *decisions_suppressions(const struct decisions *d)
{
    return d->suppressions;
}

int decisions_new(struct store *store, struct engine *engine, const json_t *suppressions,
                  struct decisions **ret)
{
    struct decisions *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->store = store;
    d->engine = engine;
    d->suppressions = json_object();
    if (suppressions)
        replace_suppressions(d, json_deep_copy(suppressions));
    else
        decisions_suppress(d);
    *ret = d;
    return 0;
}

void decisions_free(struct decisions *d)
{
    json_decref(d->suppressions);
    free(d);
}

static void apply_verdict(struct decisions *d, const json_t *row)
{
    const char *id = text(row, "alert");
    int r = engine_verdict(d->engine, id, verdict_parse(text(row, "verdict")));
    if (r == -ENOENT)
        log_info("the verdict on alert %s teaches nothing: its windows are no longer kept", id);
    else if (r < 0)
        log_error("cannot apply the verdict on alert %s: %s", id, strerror(-r));
}

static void apply_retirement(struct decisions *d, const json_t *row)
{
    const char *workload = text(row, "workload");
    int r = engine_profile_reset(d->engine, workload);
    if (r == 0)
        log_info("%s is learnt anew, as %s asked for", workload, text(row, "who"));
    else if (r != -ENOENT)
        log_error("cannot retire the profile of %s: %s", workload, strerror(-r));
}

static uint32_t apply_words(struct decisions *d, const char *prefix,
                            void (*apply)(struct decisions *, const json_t *), struct batch *ret)
{
    struct store_query query = {.kind = STORE_STATE, .prefix = prefix, .limit = 1000};
    json_t *rows = NULL, *row;
    size_t i;
    if (store_find(d->store, &query, &rows, NULL) < 0)
        return 0;
    json_array_foreach (rows, i, row) {
        apply(d, row);
        batch_removal(ret, STORE_STATE, text(row, "key"),
                      json_number_value(json_object_get(row, "time")));
    }
    uint32_t n = (uint32_t)json_array_size(rows);
    json_decref(rows);
    return n;
}

uint32_t decisions_apply(struct decisions *d, struct batch *ret)
{
    return decisions_suppress(d) + apply_words(d, DECISION_VERDICT, apply_verdict, ret) +
           apply_words(d, DECISION_RETIRE, apply_retirement, ret);
}
