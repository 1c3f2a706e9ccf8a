/* The parts of the demo that judge: which calls are the attack's, and that a seed means one plan.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "cli/demo.h"
#include "cli/demo_site.h"

static void a_seed_is_a_plan(void **state)
{
    (void)state;
    unsigned different = 0, ways = 0, orders = 0;
    struct demo_plan first, again, one;
    demo_attack_plan(0, &one);
    for (uint64_t seed = 0; seed < 50; seed++) {
        demo_attack_plan(seed, &first);
        demo_attack_plan(seed, &again);
        assert_memory_equal(&first, &again, sizeof(first));
        assert_int_equal(first.n, ATTACK_STEPS_MAX);
        assert_true(first.port >= 20000 && first.port < 40000);
        different += strcmp(first.program, one.program) != 0;
        for (unsigned i = 0; i < first.n; i++) {
            assert_true(strlen(first.steps[i]) < sizeof(first.steps[i]) - 1);
            ways |= strstr(first.steps[i], "wget") ? 1 : strstr(first.steps[i], "printf") ? 2 : 0;
            orders |= strncmp(first.steps[i], "id;", 3) == 0 ? 1u << i : 0;
        }
    }
    assert_true(different > 30);
    assert_int_equal(ways, 3);
    assert_int_equal(orders, 5); /* looks around first, or last */
}

static json_t *alert(const char *sequences)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "{\"container\": {\"name\": \"" DEMO_WEB "\"}, \"processes\": ["
             "{\"id\": \"10-1\", \"parent\": null}, {\"id\": \"11-2\", \"parent\": \"10-1\"},"
             "{\"id\": \"12-3\", \"parent\": \"11-2\"}, {\"id\": \"13-4\", \"parent\": \"12-3\"},"
             "{\"id\": \"14-5\", \"parent\": \"14-5\"}], \"sequences\": [%s]}",
             sequences);
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return j;
}

static void marked_calls_are_counted_by_process_tree(void **state)
{
    (void)state;
    const struct demo_attack a = {.processes = {11}, .n_processes = 1};
    unsigned marked, attack;
    json_t *j = alert("{\"time\": 7, \"process\": \"13-4\", \"calls\": [{\"strange\": true}, "
                      "{\"strange\": false},"
                      "{\"strange\": true}]}, {\"time\": 6, \"process\": \"10-1\", \"calls\": "
                      "[{\"strange\": true}]},"
                      "{\"time\": 5, \"process\": \"11-2\", \"calls\": [{\"strange\": true}]},"
                      "{\"time\": 5, \"process\": \"14-5\", \"calls\": [{\"strange\": true}]},"
                      "{\"time\": 5, \"process\": \"99-9\", \"calls\": [{\"strange\": true}]}, "
                      "{\"time\": 4, \"process\": \"11-2\", \"calls\": [{\"strange\": true}]}");
    demo_watch_marked(j, &a, 5, &marked, &attack);
    assert_int_equal(marked, 6);
    assert_int_equal(attack, 3); /* 13 below 12 below 11, and 11; not its parent, not strangers */
    assert_true(demo_watch_is_of(j, DEMO_WEB));
    assert_false(demo_watch_is_of(j, DEMO_REDIS));
    json_decref(j);
}

static void success_takes_everything(void **state)
{
    (void)state;
    json_t *j = alert("");
    const struct demo good = {.ready = true,
                              .found = j,
                              .marked = 10,
                              .marked_attack = 8,
                              .attack = {.read_secrets = true, .ran_program = true}};
    assert_true(demo_succeeded(&good));
    struct demo d = good;
    d.before = 1;
    assert_false(demo_succeeded(&d));
    d = good, d.found = NULL;
    assert_false(demo_succeeded(&d));
    d = good, d.marked_attack = 7;
    assert_false(demo_succeeded(&d));
    d = good, d.marked = d.marked_attack = 0;
    assert_false(demo_succeeded(&d));
    d = good, d.attack.ran_program = false;
    assert_false(demo_succeeded(&d));
    d = good, d.ready = false;
    assert_false(demo_succeeded(&d));
    d = (struct demo){.ready = true, .no_attack = true};
    assert_true(demo_succeeded(&d));
    d.before = 1;
    assert_false(demo_succeeded(&d));
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_a_plan),
        cmocka_unit_test(marked_calls_are_counted_by_process_tree),
        cmocka_unit_test(success_takes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
