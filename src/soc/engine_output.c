/* What a block led to: windows to keep, scores of seconds, alerts and profiles that changed. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "soc/engine_internal.h"

void outputs_clear(struct engine *e)
{
    for (uint32_t i = 0; i < e->n_out_keeps; i++)
        free(e->out_windows[i]);
    e->n_out_alerts = e->n_out_scores = e->n_out_keeps = e->n_out_profiles = 0;
    e->failed = false;
}

static void keep(struct engine *e, const struct window *w, enum keep_reason reason,
                 const struct profile *p)
{
    uint32_t capacity = e->out_keeps_capacity;
    if (!engine_room(e, (void **)&e->out_windows, e->n_out_keeps, &capacity, sizeof(void *)) ||
        !engine_room(e, (void **)&e->out_keeps, e->n_out_keeps, &e->out_keeps_capacity,
                     sizeof(*e->out_keeps)))
        return;
    struct window *copy = malloc(sizeof(*copy));
    if (!copy) {
        e->failed = true;
        return;
    }
    *copy = *w;
    e->out_windows[e->n_out_keeps] = copy;
    e->out_keeps[e->n_out_keeps++] = (struct engine_keep){.window = copy,
                                                          .reason = reason,
                                                          .workload = profile_workload(p),
                                                          .time = engine_wall(e, w->first_ns)};
}

/* An anomalous window and half of NEAR_WINDOWS of its process before it; as many after it follow.
 */
void keep_anomalous(struct engine *e, struct engine_container *c, struct engine_process *p,
                    const struct window *w)
{
    for (uint32_t i = 0; c->near && i < NEAR_WINDOWS / 2; i++) {
        struct window *x = &c->near[(c->near_next + i) % (NEAR_WINDOWS / 2)];
        if (!x->n_calls || x->tgid != w->tgid || x->start_ns != w->start_ns)
            continue;
        keep(e, x, KEEP_NEAR, c->profile);
        x->n_calls = 0;
    }
    keep(e, w, KEEP_ANOMALOUS, c->profile);
    p->keep_after = NEAR_WINDOWS / 2;
}

void keep_other(struct engine *e, struct engine_container *c, struct engine_process *p,
                const struct window *w)
{
    if (p->keep_after) {
        p->keep_after--;
        keep(e, w, KEEP_NEAR, c->profile);
        return;
    }
    if (e->view.first)
        keep(e, w, KEEP_NORMAL, c->profile);
    if (!c->near)
        c->near = calloc(NEAR_WINDOWS / 2, sizeof(*c->near));
    if (c->near)
        c->near[c->near_next++ % (NEAR_WINDOWS / 2)] = *w;
}

static void put_score(struct engine *e, const struct engine_container *c, const struct peaks *peaks,
                      int ch, double time)
{
    if (!engine_room(e, (void **)&e->out_scores, e->n_out_scores, &e->out_scores_capacity,
                     sizeof(*e->out_scores)))
        return;
    bool ready = profile_ready(c->profile, c->phase);
    uint32_t detector = MIN(peaks->detector[ch], profile_detectors(c->profile) - 1u);
    e->out_scores[e->n_out_scores++] =
        (struct engine_score){.capture = c->capture,
                              .container = c->info.number,
                              .channel = (uint8_t)ch,
                              .phase = c->phase,
                              .time = time,
                              .value = (float)peaks->value[ch],
                              .threshold = ready ? 1 : 0,
                              .version = profile_version(c->profile),
                              .detector = profile_detector(c->profile, detector)->name};
    if (peaks == &c->peaks)
        memcpy(e->out_scores[e->n_out_scores - 1].why, c->why[ch], SCORE_WHY_MAX);
}

void tell_scores(struct engine *e, struct engine_container *c)
{
    double time = engine_wall(e, c->second * NS_PER_S);
    uint64_t minute = c->second / 60;
    bool over = false;
    for (int ch = 0; ch < CHANNELS; ch++) {
        over |= c->peaks.value[ch] >= 1;
        if (c->peaks.value[ch] >= PEAK_TOLD)
            put_score(e, c, &c->peaks, ch, time);
        if (c->minute_at && minute != c->minute_at && c->minute.value[ch] < PEAK_TOLD &&
            profile_ready(c->profile, c->phase))
            put_score(e, c, &c->minute, ch, engine_wall(e, c->minute_at * 60 * NS_PER_S));
    }
    if (minute != c->minute_at)
        c->minute = (struct peaks){0}, c->minute_at = minute;
    for (int ch = 0; ch < CHANNELS; ch++) {
        if (c->peaks.value[ch] > c->minute.value[ch])
            c->minute.value[ch] = c->peaks.value[ch],
            c->minute.detector[ch] = c->peaks.detector[ch];
    }
    c->peaks = (struct peaks){0};
    memset(c->why, 0, sizeof(c->why));
    e->counters.anomalies += over;
}

void outputs_collect(struct engine *e, struct engine_output *ret)
{
    for (uint32_t i = 0; i < e->n_alerts; i++) {
        struct alert_state *a = e->alerts[i];
        if (!a->change || !engine_room(e, (void **)&e->out_alerts, e->n_out_alerts,
                                       &e->out_alerts_capacity, sizeof(*e->out_alerts)))
            continue;
        e->out_alerts[e->n_out_alerts++] = (struct engine_alert){a->change - 1, a->told, &a->alert};
        a->told = MAX(a->told, a->alert.score);
        a->change = 0;
    }
    for (uint32_t i = 0; i < e->n_profiles; i++) {
        uint64_t changes = profile_changes(e->profiles[i]);
        if (changes == e->profile_told[i] || profile_idle_s(e->profiles[i], e->now_ns) < 0 ||
            !engine_room(e, (void **)&e->out_profiles, e->n_out_profiles, &e->out_profiles_capacity,
                         sizeof(*e->out_profiles)))
            continue;
        e->profile_told[i] = changes;
        e->out_profiles[e->n_out_profiles++] = e->profiles[i];
    }
    *ret = (struct engine_output){.alerts = e->out_alerts,
                                  .scores = e->out_scores,
                                  .keeps = e->out_keeps,
                                  .profiles = e->out_profiles,
                                  .n_alerts = e->n_out_alerts,
                                  .n_scores = e->n_out_scores,
                                  .n_keeps = e->n_out_keeps,
                                  .n_profiles = e->n_out_profiles};
}
