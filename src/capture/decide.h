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
    struct table numbers; /* kernel's number -> containers' number << 2 | enum container_decision */
    bool host;
    uint64_t refused;
    struct gone {
        uint32_t number;
        uint64_t due_ns;
    } *gone; /* [n_gone]: cgroups that are removed, in time order, with calls perhaps still in the
                rings */
    uint32_t n_gone;
};

void decide_init(struct decide *d, struct kernel *k, struct containers *c, bool host);
void decide_done(struct decide *d);
/* Those that exist now; after a take-up the kernel's own numbers first. */
int decide_scan(struct decide *d, uint64_t now_ns);
void decide_new(struct decide *d, const struct record_cgroup *r);
void decide_gone(struct decide *d, const struct record_cgroup *r);
/* Forgets cgroups that went long enough ago that nothing of them is left in rings read up to
 * read_ns. */
void decide_forget(struct decide *d, uint64_t read_ns);
/* A container's wanted may have changed. */
void decide_changed(struct decide *d, const struct container *c);
/* Is the kernel's container *number wanted? *number becomes the number it is known by, 0: host. */
bool decide_wanted(struct decide *d, uint32_t *number);
