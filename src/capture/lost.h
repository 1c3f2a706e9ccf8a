/* When calls were lost, and whose: nothing before such a time is context of what comes after it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOST_MAX 4096

struct lost {
    struct lost_interval {
        uint64_t first_ns, last_ns; /* last_ns: once settled, of those before it too */
        uint32_t container;         /* CONTAINER_UNKNOWN: any */
    } all[LOST_MAX];                /* by container and first_ns once settled */
    uint32_t n;
};

/* The same interval may come again, and end later. */
void lost_add(struct lost *l, uint32_t container, uint64_t first_ns, uint64_t last_ns);
/* For the questions that follow, which are about times from from_ns on, now and later. */
void lost_settle(struct lost *l, uint64_t from_ns);
/* May the container have lost a call between these? */
bool lost_between(const struct lost *l, uint32_t container, uint64_t first_ns, uint64_t last_ns);
