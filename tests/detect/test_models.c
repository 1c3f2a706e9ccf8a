/* What every detector of the table must keep: bytes, merging, malformed bytes. */
#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/detector.h"
#include "detect/tally.h"

#define SAMPLES 60

static struct window windows[SAMPLES];
static uint64_t classes[SAMPLES][WINDOW_CALLS_MAX];
static struct bin bins[SAMPLES];
static struct bin_count counts[SAMPLES][8];
static struct process execs[SAMPLES];

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static int make_samples(void **state)
{
    (void)state;
    uint32_t r = 5;
    for (unsigned i = 0; i < SAMPLES; i++) {
        struct window *w = &windows[i];
        *w = (struct window){.program = 100 + i % 3, .n_calls = (uint8_t)(1 + next(&r) % 64)};
        for (unsigned c = 0; c < w->n_calls; c++) {
            w->sysno[c] = (uint16_t)(next(&r) % (i < SAMPLES / 2 ? 8 : 12));
            w->ret[c] = next(&r) % 10 ? 0 : (uint16_t)(RET_ERROR + 1 + next(&r) % 20);
            classes[i][c] = next(&r) % 7 ? 0 : 1000 + next(&r) % 30;
        }
        bins[i] = (struct bin){.second = i, .n_counts = 8, .counts = counts[i]};
        for (unsigned c = 0; c < 8; c++)
            counts[i][c] = (struct bin_count){
                .program = 100, .sysno = (uint16_t)(c * (1 + i / 40)), .calls = next(&r) % 1000};
        execs[i] = (struct process){.event = PROCESS_EXEC,
                                    .program = 100 + next(&r) % 4,
                                    .parent_program = 100 + next(&r) % 3};
    }
    return 0;
}

static struct sample sample(enum sample_kind kind, unsigned i)
{
    struct sample s = {.kind = kind};
    if (kind == SAMPLE_WINDOW)
        s.window = &windows[i], s.argument_class = classes[i];
    else if (kind == SAMPLE_BIN)
        s.bin = &bins[i];
    else
        s.exec = &execs[i];
    return s;
}

static void *model_of(const struct detector *d, unsigned first, unsigned last)
{
    void *model;
    assert_int_equal(d->create(&model), 0);
    for (unsigned kind = SAMPLE_WINDOW; kind <= SAMPLE_EXEC; kind++) {
        for (unsigned i = first; i < last; i++) {
            struct sample s = sample(kind, i);
            if (d->samples & 1U << kind)
                assert_int_equal(d->learn(model, &s, 1 + i % 2), 0);
        }
    }
    if (d->prepare)
        assert_int_equal(d->prepare(model), 0);
    return model;
}

static void same_scores(const struct detector *d, const void *a, const void *b)
{
    static struct score x, y;
    for (unsigned kind = SAMPLE_WINDOW; kind <= SAMPLE_EXEC; kind++) {
        for (unsigned i = 0; i < SAMPLES; i++) {
            struct sample s = sample(kind, i);
            d->score(a, &s, &x);
            d->score(b, &s, &y);
            assert_true(fabs(x.value - y.value) <= 1e-9 * (1 + fabs(x.value)));
            assert_int_equal(x.n, y.n);
        }
    }
}

static void what_is_saved_is_loaded(void **state)
{
    (void)state;
    for (const struct detector *const *d = detector_table; *d; d++) {
        struct buf a, b;
        buf_init(&a, 1 << 24);
        buf_init(&b, 1 << 24);
        void *model = model_of(*d, 0, SAMPLES / 2), *loaded;
        (*d)->save(model, &a);
        assert_int_equal(a.error, 0);
        assert_int_equal((*d)->load(a.data, a.size, &loaded), 0);
        same_scores(*d, model, loaded);
        (*d)->save(loaded, &b);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        (*d)->destroy(model);
        (*d)->destroy(loaded);
        buf_done(&a);
        buf_done(&b);
    }
}

static void parts_add_up(void **state)
{
    (void)state;
    for (const struct detector *const *d = detector_table; *d; d++) {
        if (!(*d)->merge)
            continue;
        void *all = model_of(*d, 0, SAMPLES);
        void *front = model_of(*d, 0, SAMPLES / 3), *back = model_of(*d, SAMPLES / 3, SAMPLES);
        assert_int_equal((*d)->merge(back, front), 0);
        if ((*d)->prepare)
            assert_int_equal((*d)->prepare(back), 0);
        same_scores(*d, all, back);
        (*d)->destroy(all);
        (*d)->destroy(front);
        (*d)->destroy(back);
    }
}

/* Cut anywhere it is refused; with any one byte changed it is refused or loads, and scores. */
static void malformed_bytes_are_refused(void **state)
{
    (void)state;
    for (const struct detector *const *d = detector_table; *d; d++) {
        struct buf a;
        buf_init(&a, 1 << 24);
        void *model = model_of(*d, 0, 6), *loaded;
        (*d)->save(model, &a);
        (*d)->destroy(model);
        for (size_t n = 0; n < a.size; n++) {
            CLEANUP(freep) uint8_t *cut = malloc(n + 1);
            memcpy(cut, a.data, n);
            assert_int_equal((*d)->load(cut, n, &loaded), -EBADMSG);
        }
        for (size_t n = 0; n < a.size; n += 1 + a.size / 4000) {
            uint8_t was = a.data[n];
            a.data[n] ^= (uint8_t)(1 + n % 255);
            int err = (*d)->load(a.data, a.size, &loaded);
            assert_true(err == 0 || err == -EBADMSG);
            if (err == 0) {
                static struct score x;
                struct sample s = sample(SAMPLE_WINDOW, 0);
                (*d)->score(loaded, &s, &x);
                (*d)->destroy(loaded);
            }
            a.data[n] = was;
        }
        buf_done(&a);
    }
}

static void nothing_learnt_is_scored(void **state)
{
    (void)state;
    static struct score x;
    for (const struct detector *const *d = detector_table; *d; d++) {
        void *model = model_of(*d, 0, 0);
        for (unsigned kind = SAMPLE_WINDOW; kind <= SAMPLE_EXEC; kind++) {
            struct sample s = sample(kind, 1);
            (*d)->score(model, &s, &x);
            assert_true(isfinite(x.value));
        }
        (*d)->destroy(model);
    }
}

static void novelty_by_kind(void **state)
{
    (void)state;
    const struct detector *d = detector_find("novelty");
    static struct score x;
    void *model;
    assert_int_equal(d->create(&model), 0);
    struct window w = {.program = 5, .n_calls = 3, .sysno = {0, 1, 2}};
    uint64_t class[3] = {0, 0, 9};
    struct process p = {.event = PROCESS_EXEC, .program = 5, .parent_program = 4};
    struct sample window = {.kind = SAMPLE_WINDOW, .window = &w, .argument_class = class};
    struct sample exec = {.kind = SAMPLE_EXEC, .exec = &p};
    d->score(model, &exec, &x);
    assert_int_equal(x.n, 2);
    assert_int_equal(x.items[0].kind, EVIDENCE_PROGRAM);
    assert_int_equal(x.items[1].kind, EVIDENCE_EDGE);
    assert_int_equal(x.items[1].detail, 4);
    uint64_t program_key = x.items[0].key;
    d->score(model, &window, &x);
    assert_int_equal(x.n, 2); /* the program and its argument; its pairs say nothing more */
    assert_true(x.items[0].key == program_key);
    assert_int_equal(x.items[1].kind, EVIDENCE_ARGUMENT);
    d->learn(model, &exec, 1);
    d->learn(model, &window, 200);
    assert_int_equal(novelty_program_calls(model, 5), 600);
    assert_int_equal(novelty_program_calls(model, 6), 0);
    d->score(model, &exec, &x);
    assert_int_equal(x.n, 0);
    d->score(model, &window, &x);
    assert_int_equal(x.n, 0);
    w.ret[1] = RET_ERROR + EACCES, w.sysno[2] = 59, w.ret[2] = RET_ERROR + ENOENT, class[2] = 10;
    d->score(model, &window, &x);
    assert_int_equal(x.n, 3);
    assert_int_equal(x.items[0].kind, EVIDENCE_ERRNO);
    assert_int_equal(ret_errno(x.items[0].error), EACCES);
    assert_int_equal(x.items[1].kind, EVIDENCE_ARGUMENT);
    assert_int_equal(x.items[2].kind, EVIDENCE_PAIR); /* and not its error besides */
    w.ret[1] = RET_ERROR + EINTR, w.flag[2] = CALL_NO_TEXT, w.sysno[2] = 2, w.ret[2] = 0;
    d->score(model, &window, &x);
    assert_int_equal(x.n, 0);
    d->destroy(model);
}

static void table_counts_saturates_and_caps(void **state)
{
    (void)state;
    struct tally t;
    assert_int_equal(tally_init(&t, 1000), 0);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(tally_add(&t, i * UINT64_C(0x9e3779b97f4a7c15) + 7, 2), 0);
    assert_int_equal(tally_add(&t, 3, 1), -ENOSPC);
    assert_int_equal(tally_get(&t, 3), 0);
    assert_int_equal(tally_add(&t, 7, UINT32_MAX), 0);
    assert_true(tally_get(&t, 7) == UINT32_MAX);
    assert_int_equal(tally_get(&t, UINT64_C(0x9e3779b97f4a7c15) + 7), 2);
    tally_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(nothing_learnt_is_scored),
        cmocka_unit_test(novelty_by_kind),
        cmocka_unit_test(table_counts_saturates_and_caps),
    };
    return cmocka_run_group_tests(tests, make_samples, NULL);
}
