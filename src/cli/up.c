/* vigia up: all layers in one process. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/agent.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/feed.h"
#include "cli/janitor.h"
#include "cli/pipeline.h"
#include "soc/http.h"
#include "soc/user.h"

struct options {
    struct command_common common;
    const char *replay; /* recording to show where eBPF cannot be loaded */
    const char *port;
    bool host, keep_pins;
};

/* Everything that runs, in the order in which it is started; stopped in the opposite order. */
struct up {
    struct options options;
    struct config *config;
    int lock_fd;
    struct spool *spool;
    struct pipeline *pipeline;
    struct sink_options sinks[SINKS_MAX];
    uint32_t n_sinks;
    struct sink_runner *sink_runner;
    struct http *http;
    struct janitor *janitor;
    struct agent *agent;
    struct feed *feed;
    struct timespec config_time; /* the file's when it was read last; 0: it was not there */
    struct timespec config_seen; /* the file's at the last look */
};

enum { KEY_REPLAY = 256, KEY_HOST, KEY_KEEP_PINS };

static const struct argp_option argp_options[] = {
    {"or-replay", KEY_REPLAY, "FILE", 0,
     "Where eBPF cannot be loaded, say why and show this recording instead", 0},
    {"port", 'p', "PORT", 0, "Port of the web page (default: server: port:, 8765)", 0},
    {"host", KEY_HOST, NULL, 0, "Watch the host's own processes too, as the workload \"host\"", 0},
    {"keep-capturing", KEY_KEEP_PINS, NULL, 0,
     "Leave the kernel programs at the end: the next start takes up what they collect", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case KEY_REPLAY:
        o->replay = arg;
        return 0;
    case 'p':
        o->port = arg;
        return 0;
    case KEY_HOST:
        o->host = true;
        return 0;
    case KEY_KEEP_PINS:
        o->keep_pins = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "there is nothing to give but options: '%s'", arg);
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    argp_options,
    parse,
    NULL,
    "Watch the containers of this machine: capture, learn, detect, store, alert, and the web page, "
    "in one process until it is told to stop (Ctrl-C, SIGTERM)."
    "\v"
    "At the first start it prints a one-time password for the user admin. A changed configuration "
    "file is read again after a second or two (with SIGHUP: at once): which containers are watched "
    "needs no restart.\n\n"
    "Example: vigia up --data /var/lib/vigia --port 8765",
    command_common_child,
    NULL,
    NULL};

static int directory_prepare(struct up *u)
{
    if (mkdir(u->config->data, 0700) < 0 && errno != EEXIST) {
        log_error("cannot make the data directory %s: %s; name another with --data",
                  u->config->data, strerror(errno));
        return -errno;
    }
    struct stat s;
    if (stat(u->config->data, &s) == 0 && S_ISDIR(s.st_mode) && s.st_mode & 077)
        log_warn(
            "others may look into the data directory %s, or write there (mode %03o): chmod 700",
            u->config->data, s.st_mode & 07777);
    CLEANUP(freep) char *path = config_path(u->config, "lock");
    if (!path)
        return -ENOMEM;
    u->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (u->lock_fd < 0 || flock(u->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;
        log_error("cannot lock %s: %s", path,
                  r == -ENOTDIR       ? "this is not a directory; name another with --data"
                  : r == -EWOULDBLOCK ? "another `vigia up` uses this data directory; stop it, or "
                                        "name another with --data"
                                      : strerror(-r));
        return r;
    }
    return 0;
}

static int spool_start(struct up *u)
{
    CLEANUP(freep) char *path = config_path(u->config, "spool");
    if (!path)
        return -ENOMEM;
    struct spool_options options = {
        .directory = path,
        .size_max_bytes = (uint64_t)u->config->spool.size_max_mib << 20,
        .segment_max_bytes = (uint64_t)u->config->spool.segment_mib << 20,
        .sync = u->config->spool.sync == CHOICE_YES,
    };
    return spool_open(&options, &u->spool);
}

/* The one-time password is printed, and kept in a file that only root reads, until it is changed.
 */
static int first_user(struct up *u, const char *database)
{
    char password[USER_RANDOM_SIZE];
    struct store *store = NULL;
    struct store_options options = {.path = database};
    int r = user_start();
    if (r == 0)
        r = store_open(NULL, &options, &store);
    if (r < 0)
        return r;
    r = user_create_first(store, password);
    store_close(store);
    if (r == -EEXIST)
        return 0;
    if (r < 0)
        return r;
    CLEANUP(freep) char *path = config_path(u->config, "first-login");
    if (path)
        unlink(path); /* its mode, and who made it, would stay */
    CLEANUP(closep) int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || dprintf(fd, "admin %s\n", password) < 0)
        log_warn("cannot write the first login to %s: %s", path ? path : "", strerror(errno));
    printf("First login: admin, password %s (to be changed at the first login)\n", password);
    return 0;
}

/* The file goes when its password has been changed. */
static void forget_first_login(struct up *u)
{
    CLEANUP(freep) char *path = config_path(u->config, "first-login");
    CLEANUP(freep) char *database = config_path(u->config, "vigia.db");
    struct store *store = NULL;
    struct user user;
    if (!path || !database || access(path, F_OK) != 0)
        return;
    struct store_options options = {.path = database, .read_only = true};
    if (store_open(NULL, &options, &store) < 0)
        return;
    if (user_get(store, "admin", &user) != 0 || !user.must_change)
        unlink(path);
    store_close(store);
}

static int soc_start(struct up *u)
{
    CLEANUP(freep) char *database = config_path(u->config, "vigia.db");
    CLEANUP(freep) char *spool = config_path(u->config, "spool");
    if (!database || !spool)
        return -ENOMEM;
    int r = first_user(u, database);
    if (r < 0)
        return r;
    u->n_sinks = config_sinks(u->config, u->sinks);
    struct sink_runner_options sinks = {
        .sinks = u->sinks, .n_sinks = u->n_sinks, .store_path = database};
    r = sink_runner_start(&sinks, &u->sink_runner);
    if (r < 0)
        return r;
    struct http_options http = config_http(u->config, u->sinks, u->n_sinks);
    http.store_path = database;
    http.spool = spool;
    http.runner = u->sink_runner;
    r = http_start(&http, &u->http);
    if (r == 0)
        r = janitor_start(u->config, database, &u->janitor);
    return r;
}

static int source_start(struct up *u)
{
    int r = agent_start(u->config, u->spool, &u->agent);
    if (r == 0) {
        pipeline_set_agent(u->pipeline, u->agent);
        return 0;
    }
    if (!u->options.replay)
        return r;
    log_warn("capture is not possible here (see above): showing the recording %s instead, marked "
             "\"replay\" on the page",
             u->options.replay);
    return feed_start(u->options.replay, u->spool, &u->feed);
}

static int up_start(struct up *u)
{
    int r = directory_prepare(u);
    if (r == 0)
        r = spool_start(u);
    struct pipeline_options pipeline = {.config = u->config, .spool = u->spool};
    if (r == 0)
        r = pipeline_open(&pipeline, &u->pipeline);
    if (r == 0)
        r = soc_start(u);
    if (r == 0)
        r = source_start(u);
    if (r == 0)
        r = pipeline_start(u->pipeline);
    return r;
}

static void up_stop(struct up *u)
{
    if (u->feed)
        feed_stop(u->feed);
    if (u->agent)
        agent_stop(u->agent, u->options.keep_pins);
    if (u->pipeline) {
        pipeline_stop(u->pipeline);
        pipeline_close(u->pipeline);
    }
    if (u->agent)
        agent_free(u->agent);
    if (u->janitor)
        janitor_stop(u->janitor);
    if (u->http)
        http_stop(u->http);
    if (u->sink_runner)
        sink_runner_stop(u->sink_runner);
    if (u->spool)
        spool_close(u->spool);
    if (u->lock_fd >= 0)
        close(u->lock_fd);
}

static struct timespec config_mtime(const struct up *u)
{
    struct stat s;
    const char *path = u->options.common.config ? u->options.common.config : CONFIG_DEFAULT_PATH;
    return stat(path, &s) < 0 ? (struct timespec){0} : s.st_mtim;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The selection of containers is taken over at once; the rest needs a restart, and says so:
 * workload_label too, since a container does not move from one profile to another. */
static void config_reload(struct up *u)
{
    struct config *fresh = NULL;
    u->config_time = config_mtime(u);
    if (config_load(u->options.common.config, u->options.common.data, &fresh) < 0) {
        log_warn("the configuration in force stays as it was");
        return;
    }
    if (u->agent && agent_select(u->agent, fresh) == 0)
        log_info("the selection of containers was read again from the configuration; other changes "
                 "take effect at the next start");
    config_free(fresh);
}

/* Changed, and the same at two looks: an editor may empty the file before it fills it, and an empty
 * one is a configuration of defaults. */
static bool config_changed(struct up *u)
{
    struct timespec now = config_mtime(u), before = u->config_seen;
    u->config_seen = now;
    return now.tv_sec && same_time(now, before) && !same_time(now, u->config_time);
}

static int wait_for_end(struct up *u, const sigset_t *signals)
{
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &(struct timespec){.tv_sec = 1});
        if (signal == SIGINT || signal == SIGTERM) {
            log_info("stopping: what was captured is scored and stored first");
            return EXIT_OK;
        }
        int error = pipeline_error(u->pipeline);
        if (error) {
            log_error("detection ended (%s): what is captured waits in the spool; mend the cause "
                      "and start again",
                      strerror(-error));
            return EXIT_FAILED;
        }
        forget_first_login(u);
        if (config_changed(u) || signal == SIGHUP)
            config_reload(u);
    }
}

static int config_override(struct up *u)
{
    if (u->options.host)
        u->config->capture.host = CHOICE_YES;
    if (!u->options.port)
        return 0;
    char *end;
    unsigned long port = strtoul(u->options.port, &end, 10);
    if (*end || port < 1 || port > 65535) {
        log_error("--port: '%s' is not a port (1 to 65535)", u->options.port);
        return -EINVAL;
    }
    u->config->server.port = (uint32_t)port;
    return 0;
}

static _Atomic pthread_t main_thread; /* read in any thread */

static void forward(int number)
{
    pthread_kill(main_thread, number);
}

/* Only the main thread takes these: it waits for them, and threads made from now on inherit the
 * mask. Those that OpenBLAS made before main() do not: what the kernel gives them is handed on. */
static void signals_take(sigset_t *ret)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
    main_thread = pthread_self();
    sigemptyset(ret);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        sigaddset(ret, numbers[i]);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int run(int argc, char **argv)
{
    struct up u = {.lock_fd = -1};
    argp_parse(&argp, argc, argv, 0, NULL, &u.options);
    u.config_time = config_mtime(&u); /* a file that is made later is a change, too */
    if (config_load(u.options.common.config, u.options.common.data, &u.config) < 0)
        return EXIT_FAILED;
    config_warn_environment();
    log_set_level(u.options.common.verbose ? LOG_LEVEL_DEBUG : (enum log_level)(u.config->log - 1));
    setvbuf(stdout, NULL, _IOLBF, 0);
    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* large buffers go back to the kernel when freed */

    sigset_t signals;
    signals_take(&signals);

    int status = EXIT_FAILED;
    if (config_override(&u) == 0 && up_start(&u) == 0) {
        printf("Vigia watches. Web page: %s  (data: %s)\n", http_url(u.http), u.config->data);
        status = wait_for_end(&u, &signals);
    }
    up_stop(&u);
    config_free(u.config);
    return status;
}

const struct command command_up = {
    .name = "up",
    .group = "running",
    .summary = "Watch this machine: capture, learn, detect, store, web page, in one process",
    .run = run};
