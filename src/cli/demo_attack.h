/* The attack of the demo: real, through the hole of the web server's search page, from inside the
 * container's own network. Nothing of it leaves the machine: it calls home to 127.0.0.1 of the
 * container's network namespace, where the demo itself listens. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ATTACK_STEPS_MAX 3
#define ATTACK_PROCESSES_MAX 1024

struct demo_plan {
    uint16_t port;    /* on which the attacker waits */
    char token[24];   /* marks the requests, and so every process that comes of them */
    char program[96]; /* the program that is dropped, as the container sees it */
    char steps[ATTACK_STEPS_MAX][1024]; /* shell commands, one request each */
    char words[ATTACK_STEPS_MAX][256];  /* what they do, for people */
    unsigned pauses_ms[ATTACK_STEPS_MAX];
    unsigned n;
};

struct demo_attack {
    double last;                           /* wall seconds: last answer read */
    bool read_secrets;                     /* they came back in the page */
    bool ran_program;                      /* the dropped program called home */
    uint64_t stolen_bytes;                 /* what it brought */
    pid_t processes[ATTACK_PROCESSES_MAX]; /* that were seen to carry the token, as the host numbers
                                              them */
    uint32_t n_processes;
};

/* The same seed gives the same plan: files, directory, way of dropping, ports, order, pauses. */
void demo_attack_plan(uint64_t seed, struct demo_plan *ret);

/* Carries it out on the container of that first process; returns when it is over (under 20 s). */
int demo_attack_run(const struct demo_plan *plan, pid_t web, struct demo_attack *ret);
