#include "detect/trace_detector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/ngram.h"
#include "detect/stide.h"

#define TRACE_KEYS_MAX (1u << 24)
/* One more than the largest number in the training set of ADFA-LD, i386 (340). */
#define TRACE_ALPHABET 341

/* ---- stide: misses / L ---------------------------------------------------------------------- */

static int stide_create(void **ret)
{
    CLEANUP(freep) struct stide *m = malloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    int err = stide_init(m, STIDE_N, TRACE_KEYS_MAX);
    if (err < 0)
        return err;
    *ret = TAKE(m);
    return 0;
}

static void stide_destroy(void *model)
{
    stide_done(model);
    free(model);
}

static int stide_learn_trace(void *model, const struct symbols *s)
{
    return stide_learn(model, s, 1);
}

static int stide_score(const void *model, const struct symbols *s, double *ret)
{
    *ret = (double)stide_misses(model, s, NULL, NULL) / (double)s->n;
    return 0;
}

static const struct trace_detector trace_stide = {
    .name = "stide",
    .column = "stide6_mean",
    .summary = "share of 6-grams never seen",
    .create = stide_create,
    .destroy = stide_destroy,
    .learn = stide_learn_trace,
    .score = stide_score,
};

/* ---- ngram: mean surprise, with and without the gate ------------------------------------------
 */

static int ngram_create(void **ret)
{
    CLEANUP(freep) struct ngram *m = malloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    int err = ngram_init(m, NGRAM_ORDER, TRACE_ALPHABET, TRACE_KEYS_MAX);
    if (err < 0)
        return err;
    *ret = TAKE(m);
    return 0;
}

static void ngram_destroy(void *model)
{
    ngram_done(model);
    free(model);
}

static int ngram_learn_trace(void *model, const struct symbols *s)
{
    return ngram_learn(model, s, 1);
}

static int ngram_mean(const struct ngram *m, const struct symbols *s, struct gate *gate,
                      double *ret)
{
    CLEANUP(freep) double *surprise = malloc(s->n * sizeof(*surprise));
    if (!surprise)
        return -ENOMEM;
    ngram_surprises(m, s, gate, surprise, NULL);
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += surprise[i];
    *ret = sum / (double)s->n;
    return 0;
}

static int ngram_score(const void *model, const struct symbols *s, double *ret)
{
    return ngram_mean(model, s, NULL, ret);
}

static int ngram_score_gated(const void *model, const struct symbols *s, double *ret)
{
    size_t slots = 64;
    while (slots < 2 * s->n)
        slots *= 2;
    CLEANUP(freep) struct gate_slot *slot = calloc(slots, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    struct gate gate = {.slots = slot, .mask = slots - 1};
    gate_start(&gate, 1);
    return ngram_mean(model, s, &gate, ret);
}

static const struct trace_detector trace_ngram = {
    .name = "ngram",
    .column = "wb8_gate12_mean",
    .summary = "mean surprise of Witten-Bell order 8, only where the 12-gram is new in the trace",
    .create = ngram_create,
    .destroy = ngram_destroy,
    .learn = ngram_learn_trace,
    .score = ngram_score_gated,
};

static const struct trace_detector trace_ngram_ungated = {
    .name = "ngram-ungated",
    .column = "wb8_mean",
    .summary = "mean surprise of Witten-Bell order 8",
    .create = ngram_create,
    .destroy = ngram_destroy,
    .learn = ngram_learn_trace,
    .score = ngram_score,
};

extern const struct trace_detector trace_adaptive;
extern const struct trace_detector trace_jaccard;

const struct trace_detector *const trace_detector_table[] = {
    &trace_stide, &trace_ngram, &trace_ngram_ungated, &trace_adaptive, &trace_jaccard, NULL,
};

const struct trace_detector *trace_detector_find(const char *name)
{
    for (const struct trace_detector *const *d = trace_detector_table; *d; d++) {
        if (strcmp((*d)->name, name) == 0)
            return *d;
    }
    return NULL;
}
