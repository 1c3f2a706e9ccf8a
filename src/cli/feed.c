#include "cli/feed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "transport/recording.h"

struct feed {
    pthread_t thread;
    struct stop stop;
    struct recording *recording;
    struct spool *spool;
};

static void *run(void *arg)
{
    struct feed *f = arg;
    struct block *b = NULL;
    uint64_t start_ns = clock_mono_ns(), first_ns = 0;
    while (recording_next(f->recording, &b) == 0) {
        if (!first_ns)
            first_ns = b->until_ns;
        uint64_t due_ns = start_ns + (b->until_ns - first_ns), now_ns = clock_mono_ns();
        if (stop_wait(&f->stop, due_ns > now_ns ? due_ns - now_ns : 0))
            break;
        b->wall_ns = clock_wall_ns() - (b->until_ns - MIN(b->mono_ns, b->until_ns));
        spool_append(f->spool, b);
        block_free(TAKE(b));
    }
    if (b)
        block_free(b);
    log_info("the recording is at its end");
    return NULL;
}

static void free_parts(struct feed *f)
{
    if (f->recording)
        recording_close(f->recording);
    stop_done(&f->stop);
    free(f);
}

int feed_start(const char *path, struct spool *spool, struct feed **ret)
{
    struct feed *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->spool = spool;
    stop_init(&f->stop);
    int r = recording_open(path, &f->recording);
    if (r == 0)
        r = -pthread_create(&f->thread, NULL, run, f);
    if (r < 0) {
        free_parts(f);
        return r;
    }
    *ret = f;
    return 0;
}

void feed_stop(struct feed *f)
{
    stop_set(&f->stop);
    pthread_join(f->thread, NULL);
    free_parts(f);
}
