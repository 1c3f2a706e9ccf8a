/* The engine on the made-up workload of scene.c: when it is ready, what opens, extends, closes and
 * repeats alerts, suppression, verdicts, replicas, and that a restart from a snapshot changes
 * nothing. */
#include "test.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "soc/engine.h"
#include "soc/explain.h"
#include "soc/run.h"

static void test_readiness_in_words(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    scene_container(&r.scene, 1, WORKLOAD, true);
    scene_boot(&r.scene, 1, 100);
    serve(&r, 1, 20);
    struct profile_status s;
    profile_status(engine_profile_find(r.engine, WORKLOAD), &s);
    assert_int_equal(s.state, PROFILE_LEARNING);
    assert_non_null(strstr(s.phase[PHASE_STEADY].reason, "of 60 active seconds; last new"));
    assert_true(s.phase[PHASE_STEADY].progress > .2 && s.phase[PHASE_STEADY].progress < .5);
    assert_true(s.phase[PHASE_STEADY].eta_s > 30);
    /* A new program late puts readiness off. */
    serve(&r, 1, 35);
    scene_fork(&r.scene, 1, 100, 150, "/usr/sbin/server");
    scene_exec(&r.scene, 1, 150, "/usr/sbin/server", "/usr/bin/backup", "backup");
    serve(&r, 1, 20);
    assert_false(profile_ready(engine_profile_find(r.engine, WORKLOAD), PHASE_STEADY));
    serve(&r, 1, 20);
    profile_status(engine_profile_find(r.engine, WORKLOAD), &s);
    assert_int_equal(s.state, PROFILE_READY);
    assert_true(s.provisional);
    assert_string_equal(
        s.phase[PHASE_STARTUP].reason,
        "0 of 2 starts seen; until then what is strange in a start is held, not sent");
    assert_true(s.alerts == 0 && s.per_day_upper95 > 1000); /* minutes of quiet prove little */
    teardown(&r);
}

static void test_attack_is_found_and_explained(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    serve(&r, 1, 60);
    assert_int_equal(r.opened, 0);
    assert_true(r.keeps[KEEP_NORMAL] > 0 && r.keeps[KEEP_ANOMALOUS] == 0);
    scene_attack(&r.scene, 1, 100, 200);
    scene_serve(&r.scene, 1, 100);
    step(&r);
    assert_int_equal(r.opened, 1);
    const struct alert *a = last_alert(&r);
    assert_true(a->open && a->provisional && !a->held && a->phase == PHASE_STEADY);
    assert_true(a->score >= 50 && a->score <= 99);
    assert_true(a->latency_s >= 0 && a->latency_s <= .5);
    assert_true(a->channels[CHANNEL_NOVELTY].over);
    assert_int_equal(a->n_processes, 3);
    assert_true(a->n_sequences >= 2);
    assert_true(a->n_keys >= 3);
    unsigned marked = 0, of_attack = 0;
    for (uint32_t i = 0; i < a->n_sequences; i++) {
        for (uint32_t k = 0; k < a->sequences[i].n_calls; k++) {
            marked += a->sequences[i].calls[k].strange;
            of_attack += a->sequences[i].calls[k].strange && a->sequences[i].tgid >= 200;
        }
    }
    assert_true(marked > 0 && of_attack * 10 >= marked * 8);
    CLEANUP(freep) char *headline = explain_headline(a);
    assert_non_null(strstr(headline, "dash read /etc/shadow: credentials, never before in"));
    bool dropped = false;
    for (uint32_t i = 0; i < a->n_novelties; i++)
        dropped |= strstr(a->novelties[i].sentence, "dash started /tmp/.x1") != NULL;
    assert_true(dropped);
    assert_true(r.keeps[KEEP_ANOMALOUS] > 0);
    serve(&r, 1, 2);
    assert_true(r.strangest[CHANNEL_NOVELTY].value >= 1);
    assert_non_null(strstr(r.strangest[CHANNEL_NOVELTY].why, "dash ran, started by server"));
    assert_non_null(strstr(r.strangest[CHANNEL_SEQUENCE].why, "where normal time does not"));
    assert_non_null(strstr(r.strangest[CHANNEL_FREQUENCY].why, "times in a second"));
    teardown(&r);
}

/* The strangest rates of so many whole seconds in which container 2 does a call as never before. */
static double flood(struct run *r, unsigned seconds)
{
    static const struct scene_call calls[] = {{"accept4", 7, NULL, 0}, {NULL, 0, NULL, 0}};
    while (r->scene.tick % 4)
        serve_only(r, 2, .25);
    r->strangest[CHANNEL_FREQUENCY].value = 0;
    for (unsigned i = 0; i < 4 * seconds; i++) {
        scene_calls(&r->scene, 2, 200, "/usr/sbin/server", calls, 200);
        serve_only(r, 2, .25);
    }
    serve_only(r, 2, 3);
    return r->strangest[CHANNEL_FREQUENCY].value;
}

/* In a container's second four minutes the rates of one second must be stranger, those of two need
 * not. */
static void test_rates_of_one_second(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    restart(&r, 2, 300, false);
    double one = flood(&r, 1), two = flood(&r, 2);
    serve_only(&r, 2, 200);
    double late = flood(&r, 1);
    assert_true(one > 1);
    assert_true(two > 1.4 * one && two < 1.6 * one);
    assert_true(late > .9 * two && late < 1.1 * two);
    teardown(&r);
}

static void test_extend_close_and_link(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    r.options.alert_max_s = 120;
    engine_free(r.engine);
    assert_int_equal(engine_new(&r.options, &r.engine), 0);
    learn(&r, 1);
    scene_attack(&r.scene, 1, 100, 200);
    serve(&r, 1, 100);
    char first[ALERT_ID_MAX];
    memcpy(first, r.last, sizeof(first));
    unsigned changed = r.changed;
    child(&r, 200, 210, "/tmp/more"); /* what its processes start belongs to it, however late */
    serve(&r, 1, 5);
    assert_int_equal(r.opened, 1);
    assert_true(r.changed > changed);
    serve(&r, 1, 40);
    child(&r, 200, 220, "/tmp/other"); /* after alert_max_s */
    serve(&r, 1, 5);
    assert_int_equal(r.opened, 2);
    assert_string_equal(last_alert(&r)->linked, first);
    assert_false(engine_alert_find(r.engine, first)->open);
    unsigned closed = r.closed;
    serve(&r, 1, 290);
    assert_int_equal(r.closed, closed);
    serve(&r, 1, 15);
    assert_int_equal(r.closed, closed + 1);
    assert_int_equal(r.opened, 2);
    teardown(&r);
}

/* What another process does more than extend_s after an open alert is an alert of its own. */
static void test_alerts_open_side_by_side(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    scene_attack(&r.scene, 1, 100, 200);
    serve(&r, 1, 30);
    child(&r, 100, 300, "/usr/bin/within"); /* together in time: one alert */
    serve(&r, 1, 70);
    assert_int_equal(r.opened, 1);
    char first[ALERT_ID_MAX];
    memcpy(first, r.last, sizeof(first));
    child(&r, 100, 400, "/usr/bin/apart"); /* the server is part of the alert, but not the attack */
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 2);
    assert_string_equal(last_alert(&r)->linked, "");
    assert_true(last_alert(&r)->open && engine_alert_find(r.engine, first)->open);
    uint32_t n = engine_alert_find(r.engine, first)->n_novelties;
    child(&r, 300, 310, "/usr/bin/deeper");
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 2);
    assert_true(engine_alert_find(r.engine, first)->n_novelties > n);
    teardown(&r);
}

/* What was judged harmless takes nothing more in: it would hide what comes next. */
static void test_a_benign_verdict_ends_an_alert(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    child(&r, 100, 200, "/usr/bin/rotate");
    serve(&r, 1, 5);
    assert_int_equal(r.opened, 1);
    assert_int_equal(engine_verdict(r.engine, r.last, VERDICT_EXPECTED), 0);
    assert_false(last_alert(&r)->open);
    scene_attack(&r.scene, 1, 200, 300);
    serve(&r, 1, 5);
    assert_int_equal(r.opened, 2);
    teardown(&r);
}

static void test_memory_counts_once_per_process(void **state)
{
    (void)state;
    static const struct scene_call odd[] = {{"getcwd", 0, NULL, 0}, {NULL, 0, NULL, 0}};
    struct run r;
    setup(&r);
    learn(&r, 1);
    scene_calls(&r.scene, 1, 100, "/usr/sbin/server", odd, 1);
    serve(&r, 1, 1);
    assert_int_equal(r.opened, 1);
    for (int i = 0; i < 20; i++) { /* again and again: only its rate still counts */
        scene_calls(&r.scene, 1, 100, "/usr/sbin/server", odd, 1);
        serve(&r, 1, 1);
    }
    const struct alert *a = last_alert(&r);
    assert_int_equal(a->n_sequences, 1);
    for (uint32_t i = 0; i < a->n_novelties; i++)
        assert_true(a->novelties[i].kind == EVIDENCE_RATE || a->novelties[i].count == 1);
    teardown(&r);
}

static void test_one_dirty_kind_is_not_enough(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    scene_container(&r.scene, 1, WORKLOAD, true);
    scene_boot(&r.scene, 1, 100);
    for (int i = 0; i < 8; i++) { /* each time block has an argument class of its own */
        char path[64];
        snprintf(path, sizeof(path), "/opt/%c/data", 'a' + i);
        struct scene_call rare[] = {{"openat", 3, path, ACCESS_READ}, {NULL, 0, NULL, 0}};
        scene_calls(&r.scene, 1, 100, "/usr/sbin/server", rare, 1);
        serve(&r, 1, 12);
    }
    const struct profile *p = engine_profile_find(r.engine, WORKLOAD);
    assert_true(profile_ready(p, PHASE_STEADY));
    assert_false(profile_kind_opens(p, PHASE_STEADY, EVIDENCE_ARGUMENT));
    assert_true(profile_kind_opens(p, PHASE_STEADY, KIND_BOLD));
    assert_true(profile_kind_opens(p, PHASE_STEADY, EVIDENCE_PROGRAM));
    struct scene_call other[] = {{"openat", 3, "/opt/zz/data", ACCESS_READ}, {NULL, 0, NULL, 0}};
    scene_calls(&r.scene, 1, 100, "/usr/sbin/server", other, 1);
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 0);
    struct scene_call bold[] = {{"openat", 3, "/root/.ssh/id_rsa", ACCESS_READ},
                                {NULL, 0, NULL, 0}};
    scene_calls(&r.scene, 1, 100, "/usr/sbin/server", bold, 1);
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 1);
    teardown(&r);
}

static void test_suppression(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    struct engine_suppression s = {
        .id = "s1", .workload = WORKLOAD, .author = "ana", .expires = 1700000000 + 1000 + 200};
    assert_int_equal(engine_suppress(r.engine, &s), 0);
    assert_int_equal(engine_suppressions(r.engine, WORKLOAD), 1);
    scene_attack(&r.scene, 1, 100, 200);
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 0);
    struct engine_counters k;
    engine_counters(r.engine, &k);
    assert_true(k.suppressed > 0);
    serve(&r, 1, 200); /* it has expired */
    assert_int_equal(engine_suppressions(r.engine, WORKLOAD), 0);
    scene_exec(&r.scene, 1, 200, "/usr/bin/dash", "/tmp/other", "other");
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 1);
    /* One key of the alert, for ever. */
    serve(&r, 1, 310);
    for (uint32_t i = 0; i < last_alert(&r)->n_keys; i++) {
        char id[16];
        snprintf(id, sizeof(id), "k%u", i);
        s = (struct engine_suppression){
            .id = id, .workload = WORKLOAD, .author = "ana", .key = last_alert(&r)->keys[i]};
        assert_int_equal(engine_suppress(r.engine, &s), 0);
    }
    unsigned changed = r.changed;
    scene_exec(&r.scene, 1, 400, "/usr/bin/dash", "/tmp/other", "other");
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 1);
    assert_int_equal(r.changed, changed);
    teardown(&r);
}

/* Its end is a time of people's clock, whatever the clock was when the capture began. */
static void test_a_suppression_ends_by_the_wall_clock(void **state)
{
    (void)state;
    for (int ahead = 0; ahead < 2; ahead++) {
        struct run r;
        setup(&r);
        learn(&r, 1);
        r.scene.wall_lead_ns += ahead ? 3600 * NS_PER_S : -3600 * NS_PER_S;
        step(&r), step(&r);
        double wall_s = (double)r.scene.block->wall_ns / 1e9;
        struct engine_suppression s = {
            .id = "s1", .workload = WORKLOAD, .author = "ana", .expires = wall_s + 100};
        assert_int_equal(engine_suppress(r.engine, &s), 0);
        reload(&r);
        assert_int_equal(engine_suppress(r.engine, &s), 0); /* the store has it */
        assert_int_equal(engine_suppressions(r.engine, WORKLOAD), 1);
        scene_attack(&r.scene, 1, 100, 200);
        serve(&r, 1, 2);
        assert_int_equal(r.opened, 0);
        serve(&r, 1, 120);
        assert_int_equal(engine_suppressions(r.engine, WORKLOAD), 0);
        scene_attack(&r.scene, 1, 100, 300);
        serve(&r, 1, 2);
        assert_int_equal(r.opened, 1);
        teardown(&r);
    }
}

/* Maintenance for ten minutes: what it did alarms again when it is over, though what else did not
 * alarm was learnt meanwhile. */
static void test_what_is_suppressed_is_not_learnt(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    struct engine_suppression s = {
        .id = "s1", .workload = WORKLOAD, .author = "ana", .expires = 1700000000 + 1000 + 600};
    assert_int_equal(engine_suppress(r.engine, &s), 0);
    child(&r, 100, 200, "/usr/bin/dash");
    serve(&r, 1, 5);
    assert_int_equal(r.opened, 0);
    serve(&r, 1, 3 * 3600);
    child(&r, 100, 300, "/usr/bin/dash");
    serve(&r, 1, 5);
    assert_int_equal(r.opened, 1);
    teardown(&r);
}

static void test_repeats_and_verdicts(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    child(&r, 100, 200, "/usr/bin/rotate");
    serve(&r, 1, 310);
    assert_int_equal(r.opened, 1);
    assert_int_equal(r.closed, 1);
    child(&r, 100, 201, "/usr/bin/rotate");
    serve(&r, 1, 310); /* nobody judged it: a counter, not an alert */
    assert_int_equal(r.opened, 1);
    assert_int_equal(last_alert(&r)->repeats, 1);
    uint32_t version = profile_version(engine_profile_find(r.engine, WORKLOAD));
    assert_int_equal(engine_verdict(r.engine, r.last, VERDICT_EXPECTED), 0);
    serve(&r, 1, 3); /* what it taught counts at once, the thresholds follow */
    assert_int_equal(profile_version(engine_profile_find(r.engine, WORKLOAD)), version + 1);
    unsigned changed = r.changed;
    child(&r, 100, 202, "/usr/bin/rotate");
    serve(&r, 1, 5); /* now it is known */
    assert_int_equal(r.opened, 1);
    assert_int_equal(r.changed, changed);
    assert_int_equal(engine_verdict(r.engine, "nonsense", VERDICT_EXPECTED), -ENOENT);
    teardown(&r);
}

static void test_replicas_are_one_group(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 3);
    for (unsigned c = 1; c <= 3; c++) {
        scene_attack(&r.scene, c, 100 * c, 1000 * c);
        serve(&r, 3, 10);
    }
    assert_int_equal(r.opened, 1);
    assert_int_equal(last_alert(&r)->replicas, 3);
    struct profile_status s;
    profile_status(engine_profile_find(r.engine, WORKLOAD), &s);
    assert_int_equal(s.alerts, 1); /* what was asked for counts groups */
    teardown(&r);
}

/* A replica that does what the group has not shown gets an alert of its own, one for all of it; the
 * next replica that does the same is counted into both. */
static void test_a_replica_goes_further(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 3);
    scene_attack(&r.scene, 1, 100, 1000);
    serve(&r, 3, 10);
    for (unsigned c = 2; c <= 3; c++) {
        scene_attack(&r.scene, c, 100 * c, 1000 * c);
        serve(&r, 3, 5);
        child_in(&r, c, 1000 * c, 1000 * c + 10, "/tmp/miner");
        serve(&r, 3, 5);
        child_in(&r, c, 1000 * c, 1000 * c + 20, "/tmp/second");
        serve(&r, 3, 5);
        assert_int_equal(r.opened, 2);
        assert_int_equal(last_alert(&r)->replicas, c - 1);
    }
    assert_int_equal(engine_alerts(r.engine), 2);
    assert_int_equal(engine_alert(r.engine, 0)->replicas, 3);
    teardown(&r);

    /* In its very first window, too. */
    static const struct scene_call probe[] = {
        {"getcwd", 0, NULL, 0}, {"ptrace", 0, NULL, 0}, {"uname", 0, NULL, 0}, {NULL, 0, NULL, 0}};
    static const struct scene_call theft[] = {{"getcwd", 0, NULL, 0},
                                              {"ptrace", 0, NULL, 0},
                                              {"uname", 0, NULL, 0},
                                              {"openat", 3, "/etc/shadow", ACCESS_READ},
                                              {NULL, 0, NULL, 0}};
    setup(&r);
    learn(&r, 2);
    scene_calls(&r.scene, 1, 100, "/usr/sbin/server", probe, 1);
    serve(&r, 2, 2);
    assert_int_equal(r.opened, 1);
    scene_calls(&r.scene, 2, 200, "/usr/sbin/server", theft, 1);
    serve(&r, 2, 2);
    assert_int_equal(r.opened, 2);
    teardown(&r);
}

/* Judged is over: the same on another container within the hour is for somebody to see, and the
 * one after it is its replica. */
static void test_a_judged_alert_takes_no_replica_in(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 3);
    scene_attack(&r.scene, 1, 100, 1000);
    serve(&r, 3, 310);
    assert_int_equal(r.opened, 1);
    char first[ALERT_ID_MAX];
    memcpy(first, r.last, sizeof(first));
    assert_int_equal(engine_verdict(r.engine, first, VERDICT_INCIDENT), 0);
    for (unsigned c = 2; c <= 3; c++) {
        scene_attack(&r.scene, c, 100 * c, 1000 * c);
        serve(&r, 3, 10);
        assert_int_equal(r.opened, 2);
        assert_string_equal(last_alert(&r)->linked, first);
        assert_int_equal(last_alert(&r)->replicas, c - 1);
    }
    assert_int_equal(engine_alert_find(r.engine, first)->replicas, 1);
    teardown(&r);
}

/* The judged alert may be the one that gives way to the new one. */
static void test_a_link_outlives_its_alert(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    engine_free(r.engine);
    r.options.alerts_max = 1;
    assert_int_equal(engine_new(&r.options, &r.engine), 0);
    learn(&r, 2);
    scene_attack(&r.scene, 1, 100, 1000);
    serve(&r, 2, 310);
    char first[ALERT_ID_MAX];
    memcpy(first, r.last, sizeof(first));
    assert_int_equal(engine_verdict(r.engine, first, VERDICT_INCIDENT), 0);
    scene_attack(&r.scene, 2, 200, 2000);
    serve(&r, 2, 5);
    assert_int_equal(r.opened, 2);
    assert_null(engine_alert_find(r.engine, first));
    assert_string_equal(last_alert(&r)->linked, first);
    teardown(&r);
}

/* What an alert held is dropped when the alert leaves the table unjudged. */
static void test_a_forgotten_alert_holds_nothing(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    engine_free(r.engine);
    r.options.alerts_max = 2;
    assert_int_equal(engine_new(&r.options, &r.engine), 0);
    learn(&r, 1);
    uint64_t alert[3];
    for (unsigned i = 0; i < ARRAY_SIZE(alert); i++) {
        char program[32];
        snprintf(program, sizeof(program), "/usr/bin/p%c", 'a' + i);
        child(&r, 100, 200 + i, program);
        serve(&r, 1, 310);
        assert_int_equal(r.opened, i + 1);
        alert[i] = strtoull(r.last, NULL, 16);
    }
    struct profile *p = (struct profile *)engine_profile_find(r.engine, WORKLOAD);
    assert_int_equal(engine_alerts(r.engine), 2);
    assert_int_equal(profile_verdict(p, alert[0], false, 0), 0);
    assert_true(profile_verdict(p, alert[1], false, 0) > 0);
    teardown(&r);
}

static void test_startup_is_held_until_learnt(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    restart(&r, 1, 90, false);
    const struct profile *p = engine_profile_find(r.engine, WORKLOAD);
    assert_true(profile_ready(p, PHASE_STEADY));
    assert_false(profile_ready(p, PHASE_STARTUP));
    restart(&r, 2, 30, true); /* the second start ever, with an attack in it */
    assert_int_equal(r.opened, 0);
    assert_int_equal(r.held, 1);
    assert_true(profile_ready(p, PHASE_STARTUP));
    char held[ALERT_ID_MAX];
    memcpy(held, r.last, sizeof(held));
    scene_exec(&r.scene, 2, 5020, "/usr/bin/dash", "/tmp/other", "other"); /* it goes on: sent */
    serve_only(&r, 2, 5);
    assert_int_equal(r.opened, 1);
    assert_false(last_alert(&r)->held);
    assert_string_equal(last_alert(&r)->linked, held);
    restart(&r, 3, 30, false);
    assert_int_equal(r.opened + r.held, 2); /* an ordinary start is quiet */
    teardown(&r);

    setup(&r);
    restart(&r, 1, 40, false);
    restart(&r, 2, 90, false);
    p = engine_profile_find(r.engine, WORKLOAD);
    assert_true(profile_ready(p, PHASE_STEADY) && profile_ready(p, PHASE_STARTUP));
    restart(&r, 3, 5, true); /* both learnt: now it is sent */
    assert_int_equal(r.held, 0);
    assert_int_equal(r.opened, 1);
    assert_int_equal(last_alert(&r)->phase, PHASE_STARTUP);
    teardown(&r);
}

/* All alerts as JSON text. */
static char *alerts_text(const struct engine *e)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < engine_alerts(e); i++)
        json_array_append_new(list, explain_alert(engine_alert(e, i)));
    char *text = json_dumps(list, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    json_decref(list);
    return text;
}

/* The whole story; a snapshot is taken, and taken up again, before each of the given ticks. */
static char *story(uint64_t every)
{
    struct run r;
    setup(&r);
    restart(&r, 1, 40, false);
    restart(&r, 2, 90, false);
    for (int i = 0; i < 400; i++) {
        if (i == 40)
            scene_attack(&r.scene, 2, 200, 300);
        if (i == 42)
            scene_attack(&r.scene, 2, 200, 310);
        scene_serve(&r.scene, 2, 200);
        if (every && i % every == 0)
            reload(&r);
        step(&r);
    }
    assert_int_equal(r.opened, 1);
    char *text = alerts_text(r.engine);
    teardown(&r);
    return text;
}

static void test_restart_gives_the_same_alerts(void **state)
{
    (void)state;
    CLEANUP(freep) char *plain = story(0);
    CLEANUP(freep) char *restarted = story(7);
    CLEANUP(freep) char *every = story(1);
    assert_string_equal(plain, restarted);
    assert_string_equal(plain, every);
}

/* tests/golden/alerts.json; UPDATE=1 in the environment writes it anew. */
static void test_golden(void **state)
{
    (void)state;
    CLEANUP(freep) char *text = story(0);
    const char *path = SOURCE "/tests/golden/alerts.json";
    if (getenv("UPDATE")) {
        CLEANUP(fclosep) FILE *out = fopen(path, "w");
        assert_non_null(out);
        fprintf(out, "%s\n", text);
        return;
    }
    json_t *want = json_load_file(path, 0, NULL), *have = json_loads(text, 0, NULL);
    assert_non_null(want);
    assert_true(json_equal(want, have));
    json_decref(want);
    json_decref(have);
}

static void test_malformed_state_is_refused(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    scene_attack(&r.scene, 1, 100, 200);
    serve(&r, 1, 2);
    struct buf bytes;
    buf_init(&bytes, 1 << 28);
    engine_save(r.engine, &bytes);
    struct engine *again = NULL;
    for (size_t n = 0; n < bytes.size; n += 1 + bytes.size / 300) {
        assert_int_not_equal(engine_load(bytes.data, n, &r.options, &again), 0);
        assert_null(again);
    }
    for (size_t n = 0; n < bytes.size;
         n += 1 + bytes.size / 300) { /* any error or none, no crash */
        bytes.data[n] ^= 0x5a;
        if (engine_load(bytes.data, bytes.size, &r.options, &again) == 0)
            engine_free(again);
        again = NULL;
        bytes.data[n] ^= 0x5a;
    }
    buf_done(&bytes);
    teardown(&r);
}

/* One bad byte does not take the letters around it: docs/SECURITY.md. */
static void test_text_of_an_alert_is_utf8(void **state)
{
    (void)state;
    struct alert_process process = {
        .tgid = 7, .program = "/bin/caf\xc3\xa9\xff", .arguments = "\xe2\x82"};
    struct alert_novelty novelty = {
        .program = "\xc3\xa9", .text = "x\xff", .sentence = "\xc3\xa9\xff ran"};
    struct alert a = {.id = "a1",
                      .workload = "w\xc3\xa9\xff",
                      .container = {.name = "\xc3\xb6\xfe"},
                      .processes = &process,
                      .novelties = &novelty,
                      .n_processes = 1,
                      .n_novelties = 1};
    json_auto_t *j = explain_alert(&a);
    assert_non_null(j);
    const char *const whole = "\xc3\xa9\xef\xbf\xbd";
    char text[64];
    const json_t *p = json_array_get(json_object_get(j, "processes"), 0);
    snprintf(text, sizeof(text), "/bin/caf%s", whole);
    assert_string_equal(json_string_value(json_object_get(p, "program")), text);
    assert_string_equal(json_string_value(json_object_get(p, "arguments")), "\xef\xbf\xbd");
    snprintf(text, sizeof(text), "w%s", whole);
    assert_string_equal(json_string_value(json_object_get(j, "workload")), text);
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "container"), "name")),
                        "\xc3\xb6\xef\xbf\xbd");
    assert_non_null(strstr(json_string_value(json_object_get(j, "headline")), whole));
}

/* The agent was started anew without pins: its containers have other numbers now. */
static void test_a_new_capture_ends_the_one_before(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 2);
    const struct profile *p = engine_profile_find(r.engine, WORKLOAD);
    assert_int_equal(engine_profile_containers(r.engine, p), 2);
    new_capture(&r, 0);
    serve(&r, 1, 90);
    assert_int_equal(engine_profile_containers(r.engine, p), 1);
    struct engine_counters k;
    engine_counters(r.engine, &k);
    assert_int_equal(k.containers, 1); /* and they do not stay */
    teardown(&r);
}

/* A clock that was set back between two captures (NTP, a machine without one of its own) stops
 * neither alerts nor learning; people's times are those of the clock. */
static void test_a_clock_set_back_stops_nothing(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    new_capture(&r, 3600);
    serve(&r, 1, 10);
    double wall_s = (double)r.scene.block->wall_ns / 1e9;
    scene_attack(&r.scene, 1, 100, 200);
    serve(&r, 1, 2);
    assert_int_equal(r.opened, 1);
    assert_true(last_alert(&r)->open);
    assert_true(fabs(last_alert(&r)->first - wall_s) < 2);
    serve(&r, 1, 290);
    assert_int_equal(r.closed, 0);
    serve(&r, 1, 20);
    assert_int_equal(r.closed, 1);
    teardown(&r);

    setup(&r);
    scene_container(&r.scene, 1, "other", true);
    scene_fork(&r.scene, 1, 0, 100, "/usr/sbin/server");
    serve(&r, 1, 5);
    new_capture(&r, 30 * 86400);
    serve(&r, 1, LEARNT_S);
    assert_true(profile_ready(engine_profile_find(r.engine, WORKLOAD), PHASE_STEADY));
    teardown(&r);
}

/* The state that is saved with a verdict knows that the end of the alert is yet to be told. */
static void test_a_closing_is_told_after_a_restart(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    learn(&r, 1);
    scene_attack(&r.scene, 1, 100, 200);
    serve(&r, 1, 5);
    assert_int_equal(engine_verdict(r.engine, r.last, VERDICT_EXPECTED), 0);
    reload(&r);
    assert_int_equal(r.closed, 0);
    serve(&r, 1, 1);
    assert_int_equal(r.closed, 1);
    teardown(&r);
}

static void test_caps_are_counted(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    engine_free(r.engine);
    r.options.processes_max = 16, r.options.containers_max = 2, r.options.texts_max = 8;
    r.options.profiles_max = 1, r.options.alerts_max = 1;
    assert_int_equal(engine_new(&r.options, &r.engine), 0);
    for (uint32_t c = 1; c <= 4; c++) {
        char workload[32];
        snprintf(workload, sizeof(workload), "w%u", c);
        scene_container(&r.scene, c, workload, true);
    }
    for (uint32_t p = 0; p < 100; p++) {
        char program[32];
        snprintf(program, sizeof(program), "/bin/p%c%c", 'a' + p / 26, 'a' + p % 26);
        scene_fork(&r.scene, 1, 0, 1000 + p, program);
        scene_serve(&r.scene, 1, 1000 + p);
        step(&r);
    }
    struct engine_counters k;
    engine_counters(r.engine, &k);
    assert_int_equal(k.containers, 2);
    assert_int_equal(k.refused_containers, 2);
    assert_true(k.refused_profiles >= 1); /* tried again now and then */
    assert_true(k.processes <= 16 && k.refused_processes > 0);
    assert_true(k.texts <= 8 && k.refused_texts > 0);
    assert_non_null(engine_text(r.engine, text_id(TEXT_PATH, ACCESS_READ, "/srv/www/page.html")));
    teardown(&r);
}

/* What was not learnt for want of room stays counted when the profile goes. */
static void test_refused_learning_is_counted(void **state)
{
    (void)state;
    struct run r;
    struct engine_counters counters;
    setup(&r);
    engine_free(r.engine);
    r.options.profile.sample_max = 16;
    assert_int_equal(engine_new(&r.options, &r.engine), 0);
    learn(&r, 1);
    for (unsigned i = 0; i < 40; i++) { /* more that is new than there is room for */
        static const char *const names[] = {"read", "write", "openat", "close", "fstat"};
        struct scene_call calls[9] = {0};
        for (unsigned k = 0; k < 8; k++)
            calls[k].name = names[(i >> k & 1) + (k & 3)];
        scene_calls(&r.scene, 1, 100, "/usr/sbin/server", calls, 1);
        serve(&r, 1, 1);
    }
    engine_counters(r.engine, &counters);
    uint64_t refused = counters.refused_learning;
    assert_true(refused > 0);
    assert_int_equal(engine_profile_reset(r.engine, WORKLOAD), 0);
    engine_counters(r.engine, &counters);
    assert_int_equal(counters.refused_learning, refused);
    teardown(&r);
}

static void test_unwanted_and_passing_containers(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    engine_free(r.engine);
    r.options.profiles_max = 16;
    assert_int_equal(engine_new(&r.options, &r.engine), 0);
    /* Workload unknown at first: what it does waits, and counts once it is known. */
    scene_container(&r.scene, 1, "", true);
    r.scene.block->containers[0].state = CONTAINER_UNRESOLVED;
    scene_boot(&r.scene, 1, 100);
    serve(&r, 1, 2);
    assert_null(engine_profile_find(r.engine, WORKLOAD));
    scene_container(&r.scene, 1, WORKLOAD, true);
    serve(&r, 1, 1);
    struct profile_status s;
    profile_status(engine_profile_find(r.engine, WORKLOAD), &s);
    assert_true(s.windows >= 12); /* 4 a second */
    /* Nobody wants it: nothing more is learnt. */
    uint64_t calls = s.calls;
    scene_container(&r.scene, 1, WORKLOAD, true);
    r.scene.block->containers[0].wanted = false;
    serve(&r, 1, 2);
    profile_status(engine_profile_find(r.engine, WORKLOAD), &s);
    assert_int_equal(s.calls, calls);
    /* Hundreds that come and go without a word do not fill the table. */
    for (uint32_t c = 2; c < 300; c++) {
        char workload[32];
        snprintf(workload, sizeof(workload), "id-%u", c);
        scene_container(&r.scene, c, workload, false);
        step(&r);
        scene_gone(&r.scene, c, workload);
        for (int i = 0; i < 40; i++)
            step(&r);
    }
    struct engine_counters k;
    engine_counters(r.engine, &k);
    assert_int_equal(k.refused_profiles, 0);
    assert_true(k.profiles <= 16);
    teardown(&r);
}

/* A container whose cgroup went, but of which a process lives elsewhere, is told to run again: it
 * is kept. */
static void test_who_outlives_the_cgroup(void **state)
{
    (void)state;
    struct run r;
    setup(&r);
    scene_container(&r.scene, 1, WORKLOAD, true);
    serve(&r, 1, 2);
    scene_gone(&r.scene, 1, WORKLOAD);
    step(&r);
    scene_container(&r.scene, 1, WORKLOAD, true);
    serve(&r, 1, 90); /* what is gone is forgotten after a minute */
    struct engine_counters k;
    engine_counters(r.engine, &k);
    assert_int_equal(k.containers, 1);
    assert_int_equal(k.unknown_container, 0);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readiness_in_words),
        cmocka_unit_test(test_attack_is_found_and_explained),
        cmocka_unit_test(test_rates_of_one_second),
        cmocka_unit_test(test_extend_close_and_link),
        cmocka_unit_test(test_alerts_open_side_by_side),
        cmocka_unit_test(test_a_benign_verdict_ends_an_alert),
        cmocka_unit_test(test_memory_counts_once_per_process),
        cmocka_unit_test(test_one_dirty_kind_is_not_enough),
        cmocka_unit_test(test_suppression),
        cmocka_unit_test(test_a_suppression_ends_by_the_wall_clock),
        cmocka_unit_test(test_what_is_suppressed_is_not_learnt),
        cmocka_unit_test(test_repeats_and_verdicts),
        cmocka_unit_test(test_replicas_are_one_group),
        cmocka_unit_test(test_a_replica_goes_further),
        cmocka_unit_test(test_a_judged_alert_takes_no_replica_in),
        cmocka_unit_test(test_a_link_outlives_its_alert),
        cmocka_unit_test(test_a_forgotten_alert_holds_nothing),
        cmocka_unit_test(test_startup_is_held_until_learnt),
        cmocka_unit_test(test_restart_gives_the_same_alerts),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_malformed_state_is_refused),
        cmocka_unit_test(test_text_of_an_alert_is_utf8),
        cmocka_unit_test(test_a_new_capture_ends_the_one_before),
        cmocka_unit_test(test_a_clock_set_back_stops_nothing),
        cmocka_unit_test(test_a_closing_is_told_after_a_restart),
        cmocka_unit_test(test_caps_are_counted),
        cmocka_unit_test(test_refused_learning_is_counted),
        cmocka_unit_test(test_unwanted_and_passing_containers),
        cmocka_unit_test(test_who_outlives_the_cgroup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
