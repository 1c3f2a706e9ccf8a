/* Which of the kernel's container numbers are wanted, and under which number they are known. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/containers.h"
#include "capture/kernel.h"
#include "capture/table.h"

struct decide {
    struct kernel *kernel;
    struct containers *containers;
    struct table numbers; /* kernel's number -> the containers' number, and what is decided */
    struct table gone; /* kernel's number of a removed cgroup -> when to look whether to forget */
    bool host;
    uint64_t refused;
    uint64_t lost_records; /* of control's count: looked after */
};

void decide_init(struct decide *d, struct kernel *k, struct containers *c, bool host);
void decide_done(struct decide *d);
/* Those that exist now; after a take-up the kernel's own numbers first. */
int decide_scan(struct decide *d, uint64_t now_ns);
void decide_new(struct decide *d, const struct record_cgroup *r);
void decide_gone(struct decide *d, const struct record_cgroup *r);
/* Finds cgroups whose end was told by a record that was lost, if any was. */
void decide_look(struct decide *d, uint64_t now_ns);
/* A process lives that has the kernel's number: it is not to be forgotten, also without a cgroup.
 */
void decide_hold(struct decide *d, uint32_t number);
/* Forgets numbers whose cgroup went, and of which there was no call, in rings read up to read_ns,
 * and is no process since. */
void decide_forget(struct decide *d, uint64_t read_ns);
/* A container's wanted may have changed. */
void decide_changed(struct decide *d, const struct container *c);
/* Is the kernel's container *number wanted? *number becomes the number it is known by, 0: host. */
bool decide_wanted(struct decide *d, uint32_t *number);
