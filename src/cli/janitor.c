#include "cli/janitor.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "store/store.h"

#define INTERVAL_NS (5 * 60 * NS_PER_S)
#define DAY_S 86400.0

struct janitor {
    pthread_t thread;
    struct stop stop;
    struct store *store;
    struct store_retention retention;
};

static void *run(void *arg)
{
    struct janitor *j = arg;
    while (!stop_wait(&j->stop, INTERVAL_NS)) {
        json_t *gone = NULL;
        if (store_purge(j->store, &j->retention, (double)clock_wall_ns() / 1e9, &gone) < 0)
            continue;
        char *text = json_dumps(gone, JSON_COMPACT);
        log_debug("retention: %s", text ? text : "");
        free(text);
        json_decref(gone);
    }
    return NULL;
}

static void free_parts(struct janitor *j)
{
    store_close(j->store);
    stop_done(&j->stop);
    free(j);
}

int janitor_start(const struct config *config, const char *database, struct janitor **ret)
{
    struct janitor *j = calloc(1, sizeof(*j));
    if (!j)
        return -ENOMEM;
    stop_init(&j->stop);
    j->retention.windows_age_s = config->retention.windows_days * DAY_S;
    j->retention.anomalous_age_s = config->retention.anomalous_days * DAY_S;
    j->retention.bins_second_age_s = config->retention.bins_second_hours * 3600.0;
    j->retention.bins_minute_age_s = config->retention.bins_minute_days * DAY_S;
    j->retention.bins_hour_age_s = config->retention.bins_hour_days * DAY_S;
    j->retention.scores_age_s = config->retention.scores_days * DAY_S;
    j->retention.alerts_age_s = config->retention.alerts_days * DAY_S;
    j->retention.processes_age_s = config->retention.processes_days * DAY_S;
    j->retention.size_max_bytes = (uint64_t)config->retention.size_max_mib << 20;
    struct store_options options = {.path = database};
    int r = store_open(NULL, &options, &j->store);
    if (r == 0)
        r = -pthread_create(&j->thread, NULL, run, j);
    if (r < 0) {
        free_parts(j);
        return r;
    }
    *ret = j;
    return 0;
}

void janitor_stop(struct janitor *j)
{
    stop_set(&j->stop);
    pthread_join(j->thread, NULL);
    free_parts(j);
}
