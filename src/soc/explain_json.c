/* Alerts, profiles and containers as JSON: names, not numbers. Strings from outside may hold any
 * bytes: soc/json.h makes them UTF-8. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "soc/explain.h"
#include "soc/json.h"

static const char *const channel_names[CHANNELS] = {"novelty", "sequence", "frequency"};
static const char *const kind_names[EVIDENCE_KINDS] = {"sequence", "program",  "edge", "pair",
                                                       "errno",    "argument", "rate"};

static json_t *text_or_null(const char *s)
{
    return s && *s ? json_text(s) : json_null();
}

static json_t *process_id(uint32_t tgid, uint64_t start_ns)
{
    char id[40];
    snprintf(id, sizeof(id), "%" PRIu32 "-%" PRIu64, tgid, start_ns);
    return tgid ? json_string(id) : json_null();
}

static json_t *hex_json(uint64_t v)
{
    char hex[20];
    snprintf(hex, sizeof(hex), "%016" PRIx64, v);
    return json_string(hex);
}

static json_t *flags_json(uint8_t flags)
{
    static const char *const names[] = {"memfd", "deleted", "not from image", "joined", "session"};
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (flags & 1u << i)
            json_array_append_new(list, json_string(names[i]));
    }
    return list;
}

static json_t *processes_json(const struct alert *a)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < a->n_processes; i++) {
        const struct alert_process *p = &a->processes[i];
        json_array_append_new(
            list, json_pack("{so so si so so sf sf sb so}", "id", process_id(p->tgid, p->start_ns),
                            "parent", process_id(p->parent_tgid, p->parent_start_ns), "tgid",
                            (int)p->tgid, "program", json_text(p->program), "arguments",
                            json_text(p->arguments), "first", p->first, "last", p->last, "strange",
                            (int)p->strange, "flags", flags_json(p->flags)));
    }
    return list;
}

static json_t *result_json(const struct alert_call *c)
{
    char text[32];
    if (c->context)
        return json_string("");
    if (ret_is_error(c->ret)) {
        int error = ret_errno(c->ret);
        return json_string(error > 0 ? errno_name(error) : "error");
    }
    if (c->ret == 0 || c->ret == RET_ASYNC)
        return json_string("ok");
    if (c->ret == RET_NEVER)
        return json_string("did not return");
    if (c->ret < 128)
        snprintf(text, sizeof(text), "%u", c->ret);
    else
        snprintf(text, sizeof(text), "about %llu", 1ull << MIN(c->ret - 128, 63));
    return json_string(text);
}

static json_t *calls_json(const struct alert_sequence *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->n_calls; i++) {
        const struct alert_call *c = &s->calls[i];
        json_array_append_new(
            list, json_pack("{so so so sb sb so}", "name", json_text(syscall_name(c->sysno)),
                            "result", result_json(c), "argument",
                            c->argument ? json_text(c->argument) : json_null(), "context",
                            (int)c->context, "strange", (int)c->strange, "meaning",
                            text_or_null(syscall_meaning(c->sysno))));
    }
    return list;
}

static json_t *sequences_json(const struct alert *a)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < a->n_sequences; i++) {
        const struct alert_sequence *s = &a->sequences[i];
        CLEANUP(freep) char *sentence = explain_sequence(a, s);
        json_t *expected = json_array();
        for (unsigned k = 0; k < s->n_expected; k++)
            json_array_append_new(expected, json_pack("{so sf}", "name",
                                                      json_text(syscall_name(s->expected[k].sysno)),
                                                      "share", (double)s->expected[k].share));
        json_array_append_new(list, json_pack("{sf so so ss sf so so so so}", "time", s->time,
                                              "process", process_id(s->tgid, s->start_ns),
                                              "program", json_text(s->program), "detector",
                                              s->detector, "value", s->value, "sentence",
                                              json_text(sentence), "calls", calls_json(s),
                                              "expected", expected, "key", hex_json(s->key)));
    }
    return list;
}

static json_t *novelties_json(const struct alert *a)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < a->n_novelties; i++) {
        const struct alert_novelty *n = &a->novelties[i];
        json_array_append_new(
            list, json_pack("{ss sf so so so so si so}", "kind",
                            kind_names[n->kind % EVIDENCE_KINDS], "time", n->time, "program",
                            json_text(n->program), "text", json_text(n->text), "sentence",
                            json_text(n->sentence), "process", process_id(n->tgid, n->start_ns),
                            "count", (int)n->count, "key", hex_json(n->key)));
    }
    return list;
}

static json_t *channels_json(const struct alert *a)
{
    json_t *list = json_array();
    for (int c = 0; c < CHANNELS; c++) {
        const struct alert_channel *x = &a->channels[c];
        json_array_append_new(list, json_pack("{ss sf sf sf sb}", "channel", channel_names[c],
                                              "peak", x->peak, "threshold", x->threshold, "share",
                                              x->share, "over", (int)x->over));
    }
    return list;
}

/* At most five different sentences, the headline left out. */
static json_t *why_json(const struct alert *a, const char *headline)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < a->n_novelties && json_array_size(list) < 4; i++) {
        if (a->novelties[i].sentence && (!headline || !strstr(headline, a->novelties[i].sentence)))
            json_array_append_new(list, json_text(a->novelties[i].sentence));
    }
    const struct alert_sequence *best = NULL;
    for (uint32_t i = 0; i < a->n_sequences; i++) {
        if (!best || a->sequences[i].value > best->value)
            best = &a->sequences[i];
    }
    CLEANUP(freep) char *sentence = best ? explain_sequence(a, best) : NULL;
    if (sentence)
        json_array_append_new(list, json_text(sentence));
    char text[160];
    for (int c = 0; c < CHANNELS; c++) {
        if (!a->channels[c].over || c == CHANNEL_NOVELTY)
            continue;
        snprintf(text, sizeof(text), "%s at %.1f times the threshold learnt for this workload",
                 c == CHANNEL_SEQUENCE ? "order of calls" : "rates of calls", a->channels[c].peak);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

json_t *explain_container(const struct container *c, uint64_t capture, const char *node)
{
    char key[40];
    snprintf(key, sizeof(key), "%016" PRIx64 "-%" PRIx32, capture, c->number);
    return json_pack("{ss so so so so so so}", "key", key, "id", json_text(c->id), "name",
                     json_text(c->name), "image", json_text(c->image), "namespace",
                     json_text(c->namespace_), "pod", json_text(c->pod), "node", json_text(node));
}

static void put(json_t *j, const char *key, json_t *value)
{
    json_object_set_new(j, key, value);
}

json_t *explain_alert(const struct alert *a)
{
    CLEANUP(freep) char *headline = explain_headline(a);
    json_t *detectors = json_array(), *keys = json_array();
    for (uint32_t i = 0; i < a->n_detectors; i++)
        json_array_append_new(detectors, json_pack("{ss sf}", "name", a->detectors[i].name, "share",
                                                   a->detectors[i].share));
    for (uint32_t i = 0; i < a->n_keys; i++)
        json_array_append_new(keys, hex_json(a->keys[i]));
    json_t *j = json_pack("{ss ss sn sf sb ss sb sb}", "id", a->id, "state", "new", "verdict",
                          "score", a->score, "provisional", (int)a->provisional, "phase",
                          a->phase == PHASE_STEADY ? "steady" : "startup", "held", (int)a->held,
                          "open", (int)a->open);
    if (!j)
        return NULL;
    put(j, "first", json_real(a->first));
    put(j, "last", json_real(a->last));
    put(j, "raised", json_real(a->raised));
    put(j, "latency_s", json_real(a->latency_s));
    put(j, "workload", json_text(a->workload));
    put(j, "container", explain_container(&a->container, a->capture, a->node));
    put(j, "headline", json_text(headline));
    put(j, "why", why_json(a, headline));
    put(j, "channels", channels_json(a));
    put(j, "detectors", detectors);
    put(j, "processes", processes_json(a));
    put(j, "sequences", sequences_json(a));
    put(j, "novelties", novelties_json(a));
    put(j, "keys", keys);
    put(j, "linked", text_or_null(a->linked));
    put(j, "replicas", json_integer(a->replicas));
    put(j, "repeats", json_integer(a->repeats));
    put(j, "profile_version", json_integer(a->profile_version));
    put(j, "calls", json_integer((json_int_t)a->calls));
    put(j, "history", json_array());
    return j;
}

static json_t *number_or_null(double v)
{
    return v < 0 ? json_null() : json_real(v);
}

static json_t *phase_json(const struct profile_phase_status *s, bool startup)
{
    json_t *j =
        json_pack("{ss sf so so}", "state", profile_state_name(s->state), "progress", s->progress,
                  "reason", json_text(s->reason), "eta_s", number_or_null(s->eta_s));
    if (startup)
        put(j, "starts", json_integer(s->starts));
    return j;
}

json_t *explain_profile(const struct engine *e, const struct profile *p, double now)
{
    struct profile_status s;
    profile_status(p, &s);
    const struct profile_phase_status *steady = &s.phase[PHASE_STEADY];
    json_t *thresholds = json_object(), *off = json_object();
    for (int c = 0; c < CHANNELS; c++) {
        put(thresholds, channel_names[c],
            steady->state == PROFILE_LEARNING || steady->off[c] ? json_null()
                                                                : json_real(steady->threshold[c]));
        if (steady->off[c])
            put(off, channel_names[c], json_string(steady->off[c]));
    }
    json_t *j = json_pack("{so ss so so so si sb so so}", "workload", json_text(s.workload),
                          "state", profile_state_name(s.state), "reason", json_text(s.reason),
                          "steady", phase_json(steady, false), "startup",
                          phase_json(&s.phase[PHASE_STARTUP], true), "version", (int)s.version,
                          "provisional", (int)s.provisional, "thresholds", thresholds, "off", off);
    if (!j)
        return NULL;
    put(j, "learnt",
        json_pack("{sI sI sf sf sI sI sI}", "calls", (json_int_t)s.calls, "windows",
                  (json_int_t)s.windows, "active_s", s.active_s, "observed_s", s.learnt_s,
                  "programs", (json_int_t)s.programs, "pairs", (json_int_t)s.pairs, "ngrams",
                  (json_int_t)s.ngrams));
    put(j, "asked_per_day", json_real(s.asked_per_day));
    put(j, "alerts",
        json_pack("{sI so so}", "count", (json_int_t)s.alerts, "since",
                  s.alerts_since > 0 ? json_real(s.alerts_since) : json_null(), "per_day_upper95",
                  number_or_null(s.per_day_upper95)));
    put(j, "containers", json_integer(engine_profile_containers(e, p)));
    put(j, "suppressed", json_integer(engine_suppressions(e, s.workload)));
    put(j, "updated", json_real(now));
    return j;
}
