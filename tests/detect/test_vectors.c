/* Detectors against scores that tests/vectors/make_detect.py worked out on its own. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "detect/detector.h"
#include "detect/trace_detector.h"
#include "vectors/detect.h"

static const struct {
    const uint16_t *symbol;
    size_t n;
} train[] = {{vector_train_0, ARRAY_SIZE(vector_train_0)},
             {vector_train_1, ARRAY_SIZE(vector_train_1)},
             {vector_train_2, ARRAY_SIZE(vector_train_2)}},
  test[] = {{vector_test_0, ARRAY_SIZE(vector_test_0)},
            {vector_test_1, ARRAY_SIZE(vector_test_1)},
            {vector_test_2, ARRAY_SIZE(vector_test_2)},
            {vector_test_3, ARRAY_SIZE(vector_test_3)}};

static void near(const char *what, double got, double right)
{
    if (!(fabs(got - right) <= 1e-9 * (1 + fabs(right))))
        fail_msg("%s: %.12g is not %.12g", what, got, right);
}

static void traces_score_as_the_formulas_say(void **state)
{
    (void)state;
    static const char *const names[] = {"stide", "ngram", "ngram-ungated", "adaptive", "jaccard"};
    for (size_t d = 0; d < ARRAY_SIZE(names); d++) {
        const struct trace_detector *detector = trace_detector_find(names[d]);
        void *model;
        assert_non_null(detector);
        assert_int_equal(detector->create(&model), 0);
        for (size_t i = 0; i < ARRAY_SIZE(train); i++) {
            struct symbols s = {.symbol = train[i].symbol, .n = train[i].n, .begins = true};
            assert_int_equal(detector->learn(model, &s), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(test); i++) {
            struct symbols s = {.symbol = test[i].symbol, .n = test[i].n, .begins = true};
            double score;
            assert_int_equal(detector->score(model, &s, &score), 0);
            near(names[d], score, vector_scores[i][d]);
        }
        detector->destroy(model);
    }
}

static struct bin bin_of(const uint32_t calls[4], uint32_t unknown, struct bin_count ret[6])
{
    struct bin b = {.counts = ret, .n_counts = 6};
    /* The first syscall's calls come from two programs: they add up. */
    ret[0] = (struct bin_count){.program = 1, .sysno = 10, .calls = calls[0] / 3};
    ret[1] = (struct bin_count){.program = 1, .sysno = 300, .calls = unknown};
    ret[2] = (struct bin_count){.program = 2, .sysno = 10, .calls = calls[0] - calls[0] / 3};
    for (unsigned i = 1; i < 4; i++)
        ret[2 + i] =
            (struct bin_count){.program = 2, .sysno = (uint16_t)(10 + i), .calls = calls[i]};
    return b;
}

static void distances_are_those_of_the_formula(void **state)
{
    (void)state;
    const struct detector *d = detector_find("mahalanobis");
    struct bin_count counts[6];
    static struct score score;
    void *model;
    assert_int_equal(d->create(&model), 0);
    for (size_t i = 0; i < ARRAY_SIZE(vector_bins); i++) {
        struct bin b = bin_of(vector_bins[i], 0, counts);
        b.n_counts = 6;
        counts[1] = counts[0], counts[1].calls = 0;
        struct sample s = {.kind = SAMPLE_BIN, .bin = &b};
        assert_int_equal(d->learn(model, &s, 1), 0);
    }
    assert_int_equal(d->prepare(model), 0);
    for (size_t i = 0; i < ARRAY_SIZE(vector_distances); i++) {
        bool extra = i == ARRAY_SIZE(vector_bin_tests);
        struct bin b = bin_of(vector_bin_tests[extra ? 0 : i], extra ? 7 : 0, counts);
        struct sample s = {.kind = SAMPLE_BIN, .bin = &b};
        d->score(model, &s, &score);
        near("distance", score.value, vector_distances[i]);
        double sum = 0;
        for (uint32_t k = 0; k < score.n; k++)
            sum += score.items[k].strangeness;
        near("sum of the evidence", sum, score.value);
    }
    assert_int_equal(score.items[0].sysno, 300); /* never learnt: the strangest */
    assert_int_equal(score.items[0].detail, 7);
    struct bin b = bin_of(vector_bin_tests[1], 0, counts);
    struct sample s = {.kind = SAMPLE_BIN, .bin = &b};
    d->score(model, &s, &score);
    assert_int_equal(score.items[0].sysno, 11); /* 10 instead of some 110 */
    assert_true(score.items[0].normal > 90 && score.items[0].normal < 130);
    d->destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_score_as_the_formulas_say),
        cmocka_unit_test(distances_are_those_of_the_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
