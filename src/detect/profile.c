/* Life and state of a profile. What it learns: profile_learn.c; its thresholds: calibrate.c. */
#include "detect/profile.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "detect/profile_internal.h"

static const char *const detectors_default[] = {"stide", "ngram", "novelty", "mahalanobis", NULL};

void profile_options_default(struct profile_options *ret)
{
    *ret = (struct profile_options){
        .ready_active_s = 900,
        .ready_quiet_s = 600,
        .ready_starts = 2,
        .startup_max_s = 60,
        .startup_quiet_s = 10,
        .active_calls = 10,
        .alerts_per_day = 1,
        .share = {.5, .3, .2},
        .detectors = detectors_default,
        .sample_max = 50000,
        .novelty_min_calls = 500,
    };
}

DEFINE_CLEANUP(profile_free, struct profile *)

static int create_models(struct profile *p)
{
    for (const char *const *name = p->options.detectors; *name; name++) {
        const struct detector *d = detector_find(*name);
        if (!d || p->n_detectors == PROFILE_DETECTORS_MAX)
            return -EINVAL;
        p->detector[p->n_detectors] = d;
        for (int phase = 0; phase < PHASES; phase++) {
            int err = d->create(&p->model[phase][p->n_detectors]);
            if (err < 0)
                return err;
        }
        p->n_detectors++;
    }
    return 0;
}

int profile_new(const char *workload, const struct profile_options *options, struct profile **ret)
{
    CLEANUP(profile_freep) struct profile *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->options = *options;
    p->contents.n_max = options->sample_max;
    p->block_s = (uint32_t)MAX(options->ready_active_s / PROFILE_BLOCKS_FIRST, 1.0);
    p->delta_next = 1;
    p->workload = strdup(workload);
    p->deltas = calloc(PROFILE_DELTAS_MAX, sizeof(*p->deltas));
    if (!p->workload || !p->deltas)
        return -ENOMEM;
    for (int i = 0; i < PHASES; i++) {
        p->bins[i].stride = 1;
        p->bins[i].items = calloc(PROFILE_BINS_MAX, sizeof(*p->bins[i].items));
        if (!p->bins[i].items)
            return -ENOMEM;
    }
    int err = create_models(p);
    if (err < 0)
        return err;
    *ret = TAKE(p);
    return 0;
}

void profile_free(struct profile *p)
{
    for (int phase = 0; phase < PHASES; phase++) {
        for (uint32_t d = 0; d < PROFILE_DETECTORS_MAX; d++) {
            if (p->model[phase][d])
                p->detector[d]->destroy(p->model[phase][d]);
        }
        for (uint32_t i = 0; i < p->bins[phase].n; i++)
            free(p->bins[phase].items[i].counts);
        free(p->bins[phase].items);
    }
    contents_done(&p->contents);
    if (p->calibration)
        calibration_free(p->calibration);
    free(p->deltas);
    free(p->workload);
    free(p);
}

const char *profile_workload(const struct profile *p)
{
    return p->workload;
}

const char *profile_state_name(enum profile_state s)
{
    static const char *const names[] = {"learning", "ready", "drifting", "retired"};
    return s < ARRAY_SIZE(names) ? names[s] : "?";
}

uint32_t profile_detectors(const struct profile *p)
{
    return p->n_detectors;
}

const struct detector *profile_detector(const struct profile *p, uint32_t d)
{
    return p->detector[d];
}

bool profile_ready(const struct profile *p, enum phase phase)
{
    return p->limits[phase].ready;
}

double profile_idle_s(const struct profile *p, uint64_t now_ns)
{
    if (!p->seen_ns)
        return -1;
    return now_ns > p->seen_ns ? (double)(now_ns - p->seen_ns) / 1e9 : 0;
}

double profile_learnt_s(const struct profile *p)
{
    return p->observed_s;
}

uint32_t profile_version(const struct profile *p)
{
    return p->version;
}

uint64_t profile_refused(const struct profile *p)
{
    return p->refused;
}

uint64_t profile_changes(const struct profile *p)
{
    return p->changes;
}

/* Until start-up is learnt, what happens there is held against steady running's limits. */
static const struct limits *limits_of(const struct profile *p, enum phase phase)
{
    return &p->limits[p->limits[phase].ready ? phase : PHASE_STEADY];
}

double profile_value(const struct profile *p, enum phase phase, uint32_t d, double raw)
{
    const struct limits *l = limits_of(p, phase);
    enum channel c = p->detector[d]->channel;
    if (!l->ready || l->theta[c] <= 0)
        return 0;
    return raw / l->base[d] / l->theta[c];
}

double profile_extend(const struct profile *p, enum phase phase, enum channel c)
{
    return limits_of(p, phase)->extend[c];
}

bool profile_call_counts(uint16_t sysno, uint16_t ret)
{
    if (syscall_is_noise(sysno))
        return false;
    int error = ret_is_error(ret) ? ret_errno(ret) : 0;
    return error < 512 && error != EAGAIN && error != EINTR && error != ETIMEDOUT &&
           error != ECONNRESET && error != EPIPE;
}

bool profile_kind_opens(const struct profile *p, enum phase phase, unsigned kind)
{
    const struct limits *l = limits_of(p, phase);
    uint32_t clean = l->clean;
    if (phase == PHASE_STARTUP && !p->limits[phase].ready)
        clean &= 1u << EVIDENCE_PROGRAM | 1u << EVIDENCE_EDGE;
    return clean & 1u << kind;
}

uint64_t profile_program_calls(const struct profile *p, uint64_t program)
{
    uint64_t calls = 0;
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (strcmp(p->detector[d]->name, "novelty") != 0)
            continue;
        for (int phase = 0; phase < PHASES; phase++)
            calls += novelty_program_calls(p->model[phase][d], program);
    }
    return calls;
}

double profile_rate(const struct profile *p, enum phase phase, enum channel c, double value)
{
    const struct limits *l = limits_of(p, phase);
    return MAX(tail_rate(&l->tail[c], value * l->theta[c]), 1 / l->tail[c].days);
}

uint32_t profile_children(const struct profile *p, uint64_t parent, uint32_t max, uint64_t *ret)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->contents.n && n < max; i++) {
        const struct content *c = &p->contents.items[i];
        if (c->kind == SAMPLE_EXEC && c->parent == parent && !c->delta)
            ret[n++] = c->program;
    }
    return n;
}

/* Three asked false alerts must have had time to happen. */
bool profile_provisional(const struct profile *p, enum phase phase)
{
    double days = p->observed_s / (double)PROFILE_DAY_S;
    return phase == PHASE_STARTUP || days * p->options.alerts_per_day < 3;
}

static const char *kind_noun(uint8_t kind)
{
    return kind == EVIDENCE_PROGRAM ? "program"
           : kind == EVIDENCE_EDGE  ? "program start"
                                    : "kind of call";
}

/* "40 s" or "9 min" */
static const char *duration(double s, char *ret, size_t size)
{
    if (s < 100)
        snprintf(ret, size, "%.0f s", s);
    else if (s < 7200)
        snprintf(ret, size, "%.0f min", s / 60);
    else
        snprintf(ret, size, "%.0f h", s / 3600);
    return ret;
}

static void steady_status(const struct profile *p, struct profile_phase_status *ret)
{
    const struct profile_options *o = &p->options;
    double quiet = p->active_s - p->last_new_active_s;
    double left = MAX(o->ready_active_s - p->active_s, o->ready_quiet_s - quiet);
    ret->progress = MIN(p->active_s / MAX(o->ready_active_s, 1), quiet / MAX(o->ready_quiet_s, 1));
    ret->progress = ret->state != PROFILE_LEARNING ? 1 : MIN(MAX(ret->progress, 0), .99);
    ret->eta_s = ret->state != PROFILE_LEARNING ? 0 : p->active_s ? MAX(left, 1) : -1;
    if (ret->state == PROFILE_LEARNING && calibration_due(p, PHASE_STEADY)) {
        ret->progress = .99;
        ret->eta_s = calibration_left_s(p);
        snprintf(ret->reason, sizeof(ret->reason), "learnt, calibrating");
        return;
    }
    double wall = profile_s(p, p->now_ns);
    if (ret->eta_s > 0 && p->active_s > 30)
        ret->eta_s *= MAX(wall / p->active_s, 1); /* idle time does not count */
    char new_ago[32], learnt[32];
    duration((p->now_ns - MIN(p->last_new_ns, p->now_ns)) / 1e9, new_ago, sizeof(new_ago));
    if (ret->state != PROFILE_LEARNING) {
        snprintf(ret->reason, sizeof(ret->reason), "learnt in %s",
                 duration((p->ready_ns[PHASE_STEADY] - p->epoch_ns) / 1e9, learnt, sizeof(learnt)));
    } else if (p->active_s == 0) {
        snprintf(ret->reason, sizeof(ret->reason), "no active second yet");
    } else if (o->ready_active_s >= 120) {
        snprintf(ret->reason, sizeof(ret->reason), "%u of %.0f active minutes; last new %s %s ago",
                 p->active_s / 60, o->ready_active_s / 60, kind_noun(p->last_new_kind), new_ago);
    } else {
        snprintf(ret->reason, sizeof(ret->reason), "%u of %.0f active seconds; last new %s %s ago",
                 p->active_s, o->ready_active_s, kind_noun(p->last_new_kind), new_ago);
    }
}

static void startup_status(const struct profile *p, struct profile_phase_status *ret)
{
    uint32_t asked = p->options.ready_starts;
    ret->starts = p->starts_done;
    ret->progress = p->starts_done >= asked ? 1 : p->starts_done / (double)asked;
    ret->eta_s = ret->state == PROFILE_READY ? 0 : -1;
    if (ret->state == PROFILE_READY)
        snprintf(ret->reason, sizeof(ret->reason), "%u starts learnt", p->starts_done);
    else if (calibration_due(p, PHASE_STARTUP))
        snprintf(ret->reason, sizeof(ret->reason), "%u starts learnt, calibrating", p->starts_done);
    else if (p->starts_done >= asked)
        snprintf(ret->reason, sizeof(ret->reason),
                 "%u starts seen: learnt when steady running is; until then held, not sent",
                 p->starts_done);
    else
        snprintf(ret->reason, sizeof(ret->reason),
                 "%u of %u starts seen; until then what is strange in a start is held, not sent",
                 p->starts_done, asked);
}

static void threshold_status(const struct profile *p, enum phase phase,
                             struct profile_phase_status *ret)
{
    static const char *const off = "normal time is as strange as this channel can tell";
    const struct limits *l = &p->limits[phase];
    for (int c = 0; c < CHANNELS && l->ready; c++) {
        ret->threshold[c] = c == CHANNEL_NOVELTY ? 1 : 0;
        for (uint32_t d = 0; d < p->n_detectors; d++) {
            if ((int)p->detector[d]->channel == c && isfinite(l->base[d]) && !ret->threshold[c])
                ret->threshold[c] = l->base[d] * l->theta[c];
        }
        if (l->theta[c] <= 0) {
            ret->threshold[c] = 0;
            ret->off[c] = phase == PHASE_STARTUP && c != CHANNEL_NOVELTY
                              ? "too few starts seen to know how they vary"
                              : off;
        }
    }
}

void profile_status(const struct profile *p, struct profile_status *ret)
{
    *ret = (struct profile_status){
        .workload = p->workload,
        .state = p->state,
        .version = p->version,
        .provisional = p->limits[PHASE_STEADY].ready && profile_provisional(p, PHASE_STEADY),
        .asked_per_day = p->options.alerts_per_day,
        .calls = p->calls,
        .windows = p->windows,
        .programs = p->programs,
        .pairs = p->pairs,
        .ngrams = p->ngrams,
        .active_s = p->active_s,
        .learnt_s = profile_learnt_s(p),
        .alerts = p->alerts,
        .per_day_upper95 = -1,
    };
    for (int phase = 0; phase < PHASES; phase++) {
        ret->phase[phase].state = p->limits[phase].ready ? PROFILE_READY : PROFILE_LEARNING;
        threshold_status(p, phase, &ret->phase[phase]);
    }
    steady_status(p, &ret->phase[PHASE_STEADY]);
    startup_status(p, &ret->phase[PHASE_STARTUP]);
    if (p->limits[PHASE_STEADY].ready) {
        ret->alerts_since = p->ready_ns[PHASE_STEADY] / 1e9;
        double days = (p->now_ns - p->ready_ns[PHASE_STEADY]) / 1e9 / PROFILE_DAY_S;
        ret->per_day_upper95 = days > 0 ? poisson_upper95(p->alerts) / days : -1;
    }
    if (p->state == PROFILE_RETIRED)
        snprintf(ret->reason, sizeof(ret->reason), "nothing of it has run for a week");
    else if (p->state == PROFILE_DRIFTING)
        snprintf(ret->reason, sizeof(ret->reason),
                 "many more alerts in a day than the %g asked for: judge them, or it has changed",
                 p->options.alerts_per_day);
    else
        snprintf(ret->reason, sizeof(ret->reason), "%s", ret->phase[PHASE_STEADY].reason);
}
