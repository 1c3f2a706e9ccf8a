#include "soc/run.h"

#include <string.h>

#include "test.h"

void setup(struct run *r)
{
    *r = (struct run){0};
    engine_options_default(&r->options);
    struct profile_options *p = &r->options.profile;
    p->ready_active_s = 60, p->ready_quiet_s = 30;
    p->startup_max_s = 10, p->startup_quiet_s = 3;
    p->novelty_min_calls = 500;
    assert_int_equal(engine_new(&r->options, &r->engine), 0);
    scene_init(&r->scene, SCENE_CAPTURE);
}

void teardown(struct run *r)
{
    block_free(r->scene.block);
    engine_free(r->engine);
}

void step(struct run *r)
{
    struct block *b = scene_end(&r->scene);
    struct engine_output out;
    assert_int_equal(engine_block(r->engine, b, &out), 0);
    for (uint32_t i = 0; i < out.n_alerts; i++) {
        r->opened += out.alerts[i].change == ALERT_OPENED && !out.alerts[i].alert->held;
        r->held += out.alerts[i].change == ALERT_OPENED && out.alerts[i].alert->held;
        r->changed += out.alerts[i].change == ALERT_CHANGED;
        r->closed += out.alerts[i].change == ALERT_CLOSED;
        memcpy(r->last, out.alerts[i].alert->id, sizeof(r->last));
    }
    for (uint32_t i = 0; i < out.n_keeps; i++)
        r->keeps[out.keeps[i].reason]++;
    r->scores += out.n_scores;
    for (uint32_t i = 0; i < out.n_scores; i++) {
        struct engine_score *strangest = &r->strangest[out.scores[i].channel];
        if (out.scores[i].value > strangest->value)
            *strangest = out.scores[i];
        assert_true((out.scores[i].value >= .5f) == (out.scores[i].why[0] != 0));
    }
    block_free(b);
}

void serve(struct run *r, unsigned n, double seconds)
{
    for (double until = scene_seconds(&r->scene) + seconds; scene_seconds(&r->scene) < until;) {
        for (unsigned c = 1; c <= n; c++)
            scene_serve(&r->scene, c, 100 * c);
        step(r);
    }
}

void serve_only(struct run *r, uint32_t number, double seconds)
{
    for (double until = scene_seconds(&r->scene) + seconds; scene_seconds(&r->scene) < until;) {
        scene_serve(&r->scene, number, 100 * number);
        step(r);
    }
}

void new_capture(struct run *r, double back_s)
{
    uint64_t tick = r->scene.tick;
    block_free(r->scene.block);
    scene_init(&r->scene, r->scene.capture + 1);
    r->scene.tick = tick + 3; /* begins with a whole second */
    r->scene.wall_lead_ns -= (uint64_t)(back_s * 1e9);
    block_free(scene_end(&r->scene));
    scene_container(&r->scene, 1, WORKLOAD, true);
    scene_fork(&r->scene, 1, 0, 100, "/usr/sbin/server");
}

void reload(struct run *r)
{
    struct engine *again = NULL;
    struct buf bytes;
    buf_init(&bytes, 1 << 28);
    engine_save(r->engine, &bytes);
    assert_int_equal(bytes.error, 0);
    assert_int_equal(engine_load(bytes.data, bytes.size, &r->options, &again), 0);
    engine_free(r->engine);
    r->engine = again;
    buf_done(&bytes);
}

void learn(struct run *r, unsigned n)
{
    for (unsigned c = 1; c <= n; c++) {
        scene_container(&r->scene, c, WORKLOAD, true);
        scene_fork(&r->scene, c, 0, 100 * c, "/usr/sbin/server"); /* it booted long ago */
    }
    serve(r, n, LEARNT_S);
    const struct profile *p = engine_profile_find(r->engine, WORKLOAD);
    assert_non_null(p);
    assert_true(profile_ready(p, PHASE_STEADY));
    assert_int_equal(r->opened, 0);
}

void restart(struct run *r, uint32_t number, double seconds, bool attack)
{
    if (number > 1)
        scene_gone(&r->scene, number - 1, WORKLOAD);
    scene_container(&r->scene, number, WORKLOAD, false);
    scene_boot(&r->scene, number, 100 * number);
    if (attack)
        scene_attack(&r->scene, number, 100 * number, 5000 + number * 10);
    serve_only(r, number, seconds);
}

const struct alert *last_alert(const struct run *r)
{
    const struct alert *a = engine_alert_find(r->engine, r->last);
    assert_non_null(a);
    return a;
}

void child_in(struct run *r, unsigned container, uint32_t parent, uint32_t tgid,
              const char *program)
{
    scene_fork(&r->scene, container, parent, tgid, "/usr/sbin/server");
    scene_exec(&r->scene, container, tgid, "/usr/sbin/server", program, program);
}

void child(struct run *r, uint32_t parent, uint32_t tgid, const char *program)
{
    child_in(r, 1, parent, tgid, program);
}
