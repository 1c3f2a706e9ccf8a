/* Whole-trace evaluation: detectors on labelled traces, calibrated on held-out normal ones.
 *
 * Held-out scores come from k folds of the training traces; copies are in the same fold. The
 * combination is the sum of -ln p over the detectors, calibrated once more on the held-out sums. */
#pragma once

#include "detect/trace_detector.h"
#include "features/traces.h"

enum protocol {
    PROTOCOL_STRICT, /* train on the training traces, test on all others */
    PROTOCOL_HALF,   /* train on half of the normal validation traces as well */
    PROTOCOL_STREAM, /* learn online all but true alarms; figures of the second half */
};
const char *protocol_name(enum protocol p);
/* -ENOENT for an unknown name. */
int protocol_parse(const char *name, enum protocol *ret);

#define EVALUATE_DETECTORS_MAX 8
#define EVALUATE_RATES 3
extern const double evaluate_rates[EVALUATE_RATES]; /* .01 .05 .10 */

struct evaluate_options {
    const struct trace_detector *detectors[EVALUATE_DETECTORS_MAX]; /* [n_detectors] */
    bool combined[EVALUATE_DETECTORS_MAX]; /* a part of the combination (two or more) */
    size_t n_detectors;
    enum protocol protocol;
    unsigned folds;                                         /* 10 */
    void (*progress)(void *arg, size_t done, size_t total); /* may be NULL; in symbols */
    void *progress_arg;
};

struct evaluate_class {
    size_t n;
    double auc;
    double rate[EVALUATE_RATES];
};

struct evaluate_row {
    const char *name; /* of the detector, or "combined" */
    double auc;       /* chance that an attack scores above a normal trace, ties half */
    double auc_dedup; /* the same with each different trace once a label */
    double
        rate[EVALUATE_RATES]; /* attacks found with the threshold at that share of false alarms */
    /* With thresholds from held-out p-values, as in use: found and realised false alarms. NAN where
     * the protocol does not give it. */
    double found[EVALUATE_RATES], false_alarms[EVALUATE_RATES];
    struct evaluate_class class[TRACE_CLASSES_MAX];
};

struct evaluation {
    size_t n_training, n_normal, n_attack; /* tested: normal and attack */
    size_t n_rows;
    struct evaluate_row rows[EVALUATE_DETECTORS_MAX + 1];
    double *score[EVALUATE_DETECTORS_MAX]; /* [traces], NAN where not tested */
};

/* -EINVAL (no detector, folds < 2, too few traces), -ENOMEM. */
int evaluate(const struct traces *t, const struct evaluate_options *o, struct evaluation **ret);
void evaluation_free(struct evaluation *e);

/* The area under the curve of two sets of scores (Mann-Whitney). Sorts both. */
double auc(double *normal, size_t n_normal, double *attack, size_t n_attack);
