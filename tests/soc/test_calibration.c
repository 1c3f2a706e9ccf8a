/* Calibration beside the pipeline: what comes of it is taken over at the same time of the blocks
 * whatever the thread, the other workloads and restarts do. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "soc/run.h"

/* Learns to the end, if asked so with a restart after every block. When calibration began, when the
 * profile was ready, and its bytes a while after. */
static void learn_restarting(bool restarting, struct buf *ret, double *ret_due, double *ret_ready)
{
    struct run r;
    struct profile_status s;
    setup(&r);
    *ret_due = *ret_ready = 0;
    struct buf bytes;
    buf_init(&bytes, 1 << 28);
    restart(&r, 1, 20, false);
    restart(&r, 2, 35,
            false); /* of 60 s, and two starts seen: both phases are calibrated at once */
    const struct profile *p = NULL;
    for (int i = 0; i < 100; i++) {
        scene_serve(&r.scene, 2, 200);
        step(&r);
        if (restarting) {
            struct engine *again = NULL;
            buf_clear(&bytes);
            engine_save(r.engine, &bytes);
            assert_int_equal(engine_load(bytes.data, bytes.size, &r.options, &again), 0);
            engine_free(r.engine);
            r.engine = again;
        }
        p = engine_profile_find(r.engine, WORKLOAD);
        profile_status(p, &s);
        assert_int_equal(profile_ready(p, PHASE_STEADY), profile_ready(p, PHASE_STARTUP));
        assert_int_equal(s.state,
                         *ret_due && !profile_calibrating(p) ? PROFILE_READY : PROFILE_LEARNING);
        if (!*ret_due && profile_calibrating(p)) {
            *ret_due = scene_seconds(&r.scene);
            assert_string_equal(s.reason, "learnt, calibrating");
            assert_string_equal(s.phase[PHASE_STARTUP].reason, "2 starts learnt, calibrating");
            assert_true(s.phase[PHASE_STEADY].eta_s > 1 && s.phase[PHASE_STEADY].eta_s < 2);
            assert_int_equal(s.version, 0);
        }
        if (!*ret_ready && s.state == PROFILE_READY) {
            *ret_ready = scene_seconds(&r.scene);
            assert_int_equal(s.version, 1);
        }
    }
    profile_save(p, ret);
    buf_done(&bytes);
    teardown(&r);
}

static void test_calibration_is_taken_over_at_a_fixed_time(void **state)
{
    (void)state;
    struct buf plain, restarted;
    double due, ready, due_again, ready_again;
    buf_init(&plain, 1 << 28), buf_init(&restarted, 1 << 28);
    learn_restarting(false, &plain, &due, &ready);
    assert_true(due > 0 && ready - due >= 1 && ready - due <= 1.5);
    learn_restarting(true, &restarted, &due_again, &ready_again);
    assert_true(due_again == due && ready_again == ready);
    assert_int_equal(plain.size, restarted.size);
    assert_memory_equal(plain.data, restarted.data, plain.size);
    buf_done(&plain), buf_done(&restarted);
}

/* Two workloads learnt in the same second: one is calibrated after the other. */
static void test_calibrations_wait_for_their_turn(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    scene_container(&r.scene, 1, WORKLOAD, true);
    scene_container(&r.scene, 2, "shop/other", true);
    unsigned first = 0, second = 0, both = 0;
    for (int i = 0; i < LEARNT_S * 4; i++) {
        serve(&r, 2, .25);
        const struct profile *a = engine_profile_find(r.engine, WORKLOAD);
        const struct profile *b = engine_profile_find(r.engine, "shop/other");
        first += profile_calibrating(a), second += profile_calibrating(b);
        both += profile_calibrating(a) && profile_calibrating(b);
        assert_true(profile_ready(a, PHASE_STEADY) || !profile_ready(b, PHASE_STEADY));
    }
    assert_true(first >= 4 && second >= 4 && !both);
    assert_true(profile_ready(engine_profile_find(r.engine, "shop/other"), PHASE_STEADY));
    teardown(&r);
}

/* What ends while a calibration runs waits for its thread. */
static void test_end_while_calibrating(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    scene_container(&r.scene, 1, WORKLOAD, true);
    do
        serve(&r, 1, .25);
    while (!profile_calibrating(engine_profile_find(r.engine, WORKLOAD)));
    struct buf bytes;
    buf_init(&bytes, 1 << 28);
    engine_save(r.engine, &bytes);
    struct engine *again = NULL;
    assert_int_equal(engine_load(bytes.data, bytes.size, &r.options, &again), 0);
    assert_true(profile_calibrating(engine_profile_find(again, WORKLOAD)));
    engine_free(again);
    for (size_t n = 0; n < bytes.size; n += 1 + bytes.size / 100) { /* any error or none */
        bytes.data[n] ^= 0x5a;
        again = NULL;
        if (engine_load(bytes.data, bytes.size, &r.options, &again) == 0)
            engine_free(again);
        else
            assert_null(again);
        bytes.data[n] ^= 0x5a;
    }
    /* A length that is larger than what follows: before each profile, the calibration's copy too.
     */
    unsigned profiles = 0;
    for (size_t n = 8; n + 8 < bytes.size; n++) {
        if (memcmp(bytes.data + n, "rofile", 6) != 0)
            continue;
        uint64_t size, more = bytes.size;
        memcpy(&size, bytes.data + n - 8, sizeof(size));
        memcpy(bytes.data + n - 8, &more, sizeof(more));
        profiles += engine_load(bytes.data, bytes.size, &r.options, &again) == -EBADMSG;
        memcpy(bytes.data + n - 8, &size, sizeof(size));
    }
    assert_int_equal(profiles, 2);
    assert_int_equal(engine_profile_reset(r.engine, WORKLOAD), 0);
    assert_false(profile_calibrating(engine_profile_find(r.engine, WORKLOAD)));
    buf_done(&bytes);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calibration_is_taken_over_at_a_fixed_time),
        cmocka_unit_test(test_calibrations_wait_for_their_turn),
        cmocka_unit_test(test_end_while_calibrating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
