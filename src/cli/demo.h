/* One run of the demo: what it was asked, what it made, what it found. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "cli/box.h"
#include "cli/demo_attack.h"
#include "cli/demo_load.h"
#include "cli/demo_watch.h"

struct demo {
    uint64_t seed;
    bool json, no_attack, keep, print_config;
    const char *attach;
    FILE *out;          /* what it tells people; with --json standard error */
    char directory[64]; /* everything it makes */
    char data[PATH_MAX], log[128], config[128];
    char pins[64];
    uint16_t port;
    int lock_fd;
    pid_t up;
    struct box *web, *redis;
    struct demo_load *load;
    struct store *store;
    double began; /* wall s */
    struct demo_plan plan;
    struct demo_attack attack;
    json_t *alerts;      /* those of the demo's containers, at the end */
    json_t *found;       /* the one of the attack: borrowed from alerts */
    double attack_began; /* wall s; 0: not yet */
    double seen;         /* wall s: when the alert could be read in the store */
    unsigned before, marked, marked_attack;
    bool ready;
};

double demo_wall(void); /* s */

/* demo_report.c: what it comes to. */
bool demo_succeeded(const struct demo *d);
void demo_print_verdict(struct demo *d);
void demo_print_json(struct demo *d);
