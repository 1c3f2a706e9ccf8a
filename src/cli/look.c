#include "cli/look.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/table.h"
#include "soc/audit.h"
#include "soc/json.h"

#define STALE_S 15.0

int look_open(const struct command_common *common, bool write, struct look *ret)
{
    CLEANUP(config_freep) struct config *config = NULL;
    int r = config_load(common->config, common->data, &config);
    if (r < 0)
        return r;
    CLEANUP(freep) char *path = config_path(config, "vigia.db");
    if (!path)
        return -ENOMEM;
    /* Who only changes something must not make a database where there is none. */
    if (write && access(path, F_OK) < 0) {
        log_error(
            "open database %s: %s; start `vigia up` first, or say where it is with --data DIR",
            path, strerror(errno));
        return -ENOENT;
    }
    struct store_options options = {.path = path, .read_only = !write};
    r = store_open(NULL, &options, &ret->store);
    if (r < 0)
        return r;
    ret->config = TAKE(config);
    ret->now = (double)clock_wall_ns() / 1e9;
    return 0;
}

void look_close(struct look *l)
{
    store_close(l->store);
    if (l->config)
        config_free(l->config);
    *l = (struct look){0};
}

const char *look_text(const json_t *object, const char *name)
{
    return json_get_string(object, name, "");
}

double look_number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

bool look_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

void look_print(const json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
}

void look_warn_stale(struct look *l)
{
    json_auto_t *live = NULL;
    char ago[WORDS_MAX];
    int r = store_get(l->store, STORE_STATE, "live", &live, NULL, NULL);
    double age = l->now - look_number(live, "time");
    pid_t pid = (pid_t)look_number(live, "pid");
    bool gone = pid > 0 && kill(pid, 0) && errno == ESRCH;
    if (r == -ENOENT)
        fprintf(stderr, "Vigia has not run on this data directory yet: start `vigia up`.\n");
    else if (r == 0 && (age > STALE_S || gone))
        fprintf(stderr, "Vigia is not running: this is what it knew %s. Start `vigia up`.\n",
                words_ago(look_number(live, "time"), l->now, ago));
}

const char *look_actor(void)
{
    const char *sudo = getenv("SUDO_USER");
    if (sudo && *sudo)
        return sudo;
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_name : "?";
}

int look_commit(struct look *l, const struct store_document *documents, uint32_t n,
                const char *action, const char *target, const char *detail)
{
    return audit_commit(l->store, documents, n,
                        audit_entry(l->now, look_actor(), LOOK_ADDRESS, action, target, detail));
}
