/* The profile of one workload: models, thresholds and state (ALERTS: Ready, Thresholds, Learning
 * goes on). Time is a parameter; no threads; every change comes from a call.
 *
 * A value of a channel is on the channel's own scale: 1 is its threshold. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "detect/detector.h"

enum phase { PHASE_STARTUP, PHASE_STEADY, PHASES };
enum profile_state { PROFILE_LEARNING, PROFILE_READY, PROFILE_DRIFTING, PROFILE_RETIRED };

#define PROFILE_DETECTORS_MAX 8

/* Defaults are those of ALERTS.md. The demo shortens the first four in its configuration. */
struct profile_options {
    double ready_active_s;      /* 900: active seconds before steady is ready */
    double ready_quiet_s;       /* 600 of them without a new program, edge or pair */
    uint32_t ready_starts;      /* 2 starts before start-up is learnt */
    double startup_max_s;       /* 60 */
    double startup_quiet_s;     /* 10: the phase ends after so long without a new pair */
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
/* -EBADMSG on malformed bytes. */
int profile_load(const void *data, size_t size, const struct profile_options *options,
                 struct profile **ret);

/* How far a phase is, for people. */
struct profile_phase_status {
    enum profile_state state;
    double progress; /* 0..1 */
    char reason[160]; /* "9 of 15 active minutes; last new program 3 min ago" */
    double eta_s;    /* at the present rate; negative: not known */
    uint32_t starts; /* start-up: starts learnt */
    double threshold[CHANNELS]; /* of the strongest detector in its unit; 0: channel off */
    const char *off[CHANNELS];  /* why the channel is off, or NULL */
};

struct profile_status {
    const char *workload;
    enum profile_state state;
    char reason[200];
    struct profile_phase_status phase[PHASES];
    uint32_t version;
    bool provisional;
    double asked_per_day;
    uint64_t calls, windows, programs, pairs, ngrams; /* learnt */
    double active_s, learnt_s; /* active seconds; wall seconds of learning */
    uint64_t alerts;           /* groups raised since ready */
    double alerts_since;       /* wall s; 0 not ready */
    double per_day_upper95;    /* chi2(.95; 2k+2) / 2T; negative: no time yet */
    double updated;            /* wall s */
};
void profile_status(const struct profile *p, struct profile_status *ret);
const char *profile_workload(const struct profile *p);
const char *profile_state_name(enum profile_state s); /* "learning", ... */
