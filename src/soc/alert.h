/* An alert: the anomalies of one container (or of several replicas with the same evidence) that
 * belong together in time, with everything that a person needs to judge it. It owns its strings.
 * Times are wall seconds; 0 for none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "detect/detector.h"
#include "detect/profile.h"
#include "event/container.h"

#define ALERT_ID_MAX 20 /* 16 hex digits and NUL */
#define ALERT_PROCESSES_MAX 64
#define ALERT_SEQUENCES_MAX 16
#define ALERT_NOVELTIES_MAX 64
#define ALERT_KEYS_MAX 16
#define ALERT_DETECTORS_MAX 8

struct alert_process {
    uint64_t start_ns, parent_start_ns; /* with the tgid: names the process within the capture */
    uint32_t tgid, parent_tgid;         /* parent 0: unknown or outside the container */
    char *program, *arguments;
    double first, last;
    bool strange;
    uint8_t flags; /* enum program_flag */
};

struct alert_call {
    uint16_t sysno, ret; /* ret class; 0 for calls of the context */
    bool context, strange;
    char *argument; /* "read /etc/shadow"; NULL: none, or no text */
};

struct alert_expected {
    uint16_t sysno;
    float share;
};

/* One strange window. */
struct alert_sequence {
    double time;
    uint64_t start_ns; /* the process */
    uint32_t tgid, tid;
    char *program;
    const char *detector;     /* name, static */
    double value;             /* its score; 1 is the threshold */
    uint64_t key;             /* of its strongest evidence */
    struct alert_call *calls; /* [n_calls] context first */
    uint32_t n_calls;
    struct alert_expected expected[EXPECTED_MAX]; /* at the first strange call */
    uint8_t n_expected;
    uint64_t capture, position; /* window id */
};

struct alert_novelty {
    uint8_t kind; /* enum evidence_kind, not NGRAM */
    double time;
    uint64_t start_ns;
    uint32_t tgid;
    char *program;
    char *text; /* what is new: "/usr/bin/id", "dash -> id", "ptrace", "openat EACCES", ... */
    char *sentence;
    uint32_t count;
    uint64_t key;
    double strangeness;
    bool bold; /* a path or address that opens an alert alone (features/arguments.h) */
};

struct alert_channel {
    double peak, threshold; /* threshold 0: the channel is off */
    double share;           /* of the evidence, 0..1 */
    bool over;              /* it reached its threshold */
};

struct alert {
    char id[ALERT_ID_MAX];
    double score; /* 50..99 */
    bool provisional, held, open;
    uint8_t phase;    /* enum phase */
    double last_over; /* when it last showed something that would open an alert by itself */
    double first, last, raised; /* raised: wall time of the cut that showed it */
    double latency_s;           /* raised - time of the first strange call's run */
    char *workload;
    uint64_t capture;
    char node[64];
    struct container container; /* a copy: the first container it was seen in */
    struct alert_channel channels[CHANNELS];
    struct {
        const char *name;
        double share;
    } detectors[ALERT_DETECTORS_MAX];
    uint32_t n_detectors;

    struct alert_process *processes;  /* [n_processes] parents before children */
    struct alert_sequence *sequences; /* [n_sequences] in time order */
    struct alert_novelty *novelties;  /* [n_novelties] in time order */
    uint32_t n_processes, n_sequences, n_novelties;
    uint64_t keys[ALERT_KEYS_MAX]; /* strongest first */
    uint32_t n_keys;
    char linked[ALERT_ID_MAX]; /* "" or the alert that this one follows: after an hour, out of a
                                * held start, or with the same evidence after it was judged */
    uint32_t replicas;         /* containers it was seen in */
    uint32_t repeats;          /* times the same evidence came back */
    uint32_t profile_version;
    double learnt_s; /* seconds of learning behind the profile when it opened */
    uint64_t calls;  /* calls of the strange windows */
};

void alert_free(struct alert *a);
