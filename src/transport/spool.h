/* The spool: an append-only log of blocks in segment files in one directory. Bounded by size; a
 * torn tail is cut off at open; when the bound is reached the oldest segment goes and what was not
 * yet acknowledged in it is counted as dropped (DROP_SPOOL_FULL). One writer and one reader thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/block.h"

struct spool;

struct spool_options {
    const char *directory;
    uint64_t size_max_bytes;    /* default 2 GiB */
    uint64_t segment_max_bytes; /* default 64 MiB */
    bool sync;                  /* fdatasync every second and at close */
    bool read_only; /* look while another process writes: changes nothing, creates nothing */
};

struct spool_stats {
    uint64_t first_sequence, last_sequence; /* in the files now; 0 when empty */
    uint64_t acknowledged;                  /* last sequence that spool_acknowledge was told */
    uint64_t size_bytes, segments;
    uint64_t bytes_written;
    uint64_t torn_bytes;     /* cut off at open */
    uint64_t blocks_lost;    /* oldest segments dropped before acknowledgement */
    uint64_t blocks_corrupt; /* failed their checks when read; kept aside in corrupt/ */
    uint64_t write_errors;   /* appends refused by a full disk */
    bool degraded;           /* the last append failed */
};

/* Makes the directory (0700) and UUID when new. Logs and returns -errno. */
int spool_open(const struct spool_options *options, struct spool **ret);
void spool_close(struct spool *s);
DEFINE_CLEANUP(spool_close, struct spool *)
void spool_uuid(const struct spool *s, uint8_t ret[16]);

/* The losses of segments that went since the last append travel in this block's gaps and ledger, as
 * read back; b itself keeps its own. Sets b->spool and b->sequence, encodes and appends it. On
 * -ENOSPC and other write errors nothing of the block stays in the file, the sequence number is not
 * used up, and the caller may retry. */
int spool_append(struct spool *s, struct block *b);

/* The last complete block, for the checkpoint of a new agent; -ENOENT when the spool is empty. */
int spool_last(struct spool *s, struct block **ret);

/* Reads the block with that sequence number or the first one after it; waits up to timeout_ms for
 * one to be appended: -ETIMEDOUT. Corrupt blocks are copied to corrupt/, counted and skipped; their
 * calls are in the gaps and the ledger of the block that is read after them. */
int spool_read(struct spool *s, uint64_t sequence, int timeout_ms, struct block **ret);

/* Blocks up to and including this one are in the store. Segments before it stay until the size
 * bound needs their room (the raw record), but their going is then no loss. */
void spool_acknowledge(struct spool *s, uint64_t sequence);
void spool_get_stats(struct spool *s, struct spool_stats *ret);
