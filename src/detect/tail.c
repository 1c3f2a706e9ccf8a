#include "detect/tail.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define EXCESSES_MIN 50
#define SHAPE_MAX .5

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* b0 = mean of the excesses, b1 = mean of each times the share of excesses below it:
 * xi = 2 - b0 / (b0 - 2 a1), beta = 2 b0 a1 / (b0 - 2 a1) with a1 = mean of x (1 - F). */
static void fit_pareto(struct tail *t)
{
    double b0 = 0, a1 = 0;
    for (uint32_t i = 0; i < t->n_excess; i++) {
        double x = t->peak[i] - t->u;
        double above = (i + .35) / t->n_excess; /* 1 - F of the i-th highest */
        b0 += x / t->n_excess;
        a1 += x * above / t->n_excess;
    }
    t->xi = 0;
    t->beta = b0;
    double d = b0 - 2 * a1;
    if (t->n_excess < EXCESSES_MIN || d <= 0)
        return;
    double xi = 2 - b0 / d;
    if (xi < 0 || xi > SHAPE_MAX)
        return;
    t->xi = xi;
    t->beta = 2 * b0 * a1 / d;
}

void tail_fit(struct tail *t)
{
    qsort(t->peak, t->n, sizeof(*t->peak), descending);
    t->n_excess = 0;
    if (t->n < 10)
        return;
    uint32_t at = MAX(t->n / 4, 9);
    t->u = t->peak[at];
    while (t->n_excess < at && t->peak[t->n_excess] > t->u)
        t->n_excess++;
    if (t->n_excess)
        fit_pareto(t);
}

static uint32_t count_above(const struct tail *t, double x)
{
    uint32_t n = 0;
    while (n < t->n && t->peak[n] >= x)
        n++;
    return n;
}

double tail_rate(const struct tail *t, double x)
{
    if (t->days <= 0)
        return INFINITY;
    if (!t->n_excess || x <= t->u)
        return count_above(t, x) / t->days;
    double z = (x - t->u) / t->beta, rate = t->n_excess / t->days;
    if (t->xi == 0)
        return rate * exp(-z);
    double base = 1 + t->xi * z;
    return base > 0 ? rate * pow(base, -1 / t->xi) : 0;
}

double tail_threshold(const struct tail *t, double per_day)
{
    if (t->n == 0)
        return 0;
    double rate_u = t->n_excess / t->days;
    if (t->n_excess && per_day < rate_u) {
        double ratio = rate_u / per_day;
        return t->u + t->beta * (t->xi == 0 ? log(ratio) : (pow(ratio, t->xi) - 1) / t->xi);
    }
    double allowed = per_day * t->days;
    return allowed < t->n ? nextafter(t->peak[(uint32_t)allowed], INFINITY) : t->peak[t->n - 1];
}

/* P(Poisson(mean) <= k), summed in logarithms. */
static double poisson_cdf(double mean, uint64_t k)
{
    double sum = 0;
    for (uint64_t i = 0; i <= k; i++)
        sum += exp((double)i * log(mean) - mean - lgamma((double)i + 1));
    return sum;
}

double poisson_upper95(uint64_t k)
{
    if (k > 10000) /* normal approximation; nobody reads that many alerts */
        return (double)k + 1.645 * sqrt((double)k);
    double low = 1e-9, high = (double)k + 10 + 4 * sqrt((double)k);
    for (int i = 0; i < 100; i++) {
        double mid = (low + high) / 2;
        if (poisson_cdf(mid, k) > .05)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}
