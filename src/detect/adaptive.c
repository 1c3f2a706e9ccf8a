/* Witten-Bell that learns from the trace it scores: N = N_training + 100 N_trace, order 12, the
 * trace's counts raised after each symbol; the score is the mean of the largest 30 % of the
 * surprises. What repeats itself inside a trace stops being strange, what stays strange stands out.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/ngram.h"
#include "detect/trace_detector.h"

#define ORDER 12
#define WEIGHT 100
#define LARGEST .3
#define ALPHABET 341
#define NODES_MAX (1u << 26)

static int create(void **ret)
{
    CLEANUP(freep) struct ngram *m = malloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    int err = ngram_init(m, ORDER, ALPHABET, NODES_MAX);
    if (err < 0)
        return err;
    *ret = TAKE(m);
    return 0;
}

static void destroy(void *model)
{
    ngram_done(model);
    free(model);
}

static int learn(void *model, const struct symbols *s)
{
    return ngram_learn(model, s, 1);
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static int score(const void *model, const struct symbols *s, double *ret)
{
    CLEANUP(freep) double *surprise = malloc(s->n * sizeof(*surprise));
    if (!surprise)
        return -ENOMEM;
    int err = ngram_surprises_adaptive(model, s, WEIGHT, surprise);
    if (err < 0)
        return err;
    qsort(surprise, s->n, sizeof(*surprise), descending);
    size_t n = (size_t)ceil(LARGEST * (double)s->n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += surprise[i];
    *ret = sum / (double)n;
    return 0;
}

extern const struct trace_detector trace_adaptive;
const struct trace_detector trace_adaptive = {
    .name = "adaptive",
    .column = "ad12w100_t30",
    .summary = "largest 30 % of the surprises of Witten-Bell order 12 that learns within the trace",
    .combined = true,
    .create = create,
    .destroy = destroy,
    .learn = learn,
    .score = score,
};
