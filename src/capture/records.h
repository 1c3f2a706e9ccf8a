/* The kernel's ring buffer of records, read without giving its room back before the block is safe.
 */
#pragma once

#include "capture/decide.h"
#include "capture/known.h"

/* Reads all records from *position on into known and decide; moves *position. */
int records_read(struct kernel *k, struct known *known, struct decide *decide, uint64_t *position);
/* The records up to position are safe. */
void records_free(struct kernel *k, uint64_t position);
uint64_t records_tail(const struct kernel *k);
