/* The profile of one workload: models, thresholds and state (docs/ALERTS.md). Time is a parameter;
 * every change comes from a call. Calibration has a thread of its own, but what comes of it is
 * taken over at a fixed time, by a call (calibration.c).
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

/* The reasons for the defaults: docs/ALERTS.md. The demo shortens the first four in its
 * configuration. */
struct profile_options {
    double ready_active_s;  /* 900: active seconds before steady is ready */
    double ready_quiet_s;   /* 600 of them without a new program, edge or pair */
    double ready_after_s;   /* 0: off; else steady is ready after so long, whatever was seen */
    uint32_t ready_starts;  /* 2 starts before start-up is learnt */
    double startup_max_s;   /* 60 */
    double startup_quiet_s; /* 10: the phase ends after so long without a new pair */
    uint32_t active_calls;  /* 10 calls that are not waits make a second active */
    double alerts_per_day;  /* asked false alerts per workload and day; default 1 */
    double share[CHANNELS]; /* .5 .3 .2 */
    const char *const *detectors; /* names, NULL-ended; default stide ngram novelty mahalanobis */
    uint32_t sample_max;          /* 50000 window contents kept for k-fold */
    uint32_t novelty_min_calls;   /* 500: pairs of programs with fewer learnt calls do not count */
};
void profile_options_default(struct profile_options *ret);

struct profile;

int profile_new(const char *workload, const struct profile_options *options, struct profile **ret);
void profile_free(struct profile *p);
void profile_save(const struct profile *p, struct buf *ret);
/* -EBADMSG on malformed bytes. */
int profile_load(const void *data, size_t size, const struct profile_options *options,
                 struct profile **ret);

/* Where and when something was seen. Times are the engine's: ns, of one clock for all captures. */
struct profile_place {
    uint64_t now_ns;
    uint64_t container; /* key of the container */
    enum phase phase;
    uint32_t start; /* start-up: number of the start, from profile_start() */
};

/* What the profile makes of a sample. Scores are of detectors that look at its kind; start-up
 * counts only what steady running does not know either. */
struct profile_view {
    bool known;    /* the same content was learnt: no scores */
    bool learning; /* it has been learnt now */
    bool first;    /* first sight of this content: worth keeping as a normal sample */
    uint64_t hash;
    struct score score[PROFILE_DETECTORS_MAX]; /* n = 0: nothing strange */
};

/* A container of the workload starts; its number. */
uint32_t profile_start(struct profile *p, uint64_t now_ns);
/* Its start-up phase is over. */
void profile_start_done(struct profile *p, uint32_t start, uint64_t now_ns);

/* A window or exec. While the phase is learnt, it is learnt at once. */
void profile_see(struct profile *p, const struct profile_place *at, const struct sample *s,
                 struct profile_view *ret);
/* It did not alarm: it enters the model with its container's hour, if no alert comes near. */
void profile_pend(struct profile *p, const struct profile_place *at, const struct sample *s,
                  uint64_t hash);
/* It alarmed: it waits for the verdict on this alert. */
void profile_hold(struct profile *p, const struct profile_place *at, const struct sample *s,
                  uint64_t hash, uint64_t alert);
/* One closed second of one container: its whole bin, calls that were not waits. Scores of the
 * frequency detectors go to ret [PROFILE_DETECTORS_MAX]. */
void profile_second(struct profile *p, const struct profile_place *at, const struct bin *b,
                    uint32_t active_calls, struct score *ret);
/* Time goes on: merges what has waited long enough, takes over what was calibrated. */
void profile_tick(struct profile *p, uint64_t now_ns);
/* Begins the calibration that is due, if one is: at the end of a block, so that it is the same
 * whenever the profile is saved. True if one runs now. */
bool profile_calibrate_next(struct profile *p, uint64_t now_ns);
bool profile_calibrating(const struct profile *p); /* one runs */
/* An alert of this container; raised: it is a new group and counts against what was asked. */
void profile_alerted(struct profile *p, uint64_t container, uint64_t alert, uint64_t now_ns,
                     bool raised);
/* Benign: what the alert held enters the model, to be calibrated anew; else it is dropped. Returns
 * the number of contents. */
uint32_t profile_verdict(struct profile *p, uint64_t alert, bool benign, uint64_t now_ns);

uint32_t profile_detectors(const struct profile *p);
const struct detector *profile_detector(const struct profile *p, uint32_t d);
bool profile_ready(const struct profile *p, enum phase phase);
/* Raw value of a detector on its channel's scale: 1 is the threshold; 0 while its channel is off.
 */
double profile_value(const struct profile *p, enum phase phase, uint32_t d, double raw);
/* Value from which an alert is extended: the threshold of ten times the asked rate. */
double profile_extend(const struct profile *p, enum phase phase, enum channel c);
/* A kind of first sights beside enum evidence_kind: bold argument classes (features/arguments.h).
 */
#define KIND_BOLD EVIDENCE_KINDS
#define NOVELTY_KINDS (EVIDENCE_KINDS + 1)
/* Does a first sight of a call, or of its error (ret class, 0 none), say anything? Not of noise
 * calls: the scheduler decides; not EAGAIN, EINTR, ETIMEDOUT, ECONNRESET, EPIPE: timing and peers
 * do. */
bool profile_call_counts(uint16_t sysno, uint16_t ret);
/* May first sights of this kind open an alert alone? */
bool profile_kind_opens(const struct profile *p, enum phase phase, unsigned kind);
/* Calls learnt of a program, both phases. */
uint64_t profile_program_calls(const struct profile *p, uint64_t program);
/* Episodes per day of normal time at least this strange; at least 1/T. */
double profile_rate(const struct profile *p, enum phase phase, enum channel c, double value);
bool profile_provisional(const struct profile *p, enum phase phase);
/* Programs that this one was seen to start, at most max; returns how many. */
uint32_t profile_children(const struct profile *p, uint64_t parent, uint32_t max, uint64_t *ret);
/* Seconds since its last window or second with calls; negative: there was none yet. */
double profile_idle_s(const struct profile *p, uint64_t now_ns);
double profile_learnt_s(const struct profile *p); /* seconds with calls */
uint32_t profile_version(const struct profile *p);
/* Samples that a cap kept from being learnt. */
uint64_t profile_refused(const struct profile *p);
/* Raised by every change of state, reason (every ten seconds) or version. */
uint64_t profile_changes(const struct profile *p);

/* How far a phase is, for people. */
struct profile_phase_status {
    enum profile_state state;
    double progress;            /* 0..1 */
    char reason[160];           /* "9 of 15 active minutes; last new program 3 min ago" */
    double eta_s;               /* at the present rate; negative: not known */
    uint32_t starts;            /* start-up: starts learnt */
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
    double active_s, learnt_s;                        /* active seconds; wall seconds of learning */
    uint64_t alerts;                                  /* groups raised since ready */
    double alerts_since;                              /* wall s; 0 not ready */
    double per_day_upper95; /* chi2(.95; 2k+2) / 2T; negative: no time yet */
};
void profile_status(const struct profile *p, struct profile_status *ret);
const char *profile_workload(const struct profile *p);
const char *profile_state_name(enum profile_state s); /* "learning", ... */
