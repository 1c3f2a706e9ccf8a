/* The verdict of the demo, for people and for programs. */
#include <string.h>

#include "cli/demo.h"
#include "cli/demo_site.h"

#define MARKED_SHARE_MIN 80 /* percent */

static unsigned percent(const struct demo *d)
{
    return d->marked ? 100 * d->marked_attack / d->marked : 0;
}

bool demo_succeeded(const struct demo *d)
{
    if (!d->ready || d->before)
        return false;
    return d->no_attack || (d->found && d->attack.read_secrets && d->attack.ran_program &&
                            percent(d) >= MARKED_SHARE_MIN);
}

static void print_text(struct demo *d, const char *title, json_t *alert, const char *key)
{
    const char *text = json_string_value(json_object_get(alert, key));
    if (text)
        fprintf(d->out, "  %s%s\n", title, text);
}

static void print_alert(struct demo *d, json_t *alert)
{
    json_t *why;
    size_t i;
    print_text(d, "", alert, "headline");
    fprintf(d->out, "  score %.0f%s, container %s\n",
            json_number_value(json_object_get(alert, "score")),
            json_is_true(json_object_get(alert, "provisional")) ? " (provisional)" : "",
            json_string_value(json_object_get(json_object_get(alert, "container"), "name")));
    json_array_foreach (json_object_get(alert, "why"), i, why)
        if (json_is_string(why) && i < 12)
            fprintf(d->out, "    - %s\n", json_string_value(why));
}

void demo_print_verdict(struct demo *d)
{
    json_t *alert;
    size_t i;
    fputc('\n', d->out);
    if (!d->ready)
        fprintf(d->out, "FAILED: the workloads were not learnt in time.\n");
    if (d->before) {
        fprintf(d->out, "FAILED: %u alerts without an attack:\n", d->before);
        json_array_foreach (d->alerts, i, alert)
            if (alert != d->found)
                print_alert(d, alert);
    }
    if (d->no_attack) {
        if (!d->before && d->ready)
            fprintf(d->out, "Nothing was alerted, as it should be.\n");
        return;
    }
    if (!d->found) {
        fprintf(d->out, "FAILED: the attack was not alerted.\n");
        return;
    }
    fprintf(d->out,
            "ALERT %.2f s after the first hostile request was sent (then it stood in the store):\n",
            d->seen - d->attack_began);
    print_alert(d, d->found);
    fprintf(d->out,
            "  %u of the %u calls marked in it (%u %%) were made by the attack's processes%s\n",
            d->marked_attack, d->marked, percent(d),
            percent(d) >= MARKED_SHARE_MIN ? "." : ": FAILED, at least 80 % are asked.");
    if (d->attach)
        fprintf(d->out, "  The whole alert: vigia alerts --data %s, or the web page.\n", d->data);
}

void demo_print_json(struct demo *d)
{
    json_t *o = json_pack("{s:b, s:I, s:b, s:b, s:i, s:o, s:i, s:i, s:i, s:b, s:b, s:f, s:O}",
                          "passed", demo_succeeded(d), "seed", (json_int_t)d->seed, "attack",
                          !d->no_attack, "learnt", d->ready, "alerts_before", (int)d->before,
                          "delay_s", d->found ? json_real(d->seen - d->attack_began) : json_null(),
                          "marked", (int)d->marked, "marked_attack", (int)d->marked_attack,
                          "attack_processes", (int)d->attack.n_processes, "read_secrets",
                          d->attack.read_secrets, "ran_program", d->attack.ran_program, "seconds",
                          demo_wall() - d->began, "alert", d->found ? d->found : json_null());
    if (o)
        json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}
