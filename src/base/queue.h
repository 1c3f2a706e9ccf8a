/* A bounded queue of pointers between threads. A closed queue refuses what is pushed and hands out
 * what is left, then NULL: that is how shutdown flows downstream. */
#pragma once

#include <stddef.h>

struct queue;

int queue_new(size_t items_max, struct queue **ret);
void queue_free(struct queue *q); /* the items left inside stay the caller's: drain it first */
/* Waits for room. -EPIPE when closed (the item stays the caller's). */
int queue_push(struct queue *q, void *item);
/* -EAGAIN when full, -EPIPE when closed. */
int queue_try_push(struct queue *q, void *item);
/* Waits up to timeout_ms (-1 for ever). 0 and the item; -ETIMEDOUT; -EPIPE when closed and empty.
 */
int queue_pop(struct queue *q, int timeout_ms, void **ret);
void queue_close(struct queue *q);
