/* The deduplicated sample of what a workload does: contents of windows (their calls, errors and
 * argument classes, without times and ids) and execs, each once, with the time blocks and starts in
 * which it was seen. From it models are trained for k-fold calibration.
 *
 * Calls that are noise do not tell contents apart by their order, only by being there: futexes of
 * an event loop would make every window a content of its own. */
#pragma once

#include <stdint.h>

#include "base/index.h"
#include "base/state.h"
#include "detect/detector.h"

#define CONTENT_PHASES 2 /* PHASES of profile.h */
#define CONTENT_BLOCKS 16

enum content_mark {
    CONTENT_NEW = 1,    /* a program, pair, ... was first seen in it */
    CONTENT_JUDGED = 2, /* it alarmed, and a verdict called it benign */
};

struct content {
    uint64_t hash;
    uint64_t program, parent;        /* parent: execs */
    uint16_t mask[CONTENT_PHASES];   /* time blocks, or starts modulo 16, in which it was learnt */
    uint32_t count[CONTENT_PHASES];  /* how often it was seen */
    uint32_t learnt[CONTENT_PHASES]; /* of these, how often the model has learnt it */
    uint32_t first_s[CONTENT_PHASES], last_s; /* seconds since the profile began */
    uint32_t delta;                           /* 0: in the model; else waiting in this delta */
    uint8_t kind;                             /* SAMPLE_WINDOW or SAMPLE_EXEC */
    uint8_t marks;                            /* of enum content_mark */
    uint8_t flags, n_context, n_calls, n_errors, n_classes;
    uint16_t packed_size;
    uint8_t *packed; /* context[], sysno[], (u8 call, u16 ret)[], (u8 call, u64 class)[] */
};

struct contents {
    struct content *items; /* [n] in order of first sight */
    uint32_t n, capacity, n_max;
    struct index by_hash;
};

/* Room to unpack one content into a sample. */
struct content_room {
    struct window window;
    uint64_t class[WINDOW_CALLS_MAX];
    struct process exec;
};

uint64_t content_hash(const struct sample *s);
void contents_done(struct contents *c);
struct content *contents_find(const struct contents *c, uint64_t hash);
/* A new content with all counts zero. -ENOSPC at the cap. */
int contents_add(struct contents *c, uint64_t hash, const struct sample *s, struct content **ret);
struct sample content_sample(const struct content *c, struct content_room *room);
/* Removes all that are marked by count 0 in both phases; the order stays. */
void contents_sweep(struct contents *c);
/* Room for what comes, at nine tenths: a quarter of the contents leaves the sample, those not seen
 * for longest (the models keep them); rare ones only where they are the most. What waits stays, and
 * so does a sample that calibration can work with. */
void contents_evict(struct contents *c);
void contents_state(struct contents *c, struct state *s);
