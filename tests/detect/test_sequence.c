/* stide and ngram on symbols and on windows; check values by hand. */
#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/detector.h"
#include "detect/ngram.h"
#include "detect/stide.h"

#define PROGRAM 77

static void near(double a, double b)
{
    if (fabs(a - b) > 1e-9)
        fail_msg("%.12g is not %.12g", a, b);
}

static struct symbols symbols(const uint16_t *symbol, size_t n)
{
    return (struct symbols){.symbol = symbol, .n = n, .begins = true};
}

/* Worked out by hand: order 2 on 1 2 3 1 2 3 1 2 4, alphabet of ten. */
static void witten_bell_by_hand(void **state)
{
    (void)state;
    static const uint16_t train[] = {1, 2, 3, 1, 2, 3, 1, 2, 4}, test[] = {1, 2, 3, 4, 9};
    static const double p[] = {.815384615, .907692308, .589538462, .011965812, .030769231};
    struct ngram m;
    assert_int_equal(ngram_init(&m, 2, 10, 1000), 0);
    struct symbols s = symbols(train, ARRAY_SIZE(train));
    assert_int_equal(ngram_learn(&m, &s, 1), 0);
    s = symbols(test, ARRAY_SIZE(test));
    double surprise[5];
    struct ngram_place place[5];
    ngram_surprises(&m, &s, NULL, surprise, place);
    for (int i = 0; i < 5; i++) {
        if (fabs(exp(-surprise[i]) - p[i]) > 1e-9)
            fail_msg("p[%d] = %.9f, not %.9f", i, exp(-surprise[i]), p[i]);
    }
    assert_int_equal(place[2].length, 2); /* 3 after "1 2" */
    assert_int_equal(place[3].length, 2); /* "2 3" was seen, though never before 4 */
    assert_int_equal(place[4].length, 0); /* 4 ended its trace: it is no context */
    ngram_done(&m);
}

static void gate_counts_a_loop_once(void **state)
{
    (void)state;
    uint16_t loop[60];
    for (unsigned i = 0; i < ARRAY_SIZE(loop); i++)
        loop[i] = (uint16_t)(i % 3);
    struct gate_slot slots[128] = {0};
    struct gate g = {.slots = slots, .mask = 127};
    struct symbols s = symbols(loop, ARRAY_SIZE(loop));
    for (uint64_t generation = 1; generation <= 2; generation++) {
        unsigned fresh = 0;
        gate_start(&g, generation);
        for (size_t i = 0; i < s.n; i++)
            fresh += gate_push(&g, &s, i);
        /* Eleven prefixes, then the three rotations of the loop. */
        assert_int_equal(fresh, 14);
    }
}

static void stide_misses_are_found_where_they_are(void **state)
{
    (void)state;
    static const uint16_t train[] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint16_t test[] = {1, 2, 3, 4, 5, 6, 7, 9, 1, 2, 3, 4, 5, 6, 7, 8};
    struct stide m;
    assert_int_equal(stide_init(&m, 6, 100), 0);
    struct symbols s = symbols(train, 16);
    assert_int_equal(stide_learn(&m, &s, 1), 0);
    assert_int_equal(m.ngrams.n, 8);
    assert_int_equal(stide_misses(&m, &s, NULL, NULL), 0);
    s = symbols(test, 16);
    uint32_t at[16];
    assert_int_equal(stide_misses(&m, &s, at, NULL), 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(at[i], 7 + i);
    s.program = 1; /* of another program all are new */
    assert_int_equal(stide_misses(&m, &s, at, NULL), 11);
    s = symbols(test, 5); /* too short to miss */
    assert_int_equal(stide_misses(&m, &s, at, NULL), 0);
    s = symbols(test, 0);
    assert_int_equal(stide_misses(&m, &s, at, NULL), 0);
    stide_done(&m);
}

/* ---- windows -------------------------------------------------------------------------------- */

static uint16_t trace[400];

static void make_trace(unsigned seed)
{
    static const uint16_t calls[] = {0,  1,  3,  9,   10,
                                     11, 20, 41, 202, 257}; /* 202 is futex: noise */
    for (unsigned i = 0; i < ARRAY_SIZE(trace); i++) {
        seed = seed * 1103515245 + 12345;
        trace[i] = calls[(seed >> 16) % ARRAY_SIZE(calls)];
    }
}

/* Cuts the trace into windows of at most size calls, as the capture does. */
static unsigned cut(unsigned size, struct window *ret)
{
    unsigned n = 0;
    for (unsigned at = 0; at < ARRAY_SIZE(trace); at += ret[n++].n_calls) {
        struct window *w = &ret[n];
        *w = (struct window){.program = PROGRAM};
        w->n_calls = (uint8_t)MIN(size, ARRAY_SIZE(trace) - at);
        w->n_context = (uint8_t)MIN(at, (unsigned)WINDOW_CONTEXT_MAX);
        memcpy(w->context, trace + at - w->n_context, w->n_context * sizeof(*trace));
        memcpy(w->sysno, trace + at, w->n_calls * sizeof(*trace));
    }
    return n;
}

static void *learn_cut(const struct detector *d, unsigned size)
{
    static struct window w[ARRAY_SIZE(trace)];
    void *model;
    assert_int_equal(d->create(&model), 0);
    unsigned n = cut(size, w);
    for (unsigned i = 0; i < n; i++) {
        struct sample s = {.kind = SAMPLE_WINDOW, .window = &w[i]};
        assert_int_equal(d->learn(model, &s, 1), 0);
    }
    return model;
}

/* Wherever a thread's calls are cut, the same is learnt: no n-gram is lost at an edge. With noise
 * left out of full contexts a little of that is lost, so this trace has none. */
static void cuts_do_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = {"stide", "ngram", "novelty"};
    make_trace(1);
    for (unsigned i = 0; i < ARRAY_SIZE(trace); i++)
        trace[i] = trace[i] == 202 ? 2 : trace[i];
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        const struct detector *d = detector_find(names[i]);
        struct buf a, b;
        buf_init(&a, 1 << 24);
        buf_init(&b, 1 << 24);
        void *x = learn_cut(d, 64), *y = learn_cut(d, 23);
        d->save(x, &a);
        d->save(y, &b);
        assert_int_equal(a.error, 0);
        if (strcmp(names[i], "novelty") != 0) { /* counts windows per program */
            assert_int_equal(a.size, b.size);
            assert_memory_equal(a.data, b.data, a.size);
        }
        d->destroy(x);
        d->destroy(y);
        buf_done(&a);
        buf_done(&b);
    }
}

static void sum_is(const struct score *s)
{
    double sum = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        assert_true(s->items[i].strangeness > 0);
        sum += s->items[i].strangeness;
    }
    near(s->value, sum / s->per);
}

static void score_is_the_sum_of_its_evidence(void **state)
{
    (void)state;
    static struct window w[ARRAY_SIZE(trace)];
    static struct score s, again;
    for (const struct detector *const *d = detector_table; *d; d++) {
        if (!((*d)->samples & 1 << SAMPLE_WINDOW))
            continue;
        make_trace(1);
        void *model = learn_cut(*d, 64);
        make_trace(2);
        unsigned n = cut(64, w);
        double total = 0;
        for (unsigned i = 0; i < n; i++) {
            struct sample sample = {.kind = SAMPLE_WINDOW, .window = &w[i]};
            (*d)->score(model, &sample, &s);
            sum_is(&s);
            (*d)->score(model, &sample, &again);
            assert_true(s.value == again.value && s.n == again.n);
            total += s.value;
        }
        if (strcmp((*d)->name, "novelty") != 0)
            assert_true(total > 1);
        (*d)->destroy(model);
    }
}

static void noise_is_left_out_and_divisor_has_a_floor(void **state)
{
    (void)state;
    const struct detector *d = detector_find("stide");
    void *model;
    static struct score s;
    struct window w = {
        .program = PROGRAM, .n_calls = 9, .sysno = {0, 1, 202, 3, 202, 9, 10, 11, 202}};
    struct sample sample = {.kind = SAMPLE_WINDOW, .window = &w};
    assert_int_equal(d->create(&model), 0);
    d->score(model, &sample, &s);
    assert_int_equal(s.n, 1); /* six calls are left: one 6-gram */
    near(s.value, 1 / 16.);
    assert_int_equal(s.items[0].first, 0);
    assert_int_equal(s.items[0].last, 7);
    assert_int_equal(s.items[0].sysno, 11);
    d->learn(model, &sample, 1);
    d->score(model, &sample, &s);
    assert_int_equal(s.n, 0);
    /* The same calls behind a context: n-grams reach back into it. */
    w = (struct window){.program = PROGRAM,
                        .n_calls = 1,
                        .n_context = 5,
                        .context = {0, 1, 3, 9, 10},
                        .sysno = {12}};
    d->score(model, &sample, &s);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.items[0].first, -5);
    assert_int_equal(s.items[0].last, 0);
    d->destroy(model);
}

static void surprise_says_what_comes_instead(void **state)
{
    (void)state;
    const struct detector *d = detector_find("ngram");
    static struct score s;
    void *model;
    assert_int_equal(d->create(&model), 0);
    struct window w = {.program = PROGRAM, .n_calls = 4, .sysno = {257, 0, 3, 1}};
    struct sample sample = {.kind = SAMPLE_WINDOW, .window = &w};
    assert_int_equal(d->learn(model, &sample, 900), 0);
    w.sysno[2] = 8;
    assert_int_equal(d->learn(model, &sample, 300), 0);
    w.sysno[2] = 59;
    d->score(model, &sample, &s);
    const struct evidence *e = NULL;
    for (uint32_t i = 0; i < s.n; i++)
        e = s.items[i].sysno == 59 ? &s.items[i] : e;
    assert_non_null(e);
    assert_true(e->strangeness > 10);
    assert_int_equal(e->first, 0);
    assert_int_equal(e->last, 2);
    assert_int_equal(e->n_expected, 2);
    assert_int_equal(e->expected[0].sysno, 3);
    assert_true(fabsf(e->expected[0].share - .75F) < 1e-6F);
    assert_int_equal(e->expected[1].sysno, 8);
    d->destroy(model);
}

static void cap_refuses_but_known_ones_count(void **state)
{
    (void)state;
    static const uint16_t a[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct symbols s = symbols(a, 8);
    struct stide m;
    assert_int_equal(stide_init(&m, 6, 2), 0);
    assert_int_equal(stide_learn(&m, &s, 1), -ENOSPC);
    assert_int_equal(m.ngrams.n, 2);
    assert_int_equal(stide_misses(&m, &s, NULL, NULL), 1);
    stide_done(&m);
    struct ngram g;
    assert_int_equal(ngram_init(&g, 8, 10, 12), 0);
    assert_int_equal(ngram_learn(&g, &s, 1), -ENOSPC);
    assert_int_equal(g.n, 13);
    double surprise[8];
    ngram_surprises(&g, &s, NULL, surprise, NULL);
    for (int i = 0; i < 8; i++)
        assert_true(isfinite(surprise[i]) && surprise[i] >= 0);
    ngram_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(witten_bell_by_hand),
        cmocka_unit_test(gate_counts_a_loop_once),
        cmocka_unit_test(stide_misses_are_found_where_they_are),
        cmocka_unit_test(cuts_do_not_matter),
        cmocka_unit_test(score_is_the_sum_of_its_evidence),
        cmocka_unit_test(noise_is_left_out_and_divisor_has_a_floor),
        cmocka_unit_test(surprise_says_what_comes_instead),
        cmocka_unit_test(cap_refuses_but_known_ones_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
