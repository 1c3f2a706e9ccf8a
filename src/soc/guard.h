/* Cuts off connections whose request does not come to an end: a client that sends a byte now and
 * then keeps a connection for ever otherwise, since each byte restarts libmicrohttpd's own timeout.
 * And it knows how many connections a client has: one alone must not take them all. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct guard;

/* A request must be complete, or a reply taken, within limit_s. Starts a thread. */
int guard_start(uint32_t connections_max, uint32_t limit_s, struct guard **ret);
void guard_stop(struct guard *g);
/* A connection begins: its slot, -1 when the table is full. The clock runs from here. origin: see
 * soc/origin.h */
int guard_begin(struct guard *g, int fd, const char *origin);
/* Has the origin half of all connections? Asked before one begins; counted if so. */
bool guard_refuses(struct guard *g, const char *origin);
uint64_t guard_refused(struct guard *g); /* connections refused so far */
/* Restarts the clock: a request came to its end. */
void guard_touch(struct guard *g, int slot);
/* Before the socket is closed. */
void guard_end(struct guard *g, int slot);
uint64_t guard_cut(struct guard *g); /* connections cut off so far */
