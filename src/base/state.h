/* One description of a structure for both ways: to bytes (save) and back (load). A function that
 * walks a structure with these saves or loads it, so that the two cannot drift apart.
 *
 * Loading believes nothing: counts are checked against what is left, errors stick in in->error or
 * error, and everything reads as zero from then on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct state {
    struct buf *out;   /* saving, else NULL */
    struct reader *in; /* loading, else NULL */
    int error;         /* -EBADMSG or -ENOMEM while loading */
};

static inline bool state_saving(const struct state *s)
{
    return s->out;
}

void state_u8(struct state *s, uint8_t *v);
void state_u16(struct state *s, uint16_t *v);
void state_u32(struct state *s, uint32_t *v);
void state_u64(struct state *s, uint64_t *v);
void state_f64(struct state *s, double *v);
void state_bool(struct state *s, bool *v);
/* Loading allocates; "" and NULL both load as "". */
void state_string(struct state *s, char **v);
void state_bytes(struct state *s, void *data, size_t size);
/* A count of elements of at least size bytes each in the stream, at most max. */
void state_count(struct state *s, uint32_t *n, size_t size, uint32_t max);
/* Loading: allocates n zeroed elements into *array (also for n = 0). True if it may be used. */
bool state_array(struct state *s, void **array, uint32_t n, size_t element);
/* A mark that must be the same: catches bytes that are something else. */
void state_magic(struct state *s, uint64_t magic);
/* Remembers the first error; 0 while there is none. */
int state_error(struct state *s);
void state_fail(struct state *s, int error);
