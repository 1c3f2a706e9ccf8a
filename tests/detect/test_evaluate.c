/* p-values, tails, areas, and the evaluation of a small made-up set of traces. */
#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/evaluate.h"
#include "detect/p_value.h"

DEFINE_CLEANUP(traces_free, struct traces *)

static void area_by_hand(void **state)
{
    (void)state;
    double normal[] = {3, 1, 2}, attack[] = {2, 9};
    /* 2 beats 1 and ties with 2: 1.5 of 3; 9 beats all: 3 of 3. */
    assert_true(fabs(auc(normal, 3, attack, 2) - 4.5 / 6) < 1e-12);
    assert_true(isnan(auc(normal, 0, attack, 2)));
}

static void p_is_counted_in_the_body(void **state)
{
    (void)state;
    double held_out[199];
    for (int i = 0; i < 199; i++)
        held_out[i] = (i * 37) % 199;
    struct calibration c;
    assert_int_equal(calibration_init(&c, held_out, 199), 0);
    assert_true(calibration_p(&c, -1) == 1);
    assert_true(fabs(calibration_p(&c, 100) - 100 / 200.) < 1e-12); /* 99 at or above */
    double last = 1;
    for (double x = 0; x < 400; x += .5) {
        double p = calibration_p(&c, x);
        assert_true(p > 0 && p <= last);
        last = p;
    }
    assert_true(last < 1e-6); /* far beyond all of them: the tail says more than 1/200 */
    calibration_done(&c);
}

static void equal_scores_have_no_tail(void **state)
{
    (void)state;
    double held_out[100] = {0};
    struct calibration c;
    assert_int_equal(calibration_init(&c, held_out, 100), 0);
    assert_true(calibration_p(&c, 0) == 1);
    assert_true(fabs(calibration_p(&c, .001) - 1 / 101.) < 1e-12);
    calibration_done(&c);
}

/* Quantiles of a generalised Pareto distribution give back its parameters. */
static void tail_finds_its_parameters(void **state)
{
    (void)state;
    double x[2000];
    for (int k = 0; k < 2; k++) {
        double shape = k ? -.25 : .2;
        for (int i = 0; i < 2000; i++)
            x[i] = 3 / shape * (pow(1 - (i + .5) / 2000, -shape) - 1);
        struct pareto t;
        pareto_fit(x, 2000, 10, &t);
        assert_true(fabs(t.shape - shape) < .02);
        assert_true(fabs(t.scale - 3) < .1);
        assert_true(fabs(pareto_above(&t, 10 + x[1800]) - .1) < .01);
    }
    struct pareto t;
    pareto_fit(x, 20, 0, &t); /* too few: exponential */
    assert_true(t.shape == 0);
}

/* ---- a small set: normal traces loop one way, attacks another ----------------------------------
 */

static int add(struct traces *t, uint8_t set, int variant, unsigned seed)
{
    struct trace *x = &t->trace[t->n++];
    *x = (struct trace){.set = set, .class = set == TRACE_ATTACK ? 0 : TRACE_NONE, .n = 60};
    x->symbol = malloc(60 * sizeof(*x->symbol));
    if (!x->symbol || asprintf(&x->name, "run_%d/%u", variant, seed) < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < 60; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned fault = (seed >> 16) % 8;
        x->symbol[i] = (uint16_t)(fault ? i % 6 + (variant ? 3 * (i % 2) : 0) : fault + seed % 9);
    }
    x->content = hash_bytes(x->symbol, 60 * sizeof(*x->symbol));
    return 0;
}

static struct traces *make_traces(void)
{
    struct traces *t = calloc(1, sizeof(*t));
    t->capacity = 400;
    t->trace = calloc(t->capacity, sizeof(*t->trace));
    t->class_name[t->n_classes++] = strdup("loop");
    for (unsigned i = 0; i < 120; i++)
        add(t, TRACE_TRAINING, 0, i);
    for (unsigned i = 0; i < 120; i++)
        add(t, TRACE_NORMAL, 0, 1000 + i);
    for (unsigned i = 0; i < 40; i++)
        add(t, TRACE_ATTACK, 1, 2000 + i % 20); /* each twice */
    return t;
}

static size_t progress_last, progress_total;

static void progress(void *arg, size_t done, size_t total)
{
    (void)arg;
    assert_true(done >= progress_last && done <= total);
    progress_last = done, progress_total = total;
}

static void attacks_are_told_apart(void **state)
{
    (void)state;
    CLEANUP(traces_freep) struct traces *t = make_traces();
    for (enum protocol p = PROTOCOL_STRICT; p <= PROTOCOL_STREAM; p++) {
        struct evaluate_options o = {.folds = 5,
                                     .protocol = p,
                                     .progress = progress,
                                     .n_detectors = 2,
                                     .combined = {true, true}};
        o.detectors[0] = trace_detector_find("ngram");
        o.detectors[1] = trace_detector_find("stide");
        struct evaluation *e;
        progress_last = 0;
        assert_int_equal(evaluate(t, &o, &e), 0);
        assert_int_equal(e->n_rows, 3);
        assert_string_equal(e->rows[2].name, "combined");
        assert_int_equal(e->n_training, p == PROTOCOL_HALF ? 180 : 120);
        assert_int_equal(e->n_attack, 40);
        assert_true(progress_last * 10 >= progress_total * 9);
        /* In the stream an attack may be learnt before its copy comes. */
        double least = p == PROTOCOL_STREAM ? .6 : .95;
        for (size_t r = 0; r < 3; r++) {
            const struct evaluate_row *row = &e->rows[r];
            assert_true(row->auc > least && row->auc <= 1);
            assert_true(row->auc_dedup > least && row->auc_dedup <= 1);
            assert_true(row->rate[0] <= row->rate[1] && row->rate[1] <= row->rate[2]);
            assert_true(row->class[0].auc == row->auc);
            assert_true(row->false_alarms[1] < .25); /* asked .05 of 120 */
            assert_int_equal(isnan(row->found[0]), p == PROTOCOL_STREAM);
        }
        assert_true(isnan(e->score[0][0])); /* a training trace */
        evaluation_free(e);
    }
}

static void senseless_options_are_refused(void **state)
{
    (void)state;
    CLEANUP(traces_freep) struct traces *t = make_traces();
    struct evaluate_options o = {.folds = 10};
    struct evaluation *e;
    assert_int_equal(evaluate(t, &o, &e), -EINVAL);
    o.detectors[o.n_detectors++] = trace_detector_find("stide");
    o.folds = 1;
    assert_int_equal(evaluate(t, &o, &e), -EINVAL);
    o.folds = 200;
    assert_int_equal(evaluate(t, &o, &e), -EINVAL);
    enum protocol p;
    assert_int_equal(protocol_parse("loose", &p), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(area_by_hand),
        cmocka_unit_test(p_is_counted_in_the_body),
        cmocka_unit_test(equal_scores_have_no_tail),
        cmocka_unit_test(tail_finds_its_parameters),
        cmocka_unit_test(attacks_are_told_apart),
        cmocka_unit_test(senseless_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
