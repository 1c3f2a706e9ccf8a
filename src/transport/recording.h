/* A recording (*.vgr): a file of blocks, as in the spool. `vigia record` writes, `vigia replay` and
 * `vigia eval` read. */
#pragma once

#include <stdint.h>

#include "event/block.h"

struct recording;

int recording_create(const char *path, struct recording **ret); /* logs and returns -errno */
/* A block whose sequence is 0 (it was in no spool) gets the next number of the file. */
int recording_append(struct recording *r, const struct block *b);
int recording_open(const char *path, struct recording **ret);
/* -ENODATA at the end; corrupt blocks are skipped and counted, a torn tail ends it. */
int recording_next(struct recording *r, struct block **ret);
uint64_t recording_size_bytes(const struct recording *r);
uint64_t recording_at_bytes(const struct recording *r); /* for a progress bar */
uint64_t recording_corrupt(const struct recording *r);  /* blocks and torn tails skipped */
int recording_close(struct recording *r);
