/* How often normal time gets as strange as x: rates of episodes per day, and what figures of alerts
 * are worth (docs/ALERTS.md, "Thresholds"). */
#pragma once

#include <stdint.h>

#define TAIL_PEAKS_MAX 512

/* Peaks of episodes of held-out normal time. Above the 3/4 quantile u a generalised Pareto tail
 * fitted by probability-weighted moments (Hosking and Wallis 1987); exponential (xi = 0) below 50
 * excesses, where the fit is unstable (xi > .5) and where it would end (xi < 0): what is asked lies
 * far beyond the peaks, and where they end a few of them do not tell. */
struct tail {
    double days; /* held-out time */
    uint32_t n;  /* peaks kept, highest first */
    double peak[TAIL_PEAKS_MAX];
    uint32_t n_excess; /* 0: not fitted */
    double u, xi, beta;
};

/* Sorts the peaks and fits. */
void tail_fit(struct tail *t);
/* Episodes per day with a peak of at least x: counted up to u, fitted above. */
double tail_rate(const struct tail *t, double x);
/* Smallest x whose rate is at most per_day; not below the lowest peak: what is under it was not
 * kept or never seen. 0 without peaks. */
double tail_threshold(const struct tail *t, double per_day);

/* Upper 95 % bound of a Poisson mean after k events: chi2(.95; 2k + 2) / 2. */
double poisson_upper95(uint64_t k);
