#include "soc/flight.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/spool.h"

/* Acknowledged so far ahead of the reader, looking the place up is cheaper than reading on. */
#define JUMP_BLOCKS 256

struct flight_block {
    uint64_t sequence;
    struct ledger ledger;
};

struct flight {
    pthread_mutex_t lock;
    char *directory;
    struct spool *spool;         /* NULL: not there yet */
    struct flight_block *blocks; /* [n] oldest first */
    uint32_t n, max;
    uint64_t next; /* sequence to be read */
};

int flight_new(const char *directory, struct flight **ret)
{
    CLEANUP(flight_freep) struct flight *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    pthread_mutex_init(&f->lock, NULL);
    f->directory = directory ? strdup(directory) : NULL;
    if (directory && !f->directory)
        return -ENOMEM;
    *ret = TAKE(f);
    return 0;
}

/* Forgets the blocks before that sequence. */
static void forget(struct flight *f, uint64_t sequence)
{
    uint32_t gone = 0;
    while (gone < f->n && f->blocks[gone].sequence < sequence)
        ledger_done(&f->blocks[gone++].ledger);
    f->n -= gone;
    if (gone && f->n)
        memmove(f->blocks, f->blocks + gone, f->n * sizeof(*f->blocks));
}

void flight_free(struct flight *f)
{
    forget(f, UINT64_MAX);
    free(f->blocks);
    if (f->spool)
        spool_close(f->spool);
    free(f->directory);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* One that was empty is opened again: what its first block is shows only then. */
static int open_spool(struct flight *f, struct spool_stats *ret)
{
    *ret = (struct spool_stats){0};
    if (f->spool)
        spool_get_stats(f->spool, ret);
    if (ret->last_sequence || !f->directory || access(f->directory, F_OK) < 0)
        return 0;
    if (f->spool)
        spool_close(TAKE(f->spool));
    struct spool_options options = {.directory = f->directory, .read_only = true};
    return spool_open(&options, &f->spool);
}

static int keep(struct flight *f, const struct block *b)
{
    if (f->n == f->max) {
        uint32_t max = f->max ? f->max * 2 : 16;
        struct flight_block *more = realloc(f->blocks, max * sizeof(*more));
        if (!more)
            return -ENOMEM;
        f->blocks = more;
        f->max = max;
    }
    struct flight_block *to = &f->blocks[f->n++];
    to->sequence = b->sequence;
    ledger_init(&to->ledger);
    return ledger_add(&to->ledger, b);
}

/* Reads what has come since. */
static int follow(struct flight *f, uint64_t acknowledged)
{
    if (f->next + JUMP_BLOCKS <= acknowledged || !f->next)
        f->next = acknowledged + 1;
    for (;;) {
        CLEANUP(block_freep) struct block *b = NULL;
        int r = spool_read(f->spool, f->next, 0, &b);
        if (r == 0 && b->sequence > acknowledged)
            r = keep(f, b);
        if (r < 0)
            return r == -ETIMEDOUT ? 0 : r;
        f->next = b->sequence + 1;
    }
}

static int read_locked(struct flight *f, struct store *s, const char *key,
                       struct store_rows *ret_stored, struct ledger *ret_flight)
{
    struct spool_stats stats;
    uint8_t uuid[16];
    int r = open_spool(f, &stats);
    if (r == 0 && f->spool)
        spool_uuid(f->spool, uuid);
    if (r == 0)
        r = store_ledger(s, f->spool ? uuid : NULL, key, ret_stored);
    if (r == 0 && f->spool) {
        r = follow(f, ret_stored->sequence);
        spool_get_stats(f->spool, &stats);
    }
    if (r < 0)
        return r;
    /* What the spool dropped unread travels as lost in the counts of a later block. */
    forget(f, MAX(ret_stored->sequence + 1, stats.first_sequence));
    for (uint32_t i = 0; i < f->n && r == 0; i++)
        r = ledger_join(ret_flight, &f->blocks[i].ledger);
    return r;
}

int flight_read(struct flight *f, struct store *s, const char *key, struct store_rows *ret_stored,
                struct ledger *ret_flight)
{
    pthread_mutex_lock(&f->lock);
    int r = read_locked(f, s, key, ret_stored, ret_flight);
    pthread_mutex_unlock(&f->lock);
    return r;
}
