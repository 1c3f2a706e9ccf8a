/* Pins in bpffs: DIRECTORY/<ABI>-<capture id>/, so that the kernel goes on collecting while no agent
 * runs, and the next one takes up. */
#pragma once

#include <stddef.h>

#include "capture/kernel.h"

#define PINS_DIRECTORY "/sys/fs/bpf/vigia"

/* The directory of a capture of this ABI. -ENOENT. */
int pins_find(const char *directory, char *ret, size_t size);
/* Opens maps and programs from k->pin. */
int pins_open(struct kernel *k);
int pins_open_ring(const struct kernel *k, uint32_t cpu);
/* Pins all; 0, or -errno and nothing is left. */
int pins_make(struct kernel *k, const char *directory);
void pins_add_ring(const struct kernel *k, uint32_t cpu);
void pins_remove(const struct kernel *k);
