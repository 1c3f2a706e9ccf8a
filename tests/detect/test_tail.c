/* Rates of peaks, and what a number of alerts is worth. */
#include "test.h"

#include <math.h>

#include "detect/tail.h"

static void near(double a, double b, double tolerance)
{
    if (fabs(a - b) > tolerance)
        fail_msg("%g is not %g", a, b);
}

/* Quantiles of a generalised Pareto distribution: x = beta / xi ((1 - F)^-xi - 1). */
static void fill(struct tail *t, uint32_t n, double xi, double beta, double days)
{
    *t = (struct tail){.days = days, .n = n};
    for (uint32_t i = 0; i < n; i++) {
        double above = (i + .5) / n;
        t->peak[i] = xi == 0 ? -beta * log(above) : beta / xi * (pow(above, -xi) - 1);
    }
    tail_fit(t);
}

static void test_poisson(void **state)
{
    (void)state;
    /* chi2(.95; 2k+2) / 2 from tables: 5.991/2, 9.488/2, 12.592/2, 31.410/2 */
    near(poisson_upper95(0), 2.9957, 1e-3);
    near(poisson_upper95(1), 4.7439, 1e-3);
    near(poisson_upper95(2), 6.2958, 1e-3);
    near(poisson_upper95(9), 15.705, 1e-2);
    assert_true(poisson_upper95(100000) > 100000);
}

static void test_exponential_tail(void **state)
{
    (void)state;
    struct tail t;
    fill(&t, 400, 0, 1, 100);
    assert_true(t.n_excess >= 90);
    near(t.xi, 0, .06);
    near(tail_rate(&t, t.peak[10]), .105, .02); /* 10.5 of 400 in 100 days */
    double x = tail_threshold(&t, .01);         /* one in 100 days: -ln(1/400) = 5.99 */
    near(x, 5.99, .35);
    near(tail_rate(&t, x), .01, 1e-6);
}

static void test_heavy_tail(void **state)
{
    (void)state;
    struct tail t;
    fill(&t, 500, .25, 1, 10);
    near(t.xi, .25, .08);
    assert_true(tail_threshold(&t, .1) > tail_threshold(&t, 1));
    near(tail_rate(&t, tail_threshold(&t, .1)), .1, 1e-6);
}

/* A tail that would end is taken for an exponential one: what is asked lies far beyond the peaks.
 */
static void test_no_end_is_believed(void **state)
{
    (void)state;
    struct tail t;
    fill(&t, 500, -.3, 1, 10);
    near(t.xi, 0, 0);
    assert_true(tail_threshold(&t, 1e-3) > 1.5 * t.peak[0]);
}

static void test_few_peaks_are_counted(void **state)
{
    (void)state;
    struct tail t = {.days = .5, .n = 3, .peak = {.2, .9, .5}};
    tail_fit(&t);
    assert_int_equal(t.n_excess, 0);
    near(t.peak[0], .9, 0);
    near(tail_rate(&t, .5), 4, 1e-12);
    near(tail_rate(&t, 1), 0, 0);
    assert_true(tail_threshold(&t, 1) > .9); /* none allowed in half a day */
    assert_true(tail_threshold(&t, 2) > .5 && tail_threshold(&t, 2) <= .9);
    near(tail_threshold(&t, 6), .2, 0); /* all of them; what is lower was not seen */
    near(tail_threshold(&t, 1000), .2, 0);
    struct tail none = {.days = 1};
    tail_fit(&none);
    near(tail_rate(&none, .1), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poisson),
        cmocka_unit_test(test_exponential_tail),
        cmocka_unit_test(test_heavy_tail),
        cmocka_unit_test(test_no_end_is_believed),
        cmocka_unit_test(test_few_peaks_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
