#include "cli/agent.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/selection.h"

#define REFUSED_MAX 20 /* by then a block is as small as it gets */

struct agent {
    pthread_t thread;
    pthread_mutex_t lock; /* of containers, stats */
    atomic_bool stop;
    struct spool *spool;
    struct containers *containers;
    struct capture *capture;
    struct agent_stats stats;
    uint64_t spool_max_bytes;
    uint64_t failing_since_ns;
    uint64_t blocks_lost; /* by the spool, when texts were last sent again */
};

/* A segment that the spool dropped took texts with it that are sent only once. */
static void resend_texts(struct agent *a)
{
    struct spool_stats s;
    spool_get_stats(a->spool, &s);
    if (s.blocks_lost + s.blocks_corrupt != a->blocks_lost)
        capture_resend_texts(a->capture);
    a->blocks_lost = s.blocks_lost + s.blocks_corrupt;
}

/* Declared degradation (docs/CAPTURE.md, "Under pressure"): what is not yet acknowledged fills the
 * spool, or the disk refuses blocks. Each step comes back by itself. */
static enum capture_level level_for(struct agent *a, uint64_t now_ns)
{
    struct spool_stats s;
    spool_get_stats(a->spool, &s);
    if (a->failing_since_ns && now_ns - a->failing_since_ns > 2 * NS_PER_S)
        return LEVEL_BINS_ONLY;
    double behind = s.last_sequence > s.acknowledged && s.last_sequence
                        ? (double)(s.last_sequence - s.acknowledged) /
                              (double)(s.last_sequence - s.first_sequence + 1)
                        : 0;
    double fill = (double)s.size_bytes / (double)a->spool_max_bytes * MIN(behind, 1);
    return fill > 0.9 ? LEVEL_BINS_ONLY : fill > 0.7 ? LEVEL_NO_ARGUMENTS : LEVEL_FULL;
}

static void update_level(struct agent *a, uint64_t now_ns)
{
    static const char *const names[] = {"full", "no arguments", "bins only"};
    enum capture_level level = level_for(a, now_ns);
    if (level == a->stats.level)
        return;
    log_warn("capture goes from level \"%s\" to \"%s\": %s", names[a->stats.level], names[level],
             a->failing_since_ns ? "the spool cannot be written"
                                 : "detection is behind or has caught up with the spool");
    capture_set_level(a->capture, level);
    a->stats.level = level;
}

/* 0: a block came out of it, and was kept. */
static int tick(struct agent *a, uint64_t now_ns)
{
    struct block *b = NULL;
    pthread_mutex_lock(&a->lock);
    int r = capture_tick(a->capture, now_ns, &b);
    pthread_mutex_unlock(&a->lock);
    if (r < 0 || !b)
        return r < 0 ? r : -ENODATA;
    /* Not spooled, not committed: the next tick reads the same calls again. */
    r = spool_append(a->spool, b);
    if (r == 0)
        capture_commit(a->capture, b);
    else if (r == -EFBIG)
        capture_lighten(a->capture, b);
    block_free(b);

    pthread_mutex_lock(&a->lock);
    if (r == 0 && a->failing_since_ns)
        log_info("the spool can be written again");
    if (r < 0 && !a->failing_since_ns)
        a->failing_since_ns = now_ns;
    else if (r == 0)
        a->failing_since_ns = 0;
    a->stats.error = r;
    a->stats.retries += r < 0;
    update_level(a, now_ns);
    resend_texts(a);
    capture_get_stats(a->capture, &a->stats.capture);
    pthread_mutex_unlock(&a->lock);
    return r;
}

/* All that came until now, in as many blocks as it takes; one that is too large is made again. */
static void tick_last(struct agent *a)
{
    uint64_t now_ns = clock_mono_ns();
    int r = 0, refused = 0;
    do {
        r = tick(a, now_ns);
        refused = r == -EFBIG ? refused + 1 : 0;
    } while (r == -EFBIG ? refused < REFUSED_MAX : r == 0 && capture_more(a->capture));
}

static void *run(void *arg)
{
    struct agent *a = arg;
    pthread_setname_np(pthread_self(), "agent");
    while (!atomic_load(&a->stop)) {
        capture_wait(a->capture);
        tick(a, clock_mono_ns());
    }
    tick_last(a);
    return NULL;
}

static int open_parts(struct agent *a, const struct config *config)
{
    struct containers_options containers = {.workload_label = config->containers.workload_label};
    int r = selection_init(config, &containers.selector);
    if (r == 0)
        r = containers_new(&containers, &a->containers);
    selection_done(&containers.selector);
    if (r < 0)
        return r;
    struct capture_options capture = {
        .timing = (enum capture_timing)(config->capture.timing - 1),
        .arguments = (enum capture_arguments)(config->capture.arguments - 1),
        .host = config->capture.host == CHOICE_YES,
        .ring_bytes = (uint64_t)config->capture.ring_kib << 10,
        .pin_directory = config->capture.pins,
        .node = config->node,
    };
    struct block *last = NULL;
    r = spool_last(a->spool, &last);
    if (r < 0 && r != -ENOENT)
        return r;
    r = capture_open(&capture, a->containers, last, &a->capture);
    if (last)
        block_free(last);
    return r;
}

void agent_free(struct agent *a)
{
    if (a->containers)
        containers_free(a->containers);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

int agent_start(const struct config *config, struct spool *spool, struct agent **ret)
{
    struct agent *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->spool = spool;
    a->spool_max_bytes = (uint64_t)config->spool.size_max_mib << 20;
    pthread_mutex_init(&a->lock, NULL);
    int r = open_parts(a, config);
    if (r == 0) {
        r = -pthread_create(&a->thread, NULL, run, a);
        if (r < 0)
            capture_close(a->capture, false);
    }
    if (r < 0) {
        agent_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

int agent_select(struct agent *a, const struct config *config)
{
    CLEANUP(selection_done) struct container_selector selector;
    int r = selection_init(config, &selector);
    if (r < 0)
        return r;
    pthread_mutex_lock(&a->lock);
    r = containers_select(a->containers, &selector);
    pthread_mutex_unlock(&a->lock);
    return r;
}

void agent_get_stats(struct agent *a, struct agent_stats *ret)
{
    pthread_mutex_lock(&a->lock);
    *ret = a->stats;
    pthread_mutex_unlock(&a->lock);
}

void agent_stop(struct agent *a, bool keep_pins)
{
    atomic_store(&a->stop, true);
    pthread_join(a->thread, NULL);
    capture_close(a->capture, keep_pins);
}
