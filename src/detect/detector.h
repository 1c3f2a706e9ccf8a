/* The detector table: one algorithm a file, each behind these functions (docs/ADDING.md).
 *
 * A detector looks at samples: a window, a bin, or an exec. It learns counts, so that models of
 * parts add up, and its score is a sum over evidence items, so that the alert stage can leave out
 * what it has seen before and rescore (docs/ALERTS.md, "The alert").
 *
 * score() is a pure function of model and sample: any number of threads may score with one model as
 * long as none learns. learn, merge and prepare need the model for themselves. Other models are
 * learnt on other threads at the same time (calibration): state outside of a model is thread-local.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "event/block.h"

enum channel { CHANNEL_NOVELTY, CHANNEL_SEQUENCE, CHANNEL_FREQUENCY, CHANNELS };

enum sample_kind { SAMPLE_WINDOW, SAMPLE_BIN, SAMPLE_EXEC };

/* What features/ makes of a block's items. Exactly one of window, bin, exec is set. */
struct sample {
    enum sample_kind kind;
    const struct window *window;
    /* window: [n_calls] key of the argument class, 0 none or no text; may be NULL */
    const uint64_t *argument_class;
    const struct bin *bin;
    const struct process *exec; /* event PROCESS_EXEC */
};

enum evidence_kind {
    EVIDENCE_NGRAM,    /* a call sequence that was not seen, or is rare here */
    EVIDENCE_PROGRAM,  /* a program never seen */
    EVIDENCE_EDGE,     /* a program started by one that never did */
    EVIDENCE_PAIR,     /* a syscall this program never made */
    EVIDENCE_ERRNO,    /* an error this (program, syscall) never gave */
    EVIDENCE_ARGUMENT, /* an argument class this program never used */
    EVIDENCE_RATE,     /* a count far from normal */
    EVIDENCE_KINDS,
};

#define EXPECTED_MAX 3

struct evidence {
    uint64_t key;       /* hash of what is strange: unit of memory, suppression and grouping */
    double strangeness; /* >= 0, in the detector's unit */
    uint64_t program;   /* text id */
    uint64_t detail;    /* edge: parent program; argument: class key; rate: count seen */
    uint8_t kind;       /* enum evidence_kind */
    int8_t first, last; /* window: calls [first, last]; negative lies in the context (-1 newest) */
    uint16_t sysno;     /* the call at fault: the last one of an n-gram */
    uint16_t error;     /* errno: ret class */
    float normal;       /* rate: mean in normal time */
    uint8_t n_expected;
    struct {
        uint16_t sysno;
        float share;          /* 0..1: how often it follows here in normal time */
    } expected[EXPECTED_MAX]; /* n-gram: what normally comes instead, commonest first */
};

#define EVIDENCE_MAX 64
#define SCORE_CALLS_MIN 16 /* short windows are not to weigh more than this many calls */

/* value = sum of strangeness / per, over all evidence. Rescoring without what was seen before: the
 * sum over the items left / per. Items are in the order of their calls; with more than EVIDENCE_MAX
 * the strangest are kept (windows never have more, except for novelty). */
struct score {
    double value;
    double per; /* sequences: max(calls looked at, 16), noise calls are not looked at; else 1 */
    uint32_t n;
    struct evidence items[EVIDENCE_MAX];
};

struct detector {
    const char *name; /* "stide", ... as in the configuration and in reports */
    enum channel channel;
    unsigned samples; /* 1 << enum sample_kind of what it looks at */
    double score_max; /* largest possible value: no threshold may reach it (INFINITY: none) */

    int (*create)(void **ret);
    void (*destroy)(void *model);
    /* Adds weight copies of the sample. -ENOSPC when a cap is reached (counted by the caller). */
    int (*learn)(void *model, const struct sample *s, uint32_t weight);
    void (*score)(const void *model, const struct sample *s, struct score *ret);
    /* The same counts give the same bytes, in whatever order they were learnt (sums of reals: up to
     * rounding). */
    void (*save)(const void *model, struct buf *ret);
    int (*load)(const void *data, size_t size, void **ret); /* -EBADMSG on malformed bytes */

    /* Optional (NULL): */
    /* Adds the counts of another model of this detector, as if all had been learnt by one. */
    int (*merge)(void *model, const void *other);
    /* Call when learning or merging is over and before scores count: does work that is too dear to
     * do after every sample. Scores without it are allowed and lag up to a tenth of the samples
     * behind; load() does it by itself. */
    int (*prepare)(void *model);
};

extern const struct detector *const detector_table[];   /* NULL-terminated */
const struct detector *detector_find(const char *name); /* NULL if there is none */

/* Of a novelty model: calls learnt of a program (its pairs count from 500 on: docs/ALERTS.md). */
uint64_t novelty_program_calls(const void *model, uint64_t program);
