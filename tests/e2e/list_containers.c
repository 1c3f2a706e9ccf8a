/* Prints what containers_scan() finds on this machine, one JSON object a line. */
#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "capture/containers.h"

int main(void)
{
    struct containers *c;
    struct containers_options options = {0};
    uint32_t next = 1;
    if (containers_new(&options, &c) || containers_scan(c, clock_mono_ns(), &next))
        return 2;
    for (uint32_t i = 0; i < containers_count(c); i++) {
        const struct container *k = containers_at(c, i);
        json_t *o =
            json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:i, s:b}", "number",
                      (int)k->number, "id", k->id, "runtime", k->runtime, "name", k->name, "image",
                      k->image, "command", k->command, "workload", k->workload, "reason", k->reason,
                      "cgroup_id", (json_int_t)k->cgroup_id, "hierarchy",
                      containers_hierarchy(c, k->number), "state", k->state, "wanted", k->wanted);
        if (o)
            json_dumpf(o, stdout, 0);
        putchar('\n');
        json_decref(o);
    }
    containers_free(c);
    return 0;
}
