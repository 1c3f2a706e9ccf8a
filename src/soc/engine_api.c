/* What people and other parts ask of the engine between blocks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "soc/engine_internal.h"

#define SUPPRESSIONS_MAX 4096

void engine_counters(const struct engine *e, struct engine_counters *ret)
{
    *ret = e->counters;
    ret->containers = e->n_containers;
    ret->processes = e->n_processes;
    ret->texts = e->n_texts;
    ret->profiles = e->n_profiles;
    for (uint32_t i = 0; i < e->n_profiles; i++)
        ret->refused_learning += profile_refused(e->profiles[i]);
}

const struct profile *engine_profile(const struct engine *e, uint32_t i)
{
    return i < e->n_profiles ? e->profiles[i] : NULL;
}

static uint32_t profile_at(const struct engine *e, const char *workload)
{
    uint32_t i = 0;
    while (i < e->n_profiles && strcmp(profile_workload(e->profiles[i]), workload) != 0)
        i++;
    return i;
}

const struct profile *engine_profile_find(const struct engine *e, const char *workload)
{
    return engine_profile(e, profile_at(e, workload));
}

uint32_t engine_profile_containers(const struct engine *e, const struct profile *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_containers; i++)
        n += e->containers[i]->profile == p && !e->containers[i]->gone_ns;
    return n;
}

/* Everything that points to the old profile points to the new one. */
static void replace_profile(struct engine *e, uint32_t at, struct profile *p)
{
    struct profile *old = e->profiles[at];
    e->profiles[at] = p;
    e->profile_told[at] = UINT64_MAX;
    for (uint32_t i = 0; i < e->n_containers; i++) {
        if (e->containers[i]->profile == old)
            e->containers[i]->profile = p;
    }
    for (uint32_t i = 0; i < e->n_alerts; i++) {
        if (e->alerts[i]->profile == old)
            e->alerts[i]->profile = p;
    }
    profile_gone(e, old);
}

int engine_profile_reset(struct engine *e, const char *workload)
{
    uint32_t at = profile_at(e, workload);
    if (at == e->n_profiles)
        return -ENOENT;
    struct profile *p = NULL;
    int err = profile_new(workload, &e->options.profile, &p);
    if (err < 0)
        return err;
    replace_profile(e, at, p);
    return 0;
}

uint32_t engine_alerts(const struct engine *e)
{
    return e->n_alerts;
}

const struct alert *engine_alert(const struct engine *e, uint32_t i)
{
    return i < e->n_alerts ? &e->alerts[i]->alert : NULL;
}

static struct alert_state *alert_by_id(const struct engine *e, const char *id)
{
    for (uint32_t i = 0; i < e->n_alerts; i++) {
        if (strcmp(e->alerts[i]->alert.id, id) == 0)
            return e->alerts[i];
    }
    return NULL;
}

const struct alert *engine_alert_find(const struct engine *e, const char *id)
{
    struct alert_state *a = alert_by_id(e, id);
    return a ? &a->alert : NULL;
}

bool engine_container_phase(const struct engine *e, uint64_t capture, uint32_t number,
                            enum phase *ret)
{
    const struct engine_container *c = container_find(e, capture, number);
    if (!c || !c->profile || c->gone_ns)
        return false;
    *ret = c->phase;
    return true;
}

const char *engine_text(const struct engine *e, uint64_t id)
{
    const struct engine_text *t = text_find(e, id);
    return t ? t->text : NULL;
}

int engine_verdict(struct engine *e, const char *id, enum verdict verdict)
{
    struct alert_state *a = alert_by_id(e, id);
    if (!a)
        return -ENOENT;
    a->verdict = verdict;
    bool benign = verdict == VERDICT_FALSE_ALARM || verdict == VERDICT_EXPECTED;
    if (verdict != VERDICT_NONE)
        profile_verdict(a->profile, a->hash, benign, e->now_ns);
    if (benign && a->alert.open)
        alert_close(e, a); /* what comes now is not what was judged */
    return 0;
}

static void suppression_done(struct engine_suppression *s)
{
    free((char *)s->id); /* ours: engine_suppress copied them */
    free((char *)s->workload);
    free((char *)s->author);
}

void engine_unsuppress(struct engine *e, const char *id)
{
    for (uint32_t i = 0; i < e->n_suppressions; i++) {
        struct engine_suppression *s = &e->suppressions[i];
        if (strcmp(s->id, id) != 0)
            continue;
        suppression_done(s);
        *s = e->suppressions[--e->n_suppressions];
        return;
    }
}

int engine_suppress(struct engine *e, const struct engine_suppression *s)
{
    engine_unsuppress(e, s->id);
    if (e->n_suppressions == SUPPRESSIONS_MAX)
        return -ENOSPC;
    struct engine_suppression copy = *s, *more;
    copy.id = strdup(s->id);
    copy.workload = strdup(s->workload);
    copy.author = strdup(s->author ? s->author : "");
    more = realloc(e->suppressions, (e->n_suppressions + 1) * sizeof(*more));
    if (more)
        e->suppressions = more;
    if (!more || !copy.id || !copy.workload || !copy.author) {
        suppression_done(&copy);
        return -ENOMEM;
    }
    e->suppressions[e->n_suppressions++] = copy;
    return 0;
}

uint32_t engine_suppressions(const struct engine *e, const char *workload)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_suppressions; i++) {
        const struct engine_suppression *s = &e->suppressions[i];
        n += suppression_holds(e, s, workload);
    }
    return n;
}
