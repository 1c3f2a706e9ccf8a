/* The engine: decoded blocks in, alerts and scores out. The same code runs live, in replay, in
 * `demo` and in `eval`.
 *
 * Deterministic: no clock, no randomness; time comes from the blocks, and what the thread of a
 * calibration works out is taken over at a time of theirs (profile.h). So whoever keeps
 * engine_save()'s bytes of some block, and gives the blocks after it again, gets the same outputs
 * again, with the same ids: writing them to the store is idempotent.
 *
 * Blocks of one capture must come in order; several captures may be mixed. Every table has a cap;
 * what it refused is counted. Not thread-safe: one thread, or a lock around it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "detect/profile.h"
#include "event/block.h"
#include "soc/alert.h"

struct engine;

struct engine_options {
    struct profile_options profile; /* profile_options_default() */
    uint32_t containers_max;        /* 16384 */
    uint32_t processes_max;         /* 65536 */
    uint32_t texts_max;             /* 262144 */
    uint32_t profiles_max;          /* 1024 */
    uint32_t alerts_max;            /* 1024 alerts kept in memory for extension and verdicts */
    double extend_s;                /* 60: an alert takes in what comes within */
    double quiet_s;                 /* 300: it closes after */
    double alert_max_s;             /* 3600: a new, linked one after */
};
void engine_options_default(struct engine_options *ret);

int engine_new(const struct engine_options *options, struct engine **ret);
void engine_free(struct engine *e);

enum alert_change { ALERT_OPENED, ALERT_CHANGED, ALERT_CLOSED };

struct engine_alert {
    enum alert_change change;
    double told; /* the highest score told of it before; negative: none */
    const struct alert *alert;
};

#define SCORE_WHY_MAX 240

/* Score of a closed second of a container in one channel: every one above half its threshold, and
 * the highest of each minute. Value and threshold are on one scale: 0 none, the threshold is 1. */
struct engine_score {
    uint64_t capture;
    uint32_t container;
    uint8_t channel, phase;
    double time;            /* wall s */
    float value, threshold; /* threshold 0: not ready */
    uint32_t version;
    const char *detector;    /* the strongest; static */
    char why[SCORE_WHY_MAX]; /* a sentence: its strongest piece of evidence; "" below .5 */
};

enum keep_reason { KEEP_NORMAL, KEEP_NEAR, KEEP_ANOMALOUS };

struct engine_keep {
    const struct window *window;
    enum keep_reason reason;
    const char *workload;
    double time; /* wall s of its first call */
};

struct engine_counters {
    uint64_t blocks, windows, calls, bins, execs;
    uint64_t anomalies;  /* container-seconds with a channel at its threshold */
    uint64_t suppressed; /* evidence left out by suppressions */
    uint64_t refused_containers, refused_processes, refused_texts, refused_profiles, refused_alerts;
    uint64_t refused_learning;  /* samples that a cap kept from being learnt */
    uint64_t unknown_container; /* windows of containers without a record */
    uint32_t containers, processes, texts, profiles, alerts_open;
};

/* What one block led to. Borrowed: valid until the next call that changes the engine. */
struct engine_output {
    const struct engine_alert *alerts;
    const struct engine_score *scores;
    const struct engine_keep *keeps;
    const struct profile *const *profiles; /* that changed: profile_changes() */
    uint32_t n_alerts, n_scores, n_keeps, n_profiles;
};

/* Also closes quiet alerts and seconds: blocks without windows move time. -ENOMEM. */
int engine_block(struct engine *e, const struct block *b, struct engine_output *ret);

void engine_counters(const struct engine *e, struct engine_counters *ret);

/* In order of appearance; NULL: there are not so many. */
const struct profile *engine_profile(const struct engine *e, uint32_t i);
const struct profile *engine_profile_find(const struct engine *e, const char *workload);
/* Containers that run now under the workload. */
uint32_t engine_profile_containers(const struct engine *e, const struct profile *p);
/* Forgets what was learnt: the workload starts learning again. -ENOENT. */
int engine_profile_reset(struct engine *e, const char *workload);

/* Alerts in memory (open, and the latest closed ones). NULL if it is not there any more. */
const struct alert *engine_alert_find(const struct engine *e, const char *id);
uint32_t engine_alerts(const struct engine *e);
const struct alert *engine_alert(const struct engine *e, uint32_t i);

/* Phase of a running container and the text of an id, for listings. */
bool engine_container_phase(const struct engine *e, uint64_t capture, uint32_t number,
                            enum phase *ret);
const char *engine_text(const struct engine *e, uint64_t id); /* NULL if unknown */

enum verdict { VERDICT_NONE, VERDICT_FALSE_ALARM, VERDICT_EXPECTED, VERDICT_INCIDENT };

/* What a person decided. False alarm and expected: the windows held back enter the model, and the
 * profile is to be calibrated anew. -ENOENT when the alert is no longer in memory. Snapshot
 * afterwards: verdicts are not in the blocks. */
int engine_verdict(struct engine *e, const char *id, enum verdict verdict);

/* Evidence with this key never counts in this workload until it expires; key 0: nothing of the
 * workload alerts (maintenance). Not part of engine_save(): the store has them. */
struct engine_suppression {
    const char *id, *workload, *author;
    uint64_t key;
    double expires; /* wall s, 0 never */
};
int engine_suppress(struct engine *e, const struct engine_suppression *s); /* same id: replaced */
void engine_unsuppress(struct engine *e, const char *id);
uint32_t engine_suppressions(const struct engine *e, const char *workload);

/* The whole state but suppressions and options. */
void engine_save(const struct engine *e, struct buf *ret);
/* -EBADMSG on malformed bytes. */
int engine_load(const void *data, size_t size, const struct engine_options *options,
                struct engine **ret);
