#include "detect/p_value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define TAIL_FROM .99

void pareto_fit(const double *excess, size_t n, double u, struct pareto *ret)
{
    double a0 = 0, a1 = 0; /* E[X], E[X (1 - F)] with plotting positions (i + .65) / n */
    for (size_t i = 0; i < n; i++) {
        a0 += excess[i] / (double)n;
        a1 += excess[i] * (1 - ((double)i + .65) / (double)n) / (double)n;
    }
    *ret = (struct pareto){.u = u, .scale = a0, .n = n};
    if (n < PARETO_EXCESSES_MIN || !(a0 - 2 * a1 > 0))
        return;
    double shape = 2 - a0 / (a0 - 2 * a1), scale = 2 * a0 * a1 / (a0 - 2 * a1);
    if (!(fabs(shape) < .5) || !(scale > 0) || (shape < 0 && excess[n - 1] >= -scale / shape))
        return;
    ret->shape = shape;
    ret->scale = scale;
}

double pareto_above(const struct pareto *t, double x)
{
    double y = x - t->u;
    if (!(y > 0))
        return 1;
    if (!(t->scale > 0))
        return 0;
    if (fabs(t->shape) < 1e-9)
        return exp(-y / t->scale);
    double base = 1 + t->shape * y / t->scale;
    return base > 0 ? pow(base, -1 / t->shape) : 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int calibration_init(struct calibration *c, const double *held_out, size_t n)
{
    CLEANUP(freep) double *sorted = malloc(n * sizeof(*sorted));
    CLEANUP(freep) double *excess = malloc(n * sizeof(*excess));
    if (!sorted || !excess)
        return -ENOMEM;
    memcpy(sorted, held_out, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), ascending);
    double u = sorted[(size_t)(TAIL_FROM * (double)(n - 1))];
    size_t excesses = 0;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i] > u)
            excess[excesses++] = sorted[i] - u;
    }
    pareto_fit(excess, excesses, u, &c->tail);
    c->n = n;
    c->held_out = TAKE(sorted);
    return 0;
}

void calibration_done(struct calibration *c)
{
    free(c->held_out);
    *c = (struct calibration){0};
}

/* Held-out scores below x. */
static size_t below(const struct calibration *c, double x)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->held_out[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double calibration_p(const struct calibration *c, double x)
{
    const struct pareto *t = &c->tail;
    double body = (double)(1 + c->n - below(c, MIN(x, t->u))) / (double)(c->n + 1);
    if (x <= t->u)
        return body;
    if (t->n == 0) /* all that is known: larger than anything held out */
        return 1 / (double)(c->n + 1);
    return MAX(body * pareto_above(t, x), CALIBRATION_P_MIN);
}
