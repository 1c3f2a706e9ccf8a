/* What a score means beside held-out normal scores: p-values with a fitted tail. */
#pragma once

#include <stddef.h>

/* Generalised Pareto tail of excesses over u (Pickands 1975), fitted by probability-weighted
 * moments (Hosking and Wallis 1987): P(X > u + y | X > u) = (1 + shape y / scale)^(-1/shape), shape
 * 0: exp. */
struct pareto {
    double u, scale, shape;
    size_t n; /* excesses it was fitted to */
};

#define PARETO_EXCESSES_MIN                                                                        \
    50 /* below, or where the fit is unstable (|shape| >= .5): exponential                         \
        */

/* excess [n] >= 0, ascending. n = 0 gives scale 0: nothing lies beyond u. */
void pareto_fit(const double *excess, size_t n, double u, struct pareto *ret);
double pareto_above(const struct pareto *t, double x); /* 1 at and below u */

struct calibration {
    double *held_out; /* [n] ascending */
    size_t n;
    struct pareto tail; /* above their 99th percentile */
};

/* Copies and sorts; n > 0. -ENOMEM. */
int calibration_init(struct calibration *c, const double *held_out, size_t n);
void calibration_done(struct calibration *c);
#define CALIBRATION_P_MIN 1e-12 /* no tail fitted to hundreds of scores says more than that */
/* p = (1 + #{held-out >= x}) / (n + 1), above the 99th percentile with the tail. In (0, 1]. */
double calibration_p(const struct calibration *c, double x);
