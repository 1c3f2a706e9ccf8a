/* Days in the life of one profile: what it learns when it is ready, and what its limits become. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "detect/profile_internal.h"

#define BEGIN_S 1000

struct life {
    struct profile_options options;
    struct profile *p;
    uint64_t now_s;
    uint32_t containers;
    double load; /* deviation of the logarithm of a second's calls */
    uint64_t random;
    uint32_t over; /* container-seconds of which the rates were over the threshold */
    uint32_t busy; /* windows that were never seen before, every other second */
};

static struct profile_place place(const struct life *l, uint64_t container)
{
    return (struct profile_place){
        .now_ns = l->now_s * NS_PER_S, .container = container, .phase = PHASE_STEADY};
}

static double uniform(struct life *l)
{
    l->random ^= l->random << 13, l->random ^= l->random >> 7, l->random ^= l->random << 17;
    return (double)(l->random >> 11) / 9007199254740992.0;
}

static double normal(struct life *l)
{
    double radius = sqrt(-2 * log(uniform(l) + 1e-300));
    return radius * cos(6.283185307179586 * uniform(l));
}

/* A window of twenty calls, one of them this. */
static struct window window_of(uint16_t sysno)
{
    struct window w = {.program = 1, .n_calls = 20};
    for (unsigned i = 0; i < w.n_calls; i++)
        w.sysno[i] = (uint16_t)(i % 6);
    w.sysno[10] = sysno;
    return w;
}

/* True: it was known. What is not known and not learnt at once waits. */
static bool see(struct life *l, uint64_t container, const struct sample *s)
{
    struct profile_view v;
    struct profile_place at = place(l, container);
    profile_see(l->p, &at, s, &v);
    if (!v.known && !v.learning)
        profile_pend(l->p, &at, s, v.hash);
    return v.known;
}

static bool see_call(struct life *l, uint64_t container, uint16_t sysno)
{
    struct window w = window_of(sysno);
    return see(l, container, &(struct sample){.kind = SAMPLE_WINDOW, .window = &w});
}

/* Shows a call in a phase that is learnt; the hash of the content. */
static uint64_t see_once(struct life *l, enum phase phase, uint16_t sysno)
{
    struct profile_view v;
    struct profile_place at = place(l, 1);
    at.phase = phase;
    struct window w = window_of(sysno);
    w.n_calls -= phase == PHASE_STARTUP;
    profile_see(l->p, &at, &(struct sample){.kind = SAMPLE_WINDOW, .window = &w}, &v);
    return v.hash;
}

static double strangest_rate(const struct life *l, const struct score *score)
{
    double value = 0;
    for (uint32_t d = 0; d < profile_detectors(l->p); d++) {
        if (profile_detector(l->p, d)->channel == CHANNEL_FREQUENCY)
            value = MAX(value, profile_value(l->p, PHASE_STEADY, d, score[d].value));
    }
    return value;
}

static void second(struct life *l, uint64_t container, double load)
{
    struct bin_count counts[4];
    struct score score[PROFILE_DETECTORS_MAX];
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++)
        counts[i] = (struct bin_count){
            .program = 1, .sysno = (uint16_t)i, .calls = (uint32_t)exp(5 + load + .1 * normal(l))};
    struct bin b = {
        .container = 1, .second = l->now_s, .n_counts = ARRAY_SIZE(counts), .counts = counts};
    struct profile_place at = place(l, container);
    profile_second(l->p, &at, &b, 600, score);
    l->over += strangest_rate(l, score) >= 1;
}

static void live(struct life *l, uint64_t seconds)
{
    for (uint64_t until = l->now_s + seconds; l->now_s < until; l->now_s++) {
        for (uint64_t c = 1; c <= l->containers; c++) {
            if (l->now_s % 10 == 0)
                see_call(l, c, 0);
            second(l, c, l->load * normal(l));
        }
        for (uint32_t i = 0; i < l->busy && l->now_s % 2 == 0; i++) {
            struct window w = window_of(0);
            for (unsigned k = 0; k < w.n_calls; k++)
                w.sysno[k] = (uint16_t)(6 * uniform(l));
            see(l, 1, &(struct sample){.kind = SAMPLE_WINDOW, .window = &w});
        }
        profile_tick(l->p, l->now_s * NS_PER_S);
        profile_calibrate_next(l->p, l->now_s * NS_PER_S);
    }
}

static void begin(struct life *l, uint32_t containers)
{
    *l = (struct life){
        .now_s = BEGIN_S, .containers = containers, .load = .1, .random = 88172645463325252};
    profile_options_default(&l->options);
    l->options.ready_active_s = 60, l->options.ready_quiet_s = 30;
    l->options.sample_max = 2000;
}

/* Until steady running is learnt. */
static void learn(struct life *l)
{
    assert_int_equal(profile_new("w", &l->options, &l->p), 0);
    live(l, 120);
    assert_true(profile_ready(l->p, PHASE_STEADY));
}

static void alerted(struct life *l, uint64_t container, uint64_t alert)
{
    profile_alerted(l->p, container, alert, l->now_s * NS_PER_S, true);
}

static void judge(struct life *l, uint64_t alert, bool benign)
{
    profile_verdict(l->p, alert, benign, l->now_s * NS_PER_S);
}

/* Rates after a day: about as many alarms as asked, though only one bin in hundreds was kept. */
static void test_rates_alarm_as_often_as_asked(void **state)
{
    (void)state;
    for (uint32_t containers = 1; containers <= 2; containers++) {
        struct life l;
        begin(&l, containers);
        l.load = .35;
        learn(&l);
        live(&l, PROFILE_DAY_S + 2 * PROFILE_HOUR_S);
        const struct tail *tail = &l.p->limits[PHASE_STEADY].tail[CHANNEL_FREQUENCY];
        const struct bin_sample *bins = &l.p->bins[PHASE_STEADY];
        assert_true(l.p->observed_s > PROFILE_DAY_S && l.p->limits[PHASE_STEADY].theta[2] != 1);
        assert_int_equal(bins->seen, (uint64_t)containers * l.p->observed_s);
        assert_true(tail->days > 0 && tail->days < bins->n / (double)PROFILE_DAY_S);
        /* Not once what the rate can be known to. */
        assert_true(profile_rate(l.p, PHASE_STEADY, CHANNEL_FREQUENCY, 1e9) > 1 / .1);
        l.over = 0;
        live(&l, PROFILE_DAY_S / 2);
        if (l.over > 2)
            fail_msg("%u alarms in half a day, .2 a day were asked", l.over);
        profile_free(l.p);
    }
}

/* Of containers whose seconds come in turn, all are in the sample. */
static void test_bins_of_all_containers_are_kept(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 4);
    assert_int_equal(profile_new("w", &l.options, &l.p), 0);
    uint32_t of[4] = {0};
    for (uint32_t i = 0; i < 2 * PROFILE_BINS_MAX; i++, l.now_s += i % 4 == 0) {
        struct bin_count c = {.program = 1, .sysno = (uint16_t)(i % 4), .calls = 100};
        struct bin b = {.n_counts = 1, .counts = &c};
        struct score score[PROFILE_DETECTORS_MAX];
        struct profile_place at = place(&l, i % 4);
        profile_second(l.p, &at, &b, 0, score);
    }
    const struct bin_sample *bins = &l.p->bins[PHASE_STEADY];
    for (uint32_t i = 0; i < bins->n; i++)
        of[bins->items[i].counts->sysno]++;
    for (int i = 0; i < 4; i++)
        assert_in_range(of[i], bins->n / 5, bins->n / 3);
    profile_free(l.p);
}

/* Who asks for very many alerts gets them, not a channel that is off. */
static void test_asking_for_more_turns_nothing_off(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    l.options.alerts_per_day = 1000;
    learn(&l);
    for (int h = 0; h < 28; h++) {
        see_call(&l, 1, (uint16_t)(20 + h));
        live(&l, PROFILE_HOUR_S);
    }
    const struct limits *limits = &l.p->limits[PHASE_STEADY];
    assert_true(limits->tail[CHANNEL_SEQUENCE].n >= 10);
    for (int c = 0; c < CHANNELS; c++)
        assert_true(limits->theta[c] > 0 && limits->extend[c] > 0 && limits->extend[c] <= 1);
    assert_true(limits->theta[CHANNEL_SEQUENCE] < 1);
    profile_free(l.p);
}

static void hold_exec(struct life *l, uint64_t parent, uint64_t program, uint64_t alert)
{
    struct process x = {.event = PROCESS_EXEC, .parent_program = parent, .program = program};
    struct sample s = {.kind = SAMPLE_EXEC, .exec = &x};
    struct profile_place at = place(l, 1);
    profile_hold(l->p, &at, &s, content_hash(&s), alert);
}

/* One false alarm about a program start does not make all of them half as strange. */
static void test_a_verdict_leaves_a_kind_clean(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    learn(&l);
    assert_true(profile_kind_opens(l.p, PHASE_STEADY, EVIDENCE_EDGE));
    hold_exec(&l, 1, 2, 0xa);
    alerted(&l, 1, 0xa);
    uint32_t version = profile_version(l.p);
    judge(&l, 0xa, true);
    live(&l, 10);
    assert_int_equal(profile_version(l.p), version + 1);
    assert_true(profile_kind_opens(l.p, PHASE_STEADY, EVIDENCE_EDGE));
    /* What came by itself does. */
    struct process x = {.event = PROCESS_EXEC, .parent_program = 1, .program = 3};
    see(&l, 1, &(struct sample){.kind = SAMPLE_EXEC, .exec = &x});
    live(&l, 10 * PROFILE_HOUR_S);
    assert_false(profile_kind_opens(l.p, PHASE_STEADY, EVIDENCE_EDGE));
    profile_free(l.p);
}

/* A busy workload, whose windows are nearly all different, goes on learning what is new. */
static void test_a_busy_workload_learns_what_is_new(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    l.busy = 2;
    learn(&l);
    live(&l, 6 * PROFILE_HOUR_S);
    uint64_t refused = profile_refused(l.p);
    assert_true(refused > 1000); /* the quota is used up, and that is told */
    for (uint16_t i = 0; i < 5; i++)
        assert_false(see_call(&l, 1, (uint16_t)(100 + i)));
    assert_int_equal(profile_refused(l.p), refused);
    live(&l, 3 * PROFILE_HOUR_S);
    for (uint16_t i = 0; i < 5; i++)
        assert_true(see_call(&l, 1, (uint16_t)(100 + i)));
    /* New things have their bound too: they are new until their hour is merged. */
    for (uint16_t i = 0; i < 500; i++)
        see_call(&l, 1, (uint16_t)(1000 + i));
    assert_true(l.p->quota[PHASE_STEADY].used <= 2 * l.options.sample_max / 100);
    profile_free(l.p);
}

/* When the sample is full, what was not seen for longest leaves it, however often it was seen
 * before. What was first to show something stays, and how starts are. */
static void test_the_longest_unseen_leave_the_sample(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    l.options.sample_max = 400;
    assert_int_equal(profile_new("w", &l.options, &l.p), 0);
    uint64_t first = see_once(&l, PHASE_STEADY, 77), start = see_once(&l, PHASE_STARTUP, 0);
    l.busy = 1;
    live(&l, 120);
    struct contents *c = &l.p->contents;
    for (uint32_t i = 0; i < c->n; i++)
        c->items[i].count[PHASE_STEADY] = 1000;
    uint32_t now_s = (uint32_t)(l.now_s - BEGIN_S), old = 0, rare = 0;
    live(&l, 4 * PROFILE_DAY_S);
    assert_in_range(c->n, 100, 400);
    for (uint32_t i = 0; i < c->n; i++) {
        bool gone = c->items[i].last_s < now_s;
        old += gone && !c->items[i].marks && c->items[i].mask[PHASE_STEADY];
        rare += gone && (c->items[i].hash == first || c->items[i].hash == start);
    }
    assert_int_equal(old, 0);
    assert_int_equal(rare, 2);
    profile_free(l.p);
}

/* What came between two alerts is learnt when both are judged benign. */
static void test_two_alerts_near_an_hour(void **state)
{
    (void)state;
    for (int judged = 1; judged <= 2; judged++) {
        struct life l;
        begin(&l, 1);
        learn(&l);
        alerted(&l, 1, 0xa);
        live(&l, 60);
        see_call(&l, 1, 50);
        live(&l, 60);
        alerted(&l, 1, 0xb);
        judge(&l, 0xa, true);
        if (judged == 2)
            judge(&l, 0xb, true);
        live(&l, 3 * PROFILE_HOUR_S);
        assert_int_equal(see_call(&l, 1, 50), judged == 2);
        profile_free(l.p);
    }
}

/* More alerts than an hour tells apart: no verdict clears it. */
static void test_many_alerts_near_an_hour(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    learn(&l);
    see_call(&l, 1, 50);
    for (uint64_t a = 1; a <= TAINTS + 1; a++)
        alerted(&l, 1, a);
    for (uint64_t a = 1; a <= TAINTS + 1; a++)
        judge(&l, a, true);
    live(&l, 3 * PROFILE_HOUR_S);
    assert_false(see_call(&l, 1, 50));
    profile_free(l.p);
}

/* A replica that joins an alert does not take its first container's place. */
static void test_replicas_near_an_hour(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    learn(&l);
    live(&l, 3300 - 120);
    alerted(&l, 1, 0xa);
    for (uint64_t replica = 2; replica <= 40; replica++)
        alerted(&l, replica, 0xa);
    live(&l, 600); /* the next hour has begun */
    see_call(&l, 1, 50);
    see_call(&l, 2, 51);
    see_call(&l, 99, 52);
    live(&l, 4 * PROFILE_HOUR_S);
    assert_false(see_call(&l, 1, 50));
    assert_false(see_call(&l, 2, 51));
    assert_true(see_call(&l, 99, 52));
    profile_free(l.p);
}

static double mahalanobis_value(struct profile *p, double calls)
{
    struct bin_count c = {.program = 1, .sysno = 1, .calls = (uint32_t)calls};
    struct bin b = {.n_counts = 1, .counts = &c};
    struct sample s = {.kind = SAMPLE_BIN, .bin = &b};
    struct score score;
    for (uint32_t d = 0; d < p->n_detectors; d++) {
        if (p->detector[d]->channel == CHANNEL_FREQUENCY)
            profile_score(p, PHASE_STEADY, p->model[PHASE_STEADY], d, &s, &score);
    }
    return score.value;
}

/* Hours that bring rates alone are calibrated too, and a restart does not show in scores. */
static void test_an_hour_of_rates_counts(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    learn(&l);
    uint32_t version = profile_version(l.p);
    for (int h = 0; h < 6; h++) {
        live(&l, PROFILE_HOUR_S);
        struct profile *loaded = NULL;
        struct buf bytes;
        buf_init(&bytes, 1 << 28);
        profile_save(l.p, &bytes);
        assert_int_equal(profile_load(bytes.data, bytes.size, &l.options, &loaded), 0);
        for (double calls = 50; calls < 1000; calls *= 1.5)
            assert_true(mahalanobis_value(l.p, calls) == mahalanobis_value(loaded, calls));
        profile_free(loaded);
        buf_done(&bytes);
    }
    assert_true(profile_version(l.p) >= version + 3);
    profile_free(l.p);
}

/* All bins lie in one block, since the hours after it were near alerts: nothing can judge them, and
 * the rates' limits stay. */
static void test_bins_of_one_block_change_no_limits(void **state)
{
    (void)state;
    struct life l;
    begin(&l, 1);
    learn(&l);
    const struct limits *limits = &l.p->limits[PHASE_STEADY];
    struct limits before = *limits;
    for (uint64_t a = 1; a < 8; a++) {
        alerted(&l, 1, a);
        live(&l, PROFILE_HOUR_S / 2);
    }
    assert_int_equal(profile_version(l.p), 1); /* what is dropped calibrates nothing */
    hold_exec(&l, 1, 2, 0xa);
    judge(&l, 0xa, true);
    live(&l, 10);
    assert_int_equal(profile_version(l.p), 2);
    for (uint32_t d = 0; d < l.p->n_detectors; d++) {
        if (l.p->detector[d]->channel == CHANNEL_FREQUENCY)
            assert_true(limits->base[d] == before.base[d]);
    }
    assert_memory_equal(&limits->tail[CHANNEL_FREQUENCY], &before.tail[CHANNEL_FREQUENCY],
                        sizeof(before.tail[0]));
    profile_free(l.p);
}

/* Drifting: five times as many alerts a day as asked, however many were asked. */
static void test_drifting(void **state)
{
    (void)state;
    static const struct {
        double asked;
        uint32_t alerts;
        enum profile_state state;
    } cases[] = {{1, 5, PROFILE_READY},      {1, 6, PROFILE_DRIFTING},
                 {5, 25, PROFILE_READY},     {5, 26, PROFILE_DRIFTING},
                 {1000, 255, PROFILE_READY}, {1000, 300, PROFILE_DRIFTING}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct life l;
        begin(&l, 1);
        l.options.alerts_per_day = cases[i].asked;
        learn(&l);
        for (uint32_t a = 1; a <= cases[i].alerts; a++)
            alerted(&l, a, a);
        live(&l, 20);
        struct profile_status status;
        profile_status(l.p, &status);
        assert_int_equal(status.state, cases[i].state);
        profile_free(l.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_alarm_as_often_as_asked),
        cmocka_unit_test(test_bins_of_all_containers_are_kept),
        cmocka_unit_test(test_asking_for_more_turns_nothing_off),
        cmocka_unit_test(test_a_verdict_leaves_a_kind_clean),
        cmocka_unit_test(test_a_busy_workload_learns_what_is_new),
        cmocka_unit_test(test_the_longest_unseen_leave_the_sample),
        cmocka_unit_test(test_two_alerts_near_an_hour),
        cmocka_unit_test(test_many_alerts_near_an_hour),
        cmocka_unit_test(test_replicas_near_an_hour),
        cmocka_unit_test(test_an_hour_of_rates_counts),
        cmocka_unit_test(test_bins_of_one_block_change_no_limits),
        cmocka_unit_test(test_drifting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
