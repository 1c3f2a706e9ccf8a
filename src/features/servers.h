/* The "servers" recordings (one directory a workload: little-endian arrays, one element a call, in
 * time order) as the blocks that a live capture would have made of them: windows of 64 + 16 cut at
 * ticks of 250 ms and at program changes, bins, processes, containers, a ledger.
 *
 *     time_ns.i64  time of the call's run      nr.u16    number (x86-64; 1023 return from a signal)
 *     pid.u32, tid.u32                         ret.u8    < 128: min(ret, 127); else 128 + errno
 *     prog.u8      line of programs.txt        attacks.csv (start_s,end_s,name), events.csv
 * (time_s,event)
 *
 * Time zero of the recording is SERVERS_ZERO_NS on the blocks' clocks. A restart (events.csv) ends
 * the container and begins a new one, with the next number. What the recording lacks stays empty:
 * arguments, parents, latency. */
#pragma once

#include <stdint.h>

#include "event/block.h"

#define SERVERS_ZERO_NS UINT64_C(1000000000000)

struct servers;

/* An attack or an event (end_s = start_s), in seconds of the recording. */
struct servers_mark {
    double start_s, end_s;
    char *name;
};

/* Maps the arrays and checks that their sizes agree. Logs and returns -errno, -EBADMSG. */
int servers_open(const char *directory, struct servers **ret);
void servers_close(struct servers *s);
DEFINE_CLEANUP(servers_close, struct servers *)

const char *servers_workload(const struct servers *s); /* last part of the directory's name */
uint64_t servers_calls(const struct servers *s);
uint64_t servers_calls_read(const struct servers *s); /* in the blocks so far: for a progress bar */
double servers_seconds(const struct servers *s);
/* In time order; *ret_n of them, owned by s. */
const struct servers_mark *servers_attacks(const struct servers *s, uint32_t *ret_n);

/* The next tick's block, also when nothing happened in it; -ENODATA at the end. */
int servers_next(struct servers *s, struct block **ret);
void servers_rewind(struct servers *s);
