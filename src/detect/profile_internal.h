/* Inside of a profile, shared by the files profile*.c and calibrate.c. */
#pragma once

#include "detect/contents.h"
#include "detect/profile.h"
#include "detect/tail.h"

struct calibration;

#define PROFILE_BLOCKS_FIRST 5 /* time blocks in the shortest learning */
#define PROFILE_FOLDS 3
#define PROFILE_DELTAS_MAX 4096
#define PROFILE_BINS_MAX 4096  /* bins kept per phase */
#define PROFILE_BINS_STRIDE 16 /* of the seconds after learning one in so many is learnt */
#define TAINTS 4               /* alerts near an hour that are told apart ... */
#define TAINT_MANY UINT64_MAX  /* ... with more, no verdict clears it */
#define PROFILE_HOUR_S 3600
#define PROFILE_DAY_S 86400
#define PROFILE_RETIRED_S (7.0 * PROFILE_DAY_S) /* without a call for so long */

/* What one phase calls strange; made by calibration. */
struct limits {
    bool ready;
    double base[PROFILE_DETECTORS_MAX]; /* raw value that stands for 1; INFINITY: detector off */
    double theta[CHANNELS];             /* threshold in units of base; 0: channel off */
    double extend[CHANNELS];            /* in units of theta */
    uint32_t clean;                     /* bit per enum evidence_kind: opens alone */
    struct tail tail[CHANNELS];
};

/* Contents that wait: for their hour to be merged, or for the verdict on an alert. */
struct delta {
    uint32_t id;
    uint64_t container;
    uint64_t alert;         /* not 0: held for its verdict */
    uint64_t taint[TAINTS]; /* alerts that were near and are not judged benign; 0: none */
    uint32_t from_s;        /* beginning of the hour */
};

struct bin_item {
    uint32_t second_s, delta, n_counts;
    uint16_t block;
    struct bin_count *counts;
};

struct bin_sample {
    struct bin_item *items; /* [n] capacity PROFILE_BINS_MAX */
    uint32_t n, stride, skipped;
    uint64_t seen; /* seconds of all containers: of these it is the sample */
};

struct profile {
    char *workload;
    struct profile_options options;
    const struct detector *detector[PROFILE_DETECTORS_MAX];
    uint32_t n_detectors;
    void *model[PHASES][PROFILE_DETECTORS_MAX];
    struct limits limits[PHASES];
    struct contents contents;
    struct bin_sample bins[PHASES];
    struct delta *deltas; /* [n_deltas] */
    uint32_t n_deltas, delta_next;
    struct calibration *calibration; /* the one that runs, or NULL */
    uint8_t calibrate;               /* bit per phase: to be calibrated when its turn comes */

    uint64_t epoch_ns; /* first sight; seconds count from here */
    uint64_t now_ns;
    uint64_t seen_ns;                        /* last window, exec or second */
    uint64_t active_second, observed_second; /* the last one counted */
    uint32_t active_s, observed_s;
    uint32_t last_new_active_s; /* active_s when a program, edge or pair was last new */
    uint64_t last_new_ns;
    uint8_t last_new_kind;
    uint32_t block_s; /* seconds per time block */
    /* What a time block or start, and later an hour, has added to the sample: it may only add a
     * part, else a busy event loop, whose windows are nearly all different, fills it in its first
     * minute and nothing later is held out. */
    struct {
        uint32_t of, used;
    } quota[PHASES];
    uint32_t starts_begun, starts_done;
    uint64_t ready_ns[PHASES];
    uint32_t version;
    uint64_t windows, calls, programs, pairs, ngrams, refused, alerts, changes;
    uint64_t raised_ns[256]; /* times of the last groups raised, a ring */
    struct {
        uint64_t now_ns, container, alert;
    } near[64]; /* the last alerts by container: taint deltas that begin within the hour */
    uint8_t state;
    uint64_t reason_minute;
};

static inline uint32_t profile_s(const struct profile *p, uint64_t now_ns)
{
    return now_ns > p->epoch_ns ? (uint32_t)((now_ns - p->epoch_ns) / 1000000000u) : 0;
}

static inline bool detector_sees(const struct detector *d, enum sample_kind kind)
{
    return d->samples & 1u << kind;
}

/* Block of steady time now: 0..CONTENT_BLOCKS-1. */
uint32_t profile_block(struct profile *p);
/* Learns a content in a phase's models. */
void profile_learn(struct profile *p, enum phase phase, const struct sample *s, uint32_t weight);
/* Scores a sample by one detector's model of the phase; each phase leaves out what the other knows,
 * steady only calls and sequences. */
void profile_score(const struct profile *p, enum phase phase, void *const *model, uint32_t d,
                   const struct sample *s, struct score *ret);
/* Trains k-fold and sets the limits. -ENOMEM: they stay as they were. */
int profile_calibrate(struct profile *p, enum phase phase);
void profile_prepare(struct profile *p, enum phase phase);

/* calibration.c. Steady running is learnt: it, and start-up if enough starts were seen, are to be
 * calibrated if they are not yet. */
void calibration_request(struct profile *p);
/* The phases that were calibrated are to be so again: their models have learnt. */
void calibration_again(struct profile *p);
bool calibration_due(const struct profile *p, enum phase phase); /* asked for or running */
double calibration_left_s(const struct profile *p);
/* Takes over what has been worked out when its time has come. */
void calibration_follow(struct profile *p, uint64_t now_ns);
void calibration_state(struct profile *p, struct state *s);
void calibration_free(struct calibration *c); /* waits for its thread */
/* A profile without the calibration that is due or runs. */
void profile_save_core(const struct profile *p, struct buf *ret);
int profile_load_core(struct reader *r, const struct profile_options *options,
                      struct profile **ret);
