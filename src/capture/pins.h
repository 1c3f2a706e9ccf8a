/* Pins in bpffs: DIRECTORY/<ABI>-<capture id>/ (ABI: number, hash of the programs), so that the
 * kernel goes on collecting while no agent runs, and the next one takes up. */
#pragma once

#include <stddef.h>

#include "capture/kernel.h"

#define PINS_DIRECTORY "/sys/fs/bpf/vigia"

/* The pins of a capture of this ABI that no other agent uses, of the wanted one if it is there:
 * k->pin, locked. -ENOENT. Those of other ABIs that nobody uses go: k->upgraded. */
int pins_find(struct kernel *k, const char *directory, uint64_t wanted);
/* Opens maps and programs from k->pin. */
int pins_open(struct kernel *k);
int pins_open_ring(const struct kernel *k, uint32_t cpu);
/* Pins all; 0, or -errno and nothing is left. */
int pins_make(struct kernel *k, const char *directory);
void pins_add_ring(const struct kernel *k, uint32_t cpu);
void pins_remove(const struct kernel *k);
