/* The alert stage (docs/ALERTS.md, "The alert"): when an alert opens, what it takes in, when it
 * closes, and what counts as the same again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "features/arguments.h"
#include "soc/engine_internal.h"

#define GROUP_NS (3600 * NS_PER_S) /* replicas that alert within are one group */
#define SCORE_MAX 99.0
#define SCORE_MIN 50.0

struct alert_state *alert_by_hash(const struct engine *e, uint64_t hash)
{
    for (uint32_t i = e->n_alerts; hash && i-- > 0;) {
        if (e->alerts[i]->hash == hash)
            return e->alerts[i];
    }
    return NULL;
}

void alert_state_free(struct alert_state *a)
{
    alert_free(&a->alert); /* its first member: frees both */
}

void alert_changed(struct alert_state *a)
{
    if (!a->change)
        a->change = 1 + ALERT_CHANGED;
}

double finding_item_value(const struct finding *f, const struct score *s, uint32_t i, uint32_t d)
{
    double sum = s->value * MAX(s->per, 1.0);
    return sum > 0 ? f->share[d] * s->items[i].strangeness / sum : 0;
}

/* The strongest keys of a finding, ascending, 0 for none: what makes two alerts the same. */
static void opening_keys(const struct engine *e, const struct finding *f, uint64_t *ret)
{
    double best[OPENING_KEYS] = {0};
    memset(ret, 0, OPENING_KEYS * sizeof(*ret));
    for (uint32_t d = 0; d < profile_detectors(f->container->profile); d++) {
        const struct score *s = &e->view.score[d];
        for (uint32_t i = 0; i < s->n; i++) {
            double value = finding_item_value(f, s, i, d);
            int at = OPENING_KEYS;
            while (at > 0 && value > best[at - 1])
                at--;
            if (at == OPENING_KEYS)
                continue;
            memmove(&best[at + 1], &best[at], (OPENING_KEYS - 1 - at) * sizeof(*best));
            memmove(&ret[at + 1], &ret[at], (OPENING_KEYS - 1 - at) * sizeof(*ret));
            best[at] = value, ret[at] = s->items[i].key;
        }
    }
    for (int i = 0; i < OPENING_KEYS; i++) {
        for (int j = i + 1; j < OPENING_KEYS; j++) {
            if (ret[j] < ret[i]) {
                uint64_t swap = ret[i];
                ret[i] = ret[j], ret[j] = swap;
            }
        }
    }
}

static bool seen_container(const struct alert_state *a, uint64_t key)
{
    for (uint32_t i = 0; i < a->n_containers; i++) {
        if (a->containers[i] == key)
            return true;
    }
    return false;
}

static void count_container(struct alert_state *a, uint64_t key)
{
    if (seen_container(a, key))
        return;
    if (a->n_containers < ALERT_CONTAINERS_MAX)
        a->containers[a->n_containers++] = key;
    a->alert.replicas++;
}

/* The alert that this one is a repetition of, as long as nobody judged it: a replica within the
 * hour, or the same container. Else NULL, and in judged the latest of this hour that somebody did
 * judge: it is over for people, what comes now is for them to see. */
static struct alert_state *find_same(const struct engine *e, const struct finding *f,
                                     const uint64_t *opening, bool held,
                                     const struct alert_state **judged)
{
    const struct engine_container *c = f->container;
    for (uint32_t i = e->n_alerts; i-- > 0;) {
        struct alert_state *a = e->alerts[i];
        if (a->profile != c->profile || a->alert.phase != c->phase || a->alert.held != held ||
            memcmp(a->opening, opening, sizeof(a->opening)) != 0)
            continue;
        bool recent = a->raised_ns + GROUP_NS > f->now_ns;
        if (a->verdict == VERDICT_NONE && (recent || seen_container(a, c->key)))
            return a;
        if (a->verdict != VERDICT_NONE && recent && !*judged)
            *judged = a;
    }
    return NULL;
}

static uint64_t alert_hash(const struct engine *e, const struct finding *f)
{
    uint64_t h = container_key(f->container->capture, f->container->info.number);
    if (f->window)
        h = hash_mix(hash_mix(h, f->window->id.position), f->window->id.capture);
    else
        h = hash_mix(hash_mix(h, f->mono_ns), f->process ? f->process->key : 0);
    for (h = h ? h : 1; alert_by_hash(e, h);)
        h = hash_mix(h, 1);
    return h;
}

/* The oldest alert that is over leaves; what it held was never judged, and is dropped with it. */
static bool make_room(struct engine *e)
{
    if (e->n_alerts < e->options.alerts_max)
        return true;
    for (uint32_t i = 0; i < e->n_alerts; i++) {
        struct alert_state *a = e->alerts[i];
        if (a->alert.open || a->change)
            continue;
        profile_verdict(a->profile, a->hash, false, e->now_ns);
        alert_state_free(a);
        memmove(&e->alerts[i], &e->alerts[i + 1], (e->n_alerts - i - 1) * sizeof(*e->alerts));
        e->n_alerts--;
        return true;
    }
    e->counters.refused_alerts++;
    return false;
}

static struct alert_state *alert_new(struct engine *e, const struct finding *f, bool held,
                                     const struct alert_state *linked)
{
    struct engine_container *c = f->container;
    char id[ALERT_ID_MAX] = ""; /* the alert linked to may be the one that makes room */
    if (linked)
        memcpy(id, linked->alert.id, sizeof(id));
    struct alert_state *a = make_room(e) ? calloc(1, sizeof(*a)) : NULL;
    if (!a)
        return NULL;
    a->alert.workload = strdup(profile_workload(c->profile));
    if (!a->alert.workload || container_copy(&c->info, &a->alert.container) < 0) {
        alert_state_free(a);
        e->failed = true;
        return NULL;
    }
    struct profile_status status;
    profile_status(c->profile, &status);
    a->hash = alert_hash(e, f);
    a->profile = c->profile;
    a->raised_ns = f->now_ns;
    a->told = -1;
    snprintf(a->alert.id, sizeof(a->alert.id), "%016llx", (unsigned long long)a->hash);
    memcpy(a->alert.linked, id, sizeof(a->alert.linked));
    memcpy(a->alert.node, e->capture->node, sizeof(a->alert.node));
    a->alert.capture = c->capture;
    a->alert.phase = c->phase;
    a->alert.held = held;
    a->alert.learnt_s = status.learnt_s;
    a->alert.profile_version = status.version;
    uint64_t first_ns = f->window ? f->window->first_ns : f->mono_ns;
    if (!f->process) /* a bin: its second began then */
        first_ns = f->mono_ns / NS_PER_S * NS_PER_S;
    a->alert.first = engine_wall(e, first_ns);
    a->alert.raised = e->block->wall_ns / 1e9;
    a->alert.latency_s = MAX(a->alert.raised - a->alert.first, 0);
    a->change = 1 + ALERT_OPENED;
    e->alerts[e->n_alerts++] = a;
    return a;
}

/* 50 + 10 log10(share asked / lambda) of the best channel, + 10 for each further one. Provisional
 * profiles have no lambda worth the name: 50 + corroboration: further channels, and up to 20 for
 * how many kinds of things were new. */
static void set_score(const struct engine *e, struct alert_state *a)
{
    const struct profile *p = a->profile;
    struct profile_status status;
    profile_status(p, &status);
    const double *share = e->options.profile.share;
    a->alert.provisional = profile_provisional(p, a->alert.phase);
    double best = 0;
    int over = 0;
    for (int c = 0; c < CHANNELS; c++) {
        if (!a->alert.channels[c].over)
            continue;
        over++;
        double rate = profile_rate(p, a->alert.phase, c, a->alert.channels[c].peak);
        best = MAX(best, 10 * log10(share[c] * status.asked_per_day / rate));
    }
    uint32_t kinds = 0;
    for (uint32_t i = 0; i < a->alert.n_novelties; i++)
        kinds |= 1u << a->alert.novelties[i].kind;
    if (a->alert.provisional)
        best = 4 * MIN(__builtin_popcount(kinds), 5);
    double score = SCORE_MIN + best + 10 * MAX(over - 1, 0);
    a->alert.score = MIN(MAX(score, SCORE_MIN), SCORE_MAX);
}

static void add_key(struct alert_state *a, uint64_t key, double value)
{
    uint32_t i = 0;
    while (i < a->n_evidence && a->evidence[i].key != key)
        i++;
    if (i == a->n_evidence) {
        if (i == ALERT_EVIDENCE_MAX && value <= a->evidence[--i].value)
            return;
        a->n_evidence += a->n_evidence < ALERT_EVIDENCE_MAX;
        a->evidence[i].key = key, a->evidence[i].value = 0;
    }
    value = MAX(value, a->evidence[i].value);
    for (; i > 0 && a->evidence[i - 1].value < value; i--)
        a->evidence[i] = a->evidence[i - 1];
    a->evidence[i].key = key, a->evidence[i].value = value;
}

static void add_shares(struct engine *e, struct alert_state *a, const struct finding *f)
{
    double all = 0, channels = 0;
    uint32_t n = profile_detectors(a->profile);
    for (uint32_t d = 0; d < n; d++) {
        enum channel c = profile_detector(a->profile, d)->channel;
        const struct score *s = &e->view.score[d];
        for (uint32_t i = 0; i < s->n; i++)
            add_key(a, s->items[i].key, finding_item_value(f, s, i, d));
        a->detector_sum[d] += f->share[d];
        a->channel_sum[c] += f->share[d];
    }
    for (uint32_t d = 0; d < n; d++)
        all += a->detector_sum[d];
    for (int c = 0; c < CHANNELS; c++)
        channels += a->channel_sum[c];
    a->alert.n_detectors = 0;
    for (uint32_t d = 0; d < n && all > 0; d++) {
        if (a->detector_sum[d] <= 0)
            continue;
        uint32_t at = a->alert.n_detectors++;
        a->alert.detectors[at].name = profile_detector(a->profile, d)->name;
        a->alert.detectors[at].share = a->detector_sum[d] / all;
    }
    for (int c = 0; c < CHANNELS; c++) {
        struct alert_channel *x = &a->alert.channels[c];
        x->share = channels > 0 ? a->channel_sum[c] / channels : 0;
        x->peak = MAX(x->peak, f->value[c]);
        x->over |= f->value[c] >= 1;
        x->threshold = 1;
    }
    a->alert.n_keys = MIN(a->n_evidence, (uint32_t)ALERT_KEYS_MAX);
    for (uint32_t i = 0; i < a->alert.n_keys; i++)
        a->alert.keys[i] = a->evidence[i].key;
}

static uint64_t extend_ns(const struct engine *e)
{
    return (uint64_t)(e->options.extend_s * 1e9);
}

struct alert_state *alert_open_by_hash(const struct engine *e, uint64_t hash)
{
    struct alert_state *a = alert_by_hash(e, hash);
    return a && a->alert.open ? a : NULL;
}

/* Takes a finding into the alert. strong: its own strangeness would do. Its process becomes part of
 * the alert, and with it what it starts from now on, unless it ran long before: a server that is
 * attacked once is not the attack. */
static void take(struct engine *e, struct alert_state *a, const struct finding *f, bool strong)
{
    struct engine_container *c = f->container;
    struct engine_process *p = f->process;
    a->last_ns = MAX(a->last_ns, f->now_ns);
    a->alert.last = MAX(a->alert.last, engine_wall(e, f->mono_ns));
    add_shares(e, a, f);
    if (strong) {
        a->alert.last_over = MAX(a->alert.last_over, engine_wall(e, f->mono_ns));
        c->over_ns = c->alert == a->hash ? f->now_ns : c->over_ns;
        if (p && p->first_ns + extend_ns(e) >= a->opened_ns)
            p->alert = a->hash;
    }
    bool inside = p && p->alert == a->hash;
    alert_add_evidence(e, a, f, strong || inside);
    if (f->sample && !e->view.learning) {
        struct profile_place at = {
            .now_ns = f->now_ns, .container = c->key, .phase = c->phase, .start = c->start};
        profile_hold(c->profile, &at, f->sample, e->view.hash, a->hash);
    }
    set_score(e, a);
    alert_changed(a);
}

void alert_close(struct engine *e, struct alert_state *a)
{
    a->alert.open = false;
    if (a->change != 1 + ALERT_OPENED)
        a->change = 1 + ALERT_CLOSED;
    for (uint32_t i = 0; i < e->n_containers; i++) {
        if (e->containers[i]->alert == a->hash)
            e->containers[i]->alert = 0;
    }
}

/* Does a container that is not the alert's first start a program, or touch what is bold, that this
 * alert has not shown? */
static bool goes_further(const struct engine *e, const struct alert_state *a,
                         const struct finding *f)
{
    if (a->containers[0] == f->container->key)
        return false;
    for (uint32_t d = 0; d < profile_detectors(a->profile); d++) {
        const struct score *s = &e->view.score[d];
        for (uint32_t i = 0; i < s->n; i++) {
            const struct evidence *x = &s->items[i];
            bool tells = x->kind == EVIDENCE_PROGRAM || x->kind == EVIDENCE_EDGE ||
                         (x->kind == EVIDENCE_ARGUMENT && argument_class_is_bold(x->detail));
            uint32_t k = 0;
            while (tells && k < a->n_evidence && a->evidence[k].key != x->key)
                k++;
            if (tells && k == a->n_evidence)
                return true;
        }
    }
    return false;
}

static bool open_alert(struct engine *e, const struct finding *f, const struct alert_state *linked)
{
    struct engine_container *c = f->container;
    bool held = c->phase == PHASE_STARTUP && !profile_ready(c->profile, PHASE_STARTUP);
    uint64_t opening[OPENING_KEYS];
    opening_keys(e, f, opening);
    const struct alert_state *judged = NULL;
    struct alert_state *a = find_same(e, f, opening, held, &judged);
    if (a && (a == linked || goes_further(e, a, f)))
        a = NULL;
    bool raised = !a && !held;
    if (a && seen_container(a, c->key))
        a->alert.repeats++;
    if (!a)
        a = alert_new(e, f, held, linked ? linked : judged);
    if (!a)
        return false;
    memcpy(a->opening, opening, sizeof(opening));
    count_container(a, c->key);
    a->opened_ns = f->now_ns;
    a->alert.open = true;
    c->alert = a->hash;
    profile_alerted(c->profile, c->key, a->hash, f->now_ns, raised);
    take(e, a, f, true);
    return true;
}

/* Opens the container's own alert; its processes leave the group's. */
static bool leave_group(struct engine *e, const struct alert_state *group, const struct finding *f)
{
    struct engine_container *c = f->container;
    if (!open_alert(e, f, NULL))
        return false;
    for (uint32_t i = 0; i < e->n_processes; i++) {
        struct engine_process *p = &e->processes[i];
        if (p->capture == c->capture && p->container == c->info.number && p->alert == group->hash)
            p->alert = c->alert;
    }
    return true;
}

bool alert_stage(struct engine *e, const struct finding *f)
{
    struct engine_container *c = f->container;
    bool over = false, extends = false, any = false;
    for (int ch = 0; ch < CHANNELS; ch++) {
        over |= f->value[ch] >= 1;
        extends |= f->value[ch] >= profile_extend(c->profile, c->phase, ch);
    }
    for (uint32_t d = 0; d < profile_detectors(c->profile); d++)
        any |= profile_detector(c->profile, d)->channel == CHANNEL_NOVELTY && e->view.score[d].n;
    struct alert_state *inside = alert_open_by_hash(e, f->process ? f->process->alert : 0);
    struct alert_state *near = alert_open_by_hash(e, c->alert);
    if (near && f->now_ns > c->over_ns + extend_ns(e))
        near = NULL;
    struct alert_state *a = inside ? inside : near;
    if (!a)
        return over && open_alert(e, f, NULL);
    bool late = f->now_ns > a->opened_ns + (uint64_t)(e->options.alert_max_s * 1e9);
    /* What was held in a start that is not learnt goes on in a phase that is: that is sent. */
    if (over && (late || (a->alert.held && c->phase == PHASE_STEADY))) {
        alert_close(e, a);
        return open_alert(e, f, a);
    }
    if (over && goes_further(e, a, f))
        return leave_group(e, a, f);
    if (!over && !extends && !(any && inside))
        return false;
    take(e, a, f, over);
    return true;
}

void alert_stage_time(struct engine *e)
{
    uint64_t quiet_ns = (uint64_t)(e->options.quiet_s * 1e9);
    e->counters.alerts_open = 0;
    for (uint32_t i = 0; i < e->n_alerts; i++) {
        struct alert_state *a = e->alerts[i];
        if (a->alert.open && a->last_ns + quiet_ns <= e->now_ns)
            alert_close(e, a);
        e->counters.alerts_open += a->alert.open;
    }
}
