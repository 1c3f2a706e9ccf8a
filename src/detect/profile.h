/* The profile of one workload: models, thresholds and state (ALERTS: Ready, Thresholds, Learning
 * goes on). Time is a parameter; no threads; every change comes from a call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "detect/detector.h"

enum phase { PHASE_STARTUP, PHASE_STEADY, PHASES };
enum profile_state { PROFILE_LEARNING, PROFILE_READY, PROFILE_DRIFTING, PROFILE_RETIRED };

/* Defaults are those of ALERTS.md. The demo shortens the first four in its configuration. */
struct profile_options {
    double ready_active_s;      /* 900: active seconds before steady is ready */
    double ready_quiet_s;       /* 600 of them without a new program, edge or pair */
    uint32_t ready_starts;      /* 2 starts before start-up is learnt */
    double startup_max_s;       /* 60 */
    double startup_quiet_s;     /* the phase ends after so long without a new pair */
    uint32_t active_calls;      /* 10 calls that are not waits make a second active */
    double alerts_per_day;      /* asked false alerts per workload and day; default 1 */
    double share[CHANNELS];     /* .5 .3 .2 */
    const char *const *detectors; /* names, NULL-ended; default stide ngram novelty mahalanobis */
    uint32_t sample_max;        /* 50000 window contents kept for k-fold */
    uint32_t novelty_min_calls; /* 500: pairs of programs with fewer learnt calls do not count */
};
void profile_options_default(struct profile_options *ret);

struct profile;

int profile_new(const char *workload, const struct profile_options *options, struct profile **ret);
void profile_free(struct profile *p);
void profile_save(const struct profile *p, struct buf *ret);
int profile_load(const void *data, size_t size, const struct profile_options *options,
                 struct profile **ret);
