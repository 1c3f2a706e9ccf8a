/* What spool.c (files, appending) and spool_read.c share. */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "transport/codec.h"
#include "transport/loss.h"
#include "transport/spool.h"

struct segment {
    uint64_t first; /* sequence number of its first block, and its name */
    uint64_t size;  /* bytes of whole blocks; what follows in the file is not ours to read */
};

struct spool {
    pthread_mutex_t lock; /* of everything below but the reader's and writer's own */
    pthread_cond_t appended;
    char *directory;
    int directory_fd;
    struct spool_options options;
    uint8_t uuid[16];
    struct segment *segments; /* [n_segments], oldest first; the last is written to */
    uint32_t n_segments;
    uint64_t next_sequence;
    uint64_t last_first,
        last_offset;        /* segment and place of the last block; last_sequence 0: none */
    uint64_t read_sequence; /* the last block handed out */
    struct spool_stats stats;

    /* the writer's */
    int fd; /* of the last segment, -1 before the first append */
    struct buf bytes;
    struct loss loss; /* to be carried by the next block */
    uint64_t synced_ns;
    bool unsynced;

    /* the reader's */
    int read_fd;
    uint64_t read_first, read_at;
    uint64_t read_until_ns; /* of the last block that could be told; 0: none yet */
    struct buf read_bytes;
};

#define SEGMENT_NAME_BYTES 32
void spool_segment_name(uint64_t first, char ret[SEGMENT_NAME_BYTES]);
int spool_segment_open(const struct spool *s, uint64_t first);

/* The block at offset of a segment of whole size bytes: 0 with its bytes in ret and its header, and
 * *why when that was damaged and is its copy, else NULL; -ENODATA at the end; -EBADMSG with *skip
 * bytes to the next block that can be told, and *whole when those are one block with a good header
 * (then head and ret hold it). */
int spool_block_at(int fd, uint64_t offset, uint64_t size, struct buf *ret, struct codec_head *head,
                   uint64_t *skip, bool *whole, const char **why);

/* Puts bytes that failed their checks, and why, into corrupt/; counted once for each place. */
#define CALLS_UNKNOWN UINT64_MAX
void spool_keep_aside(struct spool *s, uint64_t first, uint64_t offset, const struct buf *bytes,
                      const char *why, uint64_t calls);
/* Adds bytes of a segment to l of which not even the number of calls is known. */
int spool_lose_unknown(struct loss *l, uint64_t first, uint64_t offset, uint64_t bytes,
                       uint64_t since_ns);

/* Looks at the directory again (read_only: another process writes). Under the lock. */
int spool_refresh(struct spool *s);
