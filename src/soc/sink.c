#include "soc/sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "soc/json.h"

extern const struct sink_ops sink_file, sink_syslog, sink_webhook;

const struct sink_ops *const sink_table[] = {&sink_file, &sink_syslog, &sink_webhook, NULL};

const struct sink_ops *sink_find(const char *type)
{
    for (const struct sink_ops *const *s = sink_table; *s; s++) {
        if (strcmp((*s)->name, type) == 0)
            return *s;
    }
    return NULL;
}

const char *sink_name(const struct sink_options *options)
{
    return options->name && options->name[0] ? options->name : options->type;
}

static bool name_is_valid(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= SINK_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               size;
}

static int check_one(const struct sink_options *sinks, uint32_t i)
{
    const struct sink_options *o = &sinks[i];
    const struct sink_ops *ops = o->type ? sink_find(o->type) : NULL;
    char reason[SINK_REASON] = "";
    if (!ops) {
        log_error("sink %u: type \"%s\" is none of file, syslog, webhook", i + 1,
                  o->type ? o->type : "");
        return -EINVAL;
    }
    if (!name_is_valid(sink_name(o))) {
        log_error("sink %u: a name has 1 to %d letters, digits, -, _ and .", i + 1, SINK_NAME_MAX);
        return -EINVAL;
    }
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(sink_name(&sinks[j]), sink_name(o)) == 0) {
            log_error("sinks %u and %u are both called \"%s\": give them a name each", j + 1, i + 1,
                      sink_name(o));
            return -EINVAL;
        }
    }
    int r = ops->check(o, reason);
    if (r < 0)
        log_error("sink \"%s\": %s", sink_name(o), reason);
    return r;
}

int sinks_check(const struct sink_options *sinks, uint32_t n)
{
    if (n > SINKS_MAX) {
        log_error("there are %u sinks; at most %d are possible", n, SINKS_MAX);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < n; i++) {
        int r = check_one(sinks, i);
        if (r < 0)
            return r;
    }
    return 0;
}

char *sink_body(const struct sink_delivery *delivery)
{
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:s, s:f, s:b, s:O}", "delivery", delivery->id, "time",
                             delivery->time, "test", delivery->test, "alert", delivery->alert);
    return body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
}

/* ---- the test alert ---- */

static json_t *test_alert(double now)
{
    return json_pack("{s:s, s:s, s:n, s:i, s:b, s:b, s:b, s:s, s:f, s:f, s:f, s:s, s:s, "
                     "s:{s:s, s:s, s:s, s:s, s:s}, s:[s]}",
                     "id", "test", "state", "new", "verdict", "score", 50, "provisional", 0, "held",
                     0, "open", 0, "phase", "steady", "first", now, "last", now, "raised", now,
                     "workload", "vigia/test", "headline",
                     "This is a test of Vigia's alert delivery; nothing happened", "container",
                     "key", "", "id", "", "name", "test", "image", "", "node", "", "why",
                     "somebody asked for a test alert");
}

struct trial {
    const struct sink_options *options;
    const json_t *alert; /* borrowed, and not changed meanwhile */
    double now;
    pthread_t thread;
    bool running;
    json_t *result;
};

static void *try_one(void *argument)
{
    struct trial *t = argument;
    const struct sink_options *o = t->options;
    const struct sink_ops *ops = sink_find(o->type);
    struct sink_result result = {.outcome = SINK_RETRY};
    uint64_t begin_ns = clock_mono_ns();
    void *sink;
    char id[SINK_NAME_MAX + 64];
    snprintf(id, sizeof(id), "%s/test/%.0f", sink_name(o), t->now * 1e6);
    CLEANUP(json_decrefp) json_t *alert = json_deep_copy(t->alert); /* counts are not atomic */
    struct sink_delivery delivery = {.id = id, .time = t->now, .test = true, .alert = alert};
    int r = alert ? ops->open(o, &sink) : -ENOMEM;
    if (r == 0) {
        ops->send(sink, &delivery, &result);
        ops->close(sink);
    } else {
        snprintf(result.reason, sizeof(result.reason), "cannot be opened: %s", strerror(-r));
    }
    bool ok = result.outcome == SINK_SENT;
    t->result = json_pack("{s:s, s:s, s:b, s:o, s:f}", "name", sink_name(o), "type", o->type, "ok",
                          (int)ok, "message", json_text(ok ? "delivered" : result.reason), "took_s",
                          (double)(clock_mono_ns() - begin_ns) / NS_PER_S);
    return NULL;
}

/* All at a time: together they take as long as the slowest. */
int sinks_test(const struct sink_options *sinks, uint32_t n, json_t **ret)
{
    struct trial trials[SINKS_MAX];
    double now = (double)clock_wall_ns() / NS_PER_S;
    int r = sinks_check(sinks, n);
    if (r < 0)
        return r;
    CLEANUP(json_decrefp) json_t *alert = test_alert(now);
    CLEANUP(json_decrefp) json_t *list = json_array();
    if (!alert || !list)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        trials[i] = (struct trial){.options = &sinks[i], .alert = alert, .now = now};
        trials[i].running = pthread_create(&trials[i].thread, NULL, try_one, &trials[i]) == 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (trials[i].running)
            pthread_join(trials[i].thread, NULL);
        if (json_array_append_new(list, trials[i].result) < 0)
            r = -ENOMEM;
    }
    if (r < 0)
        return r;
    *ret = TAKE(list);
    return 0;
}
