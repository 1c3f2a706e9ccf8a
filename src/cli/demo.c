/* vigia demo: the main job on two real containers, in under five minutes. It drives and watches;
 * everything that learns, decides and alerts is `vigia up`, run as it is on any machine, with
 * shorter learning times. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/demo.h"
#include "cli/demo_site.h"

#define LOCK_PATH "/run/vigia-demo.lock"
#define PINS "/sys/fs/bpf/vigia-demo-"
#define DIRECTORY "/var/tmp/vigia-demo-"
#define RESTART_EVERY_S 22 /* two of them */
#define LEARN_MAX_S 210    /* gives up then */
#define ALERT_WAIT_S 20    /* after the attack */
#define EXTEND_WAIT_S 6    /* what the alert still gathers */
#define NO_ATTACK_S 600

enum { KEY_SEED = 256, KEY_NO_ATTACK, KEY_KEEP, KEY_ATTACH, KEY_PRINT_CONFIG };

static const char learning_config[] =
    "# The demo's programs are tiny and its load is steady, so a minute of them says about as much "
    "as\n"
    "# a quarter of an hour of a real server does. Everything else is as always.\n"
    "learning:\n"
    "  ready_active_s: 100   # always 900: active seconds before a workload is judged\n"
    "  ready_quiet_s: 30     # always 600: of these without a new program, exec or call\n"
    "  startup_max_s: 20     # always 60\n"
    "  startup_quiet_s: 5    # always 10\n";

static const struct argp_option argp_options[] = {
    {"seed", KEY_SEED, "N", 0,
     "Vary the attack: its path, files, ports and timing, and the load (default 1)", 0},
    {"no-attack", KEY_NO_ATTACK, NULL, 0,
     "Run ten minutes without an attack; succeeds if nothing is alerted", 0},
    {"attach", KEY_ATTACH, "DIR", 0,
     "Use the `vigia up` that already runs on this data directory, started with the configuration "
     "that "
     "--print-config prints, instead of one of its own",
     0},
    {"keep", KEY_KEEP, NULL, 0,
     "Keep the data directory, the configuration and the logs, and say where", 0},
    {"print-config", KEY_PRINT_CONFIG, NULL, 0,
     "Print the configuration with the short learning times, and end", 0},
    {"json", 'j', NULL, 0, "Print one JSON object at the end; what happens goes to standard error",
     0},
    {"verbose", 'v', NULL, 0, "Say more on standard error", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct demo *d = state->input;
    char *end = arg;
    switch (key) {
    case KEY_SEED:
        d->seed = strtoull(arg, &end, 10);
        if (!*arg || *end || *arg == '-')
            argp_error(state, "--seed takes a whole number, not '%s'", arg);
        return 0;
    case KEY_NO_ATTACK:
        d->no_attack = true;
        return 0;
    case KEY_ATTACH:
        d->attach = arg;
        return 0;
    case KEY_KEEP:
        d->keep = true;
        return 0;
    case KEY_PRINT_CONFIG:
        d->print_config = true;
        return 0;
    case 'j':
        d->json = true;
        return 0;
    case 'v':
        log_set_level(LOG_LEVEL_DEBUG);
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
    "Show the main job on two real containers, made on the spot from this machine's own programs: "
    "a small web "
    "shop whose search page has a command-injection hole, and redis."
    "\v"
    "It puts both under steady load, lets Vigia learn them for about two minutes with two "
    "restarts, attacks "
    "the shop through its hole (reads secrets, drops a program, lets it call home to the loopback "
    "of the "
    "container's own network), and shows the alert: how many seconds after the first hostile call, "
    "and why. "
    "It has no rule of its own: it runs `vigia up` with shorter learning times, which it "
    "prints.\n\n"
    "Needs root and runc. Ends by itself in less than five minutes and cleans up. Exit status: 0 "
    "the attack "
    "was found and nothing was alerted before it; 1 not so; 2 it could not run.\n\n"
    "Examples:\n"
    "  vigia demo\n"
    "  vigia demo --seed 7 --json\n"
    "  vigia demo --no-attack          # ten minutes in which nothing may be alerted\n",
    NULL,
    NULL,
    NULL};

static atomic_bool interrupted; /* set in whichever thread the signal finds: OpenBLAS has some */

static void on_signal(int sig)
{
    (void)sig;
    interrupted = true;
}

double demo_wall(void)
{
    return (double)clock_wall_ns() / 1e9;
}

__attribute__((format(printf, 2, 3))) static void say(struct demo *d, const char *fmt, ...)
{
    va_list args;
    fprintf(d->out, "%6.1f s  ", demo_wall() - d->began);
    va_start(args, fmt);
    vfprintf(d->out, fmt, args);
    va_end(args);
    fputc('\n', d->out);
    fflush(d->out);
}

/* Sleeps until that time of the demo; false when it was told to end, or `vigia up` has ended. */
static bool pause_until(struct demo *d, double until)
{
    const struct timespec step = {.tv_nsec = 100 * 1000 * 1000};
    while (!interrupted && demo_wall() < until) {
        if (d->up > 0 && waitpid(d->up, NULL, WNOHANG) == d->up) {
            d->up = 0;
            log_error("`vigia up` ended by itself; its log is %s", d->log);
            d->keep = true;
            return false;
        }
        nanosleep(&step, NULL);
    }
    return !interrupted;
}

static int free_port(uint16_t *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(a);
    CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
        getsockname(fd, (struct sockaddr *)&a, &size))
        return -errno;
    *ret = ntohs(a.sin_port);
    return 0;
}

static int write_config(struct demo *d)
{
    CLEANUP(fclosep) FILE *f = fopen(d->config, "we");
    if (!f || fprintf(f,
                      "%sdata: %s\ncapture:\n  pins: %s\ncontainers:\n  names: [\"vigia-demo-*\"]\n"
                      "server:\n  port: %u\n",
                      learning_config, d->data, d->pins, d->port) < 0) {
        log_error("cannot write %s: %s", d->config, strerror(errno));
        return -EIO;
    }
    return 0;
}

static void print_file(struct demo *d, const char *path, const char *indent)
{
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    char line[1024];
    while (f && fgets(line, sizeof(line), f))
        fprintf(d->out, "%s%s", indent, line);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path) && errno != ENOENT ? -1 : 0;
}

/* The lock names the directory of its owner: one that was killed could not remove it. */
static void remove_left_over(struct demo *d)
{
    static const char *const names[] = {DEMO_WEB, DEMO_REDIS};
    char path[sizeof(d->directory)] = "";
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *const argv[] = {"runc", "delete", "--force", names[i], NULL};
        child_run(argv, NULL);
    }
    ssize_t n = pread(d->lock_fd, path, sizeof(path) - 1, 0);
    if (n > (ssize_t)strlen(DIRECTORY) && !strncmp(path, DIRECTORY, strlen(DIRECTORY)) &&
        !strchr(path + strlen(DIRECTORY), '/'))
        nftw(path, drop, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    glob_t pins;
    if (glob(PINS "*", GLOB_NOSORT, NULL, &pins))
        return;
    for (size_t i = 0; i < pins.gl_pathc; i++)
        nftw(pins.gl_pathv[i], drop, 8, FTW_DEPTH | FTW_PHYS);
    globfree(&pins);
}

/* One demo at a time: the containers' names are its own. */
static int prepare(struct demo *d)
{
    char why[256];
    int r = box_probe(why, sizeof(why));
    if (r < 0) {
        log_error("the demo cannot start containers: %s", why);
        return r;
    }
    d->lock_fd = open(LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0 || flock(d->lock_fd, LOCK_EX | LOCK_NB)) {
        log_error("another `vigia demo` is running (%s is locked)", LOCK_PATH);
        return -EBUSY;
    }
    remove_left_over(d);
    snprintf(d->directory, sizeof(d->directory), DIRECTORY "XXXXXX");
    if (!mkdtemp(d->directory)) {
        log_error("cannot make %s: %s", d->directory, strerror(errno));
        return -errno;
    }
    if (ftruncate(d->lock_fd, 0) || pwrite(d->lock_fd, d->directory, strlen(d->directory), 0) < 0)
        log_warn("cannot write %s: %s", LOCK_PATH, strerror(errno));
    snprintf(d->data, sizeof(d->data), "%s", d->attach ? d->attach : "");
    if (!d->attach)
        snprintf(d->data, sizeof(d->data), "%s/data", d->directory);
    snprintf(d->log, sizeof(d->log), "%s/vigia.log", d->directory);
    snprintf(d->config, sizeof(d->config), "%s/vigia.yaml", d->directory);
    snprintf(d->pins, sizeof(d->pins), PINS "%d", getpid());
    r = demo_site_web(d->directory, &d->web);
    return r < 0 ? r : demo_site_redis(d->directory, &d->redis);
}

static int start_up(struct demo *d)
{
    char self[PATH_MAX];
    const char *const argv[] = {self, "up", "--config", d->config, "--data", d->data, NULL};
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[MAX(n, 0)] = '\0';
    int r = free_port(&d->port);
    r = r < 0 ? r : write_config(d);
    r = r < 0 ? r : child_start(argv, d->log, &d->up);
    if (r < 0)
        return r;
    say(d, "Started `vigia up` with this configuration, %s:", d->config);
    print_file(d, d->config, "            ");
    return 0;
}

/* Until Vigia writes to its store. */
static int wait_live(struct demo *d)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/vigia.db", d->data);
    const struct store_options options = {.path = path, .read_only = true};
    for (double until = demo_wall() + 20; demo_wall() < until;) {
        if (!d->store && !access(path, R_OK))
            store_open(NULL, &options, &d->store);
        if (d->store && demo_watch_live(d->store, d->attach ? demo_wall() - 10 : d->began))
            return 0;
        if (!pause_until(d, demo_wall() + 0.2))
            break;
    }
    if (interrupted)
        return -EINTR;
    log_error("no running `vigia up` writes to %s; %s", d->data,
              d->attach ? "start one, or leave --attach out" : "its log follows");
    if (!d->attach)
        print_file(d, d->log, "  ");
    return -ENOENT;
}

static int start_containers(struct demo *d)
{
    int r = box_start(d->web);
    r = r < 0 ? r : box_start(d->redis);
    if (r == 0)
        demo_load_point(d->load, box_pid(d->web), box_pid(d->redis));
    return r;
}

static int restart_containers(struct demo *d)
{
    demo_load_point(d->load, 0, 0);
    pause_until(d, demo_wall() + 0.3);
    int r = box_stop(d->web);
    r = r < 0 ? r : box_stop(d->redis);
    return r < 0 ? r : start_containers(d);
}

static int learn(struct demo *d)
{
    double until = demo_wall() + LEARN_MAX_S, spoken = demo_wall();
    struct demo_profile web = {0}, redis = {0};
    for (int i = 1; i <= 2; i++) {
        if (!pause_until(d, demo_wall() + RESTART_EVERY_S))
            return -EINTR;
        say(d, "Restart %d of 2 of both containers: start-up is learnt, too.", i);
        int r = restart_containers(d);
        if (r < 0)
            return r;
    }
    while (demo_wall() < until) {
        if (!pause_until(d, demo_wall() + 0.5))
            return -EINTR;
        if (demo_watch_profile(d->store, DEMO_WEB, &web) ||
            demo_watch_profile(d->store, DEMO_REDIS, &redis))
            return -EIO;
        if (web.ready && redis.ready) {
            d->ready = true;
            say(d, "Both workloads are learnt: %s, %s.", web.workload, redis.workload);
            return 0;
        }
        if (demo_wall() >= spoken + 20) {
            spoken = demo_wall();
            say(d, "Learning: web %.0f %%%s%s, redis %.0f %%%s%s", 100 * web.progress,
                web.ready ? "" : " - ", web.reason, 100 * redis.progress, redis.ready ? "" : " - ",
                redis.reason);
        }
    }
    say(d, "Not learnt within %d s: web: %s; redis: %s", LEARN_MAX_S,
        web.ready ? "ready" : web.reason, redis.ready ? "ready" : redis.reason);
    return 0;
}

/* The alert of the attack: one of the web container with evidence since the attack began. On a data
 * directory that saw this attack before it may be the old one, repeated. */
static json_t *alert_of_attack(struct demo *d)
{
    json_t *alert;
    size_t i;
    json_array_foreach (d->alerts, i, alert) {
        double last = json_number_value(json_object_get(alert, "last"));
        if (demo_watch_is_of(alert, DEMO_WEB) && last >= d->attack_began)
            return alert;
    }
    return NULL;
}

static int look(struct demo *d)
{
    json_t *alerts;
    int r = demo_watch_alerts(d->store, d->began - 1, &alerts);
    if (r < 0)
        return r;
    json_decref(d->alerts);
    d->alerts = alerts;
    d->found = d->attack_began > 0 ? alert_of_attack(d) : NULL;
    return 0;
}

static void *attack_thread(void *arg)
{
    struct demo *d = arg;
    return (void *)(intptr_t)demo_attack_run(&d->plan, box_pid(d->web), &d->attack);
}

/* Attacks, and meanwhile looks for the alert: how soon it is there is what counts. */
static int attack_and_watch(struct demo *d)
{
    pthread_t thread;
    void *result = NULL;
    d->attack_began = demo_wall();
    int r = -pthread_create(&thread, NULL, attack_thread, d);
    if (r < 0)
        return r;
    bool over = false;
    for (double until = demo_wall() + ALERT_WAIT_S; !over || (!d->seen && demo_wall() < until);) {
        if (!over && pthread_tryjoin_np(thread, &result) == 0)
            over = true, until = demo_wall() + ALERT_WAIT_S;
        if (!d->seen && look(d) == 0 && d->found)
            d->seen = demo_wall();
        if (!pause_until(d, demo_wall() + 0.05)) {
            if (!over)
                pthread_join(thread, &result);
            return -EINTR;
        }
    }
    return (int)(intptr_t)result;
}

static int attack(struct demo *d)
{
    uint64_t random = d->seed + 77;
    double calm = 8 + (double)(demo_random(&random) % 12000) / 1000;
    say(d, "Watching for %.0f s: nothing should be alerted.", calm);
    if (!pause_until(d, demo_wall() + calm))
        return -EINTR;
    int r = look(d);
    if (r < 0)
        return r;
    d->before = (unsigned)json_array_size(d->alerts);
    demo_attack_plan(d->seed, &d->plan);
    say(d, "Attacking through the search page:");
    for (unsigned i = 0; i < d->plan.n; i++)
        fprintf(d->out, "            %u. %s\n               %s\n", i + 1, d->plan.words[i],
                d->plan.steps[i]);
    fflush(d->out);
    r = attack_and_watch(d);
    if (r < 0)
        return r;
    say(d,
        "The attack worked: secrets read: %s; dropped program called home: %s (%llu bytes); %u "
        "processes of it seen.",
        d->attack.read_secrets ? "yes" : "NO", d->attack.ran_program ? "yes" : "NO",
        (unsigned long long)d->attack.stolen_bytes, d->attack.n_processes);
    if (!d->seen)
        return 0;
    if (!pause_until(d, d->attack.last + EXTEND_WAIT_S))
        return -EINTR;
    r = look(d);
    if (r == 0 && d->found)
        demo_watch_marked(d->found, &d->attack, d->attach ? d->attack_began : 0, &d->marked,
                          &d->marked_attack);
    return r;
}

static int stay_quiet(struct demo *d)
{
    double until = d->began + NO_ATTACK_S;
    say(d, "No attack: watching until %d s; nothing may be alerted.", NO_ATTACK_S);
    while (demo_wall() < until) {
        if (!pause_until(d, MIN(until, demo_wall() + 60)))
            return -EINTR;
        int r = look(d);
        if (r < 0)
            return r;
        struct demo_load_counts n;
        demo_load_count(d->load, &n);
        say(d, "%zu alerts; %llu pages and %llu redis commands answered.",
            json_array_size(d->alerts), (unsigned long long)n.pages,
            (unsigned long long)n.commands);
    }
    d->before = (unsigned)json_array_size(d->alerts);
    return 0;
}

static void clean_up(struct demo *d)
{
    demo_load_free(d->load);
    store_close(d->store);
    if (d->up > 0)
        child_stop(d->up, 8000);
    box_free(d->web);
    box_free(d->redis);
    if (d->pins[0])
        nftw(d->pins, drop, 8, FTW_DEPTH | FTW_PHYS);
    if (d->directory[0] && d->keep)
        fprintf(d->out, "Kept: %s\n", d->directory);
    else if (d->directory[0])
        nftw(d->directory, drop, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    json_decref(d->alerts);
    if (d->lock_fd >= 0 && d->directory[0] && ftruncate(d->lock_fd, 0))
        log_warn("cannot empty %s: %s", LOCK_PATH, strerror(errno));
    if (d->lock_fd >= 0)
        close(d->lock_fd);
}

static int run_all(struct demo *d)
{
    say(d,
        "Made two containers of this machine's own programs: %s (busybox httpd, CGI in dash), %s.",
        DEMO_WEB, DEMO_REDIS);
    int r = d->attach ? 0 : start_up(d);
    r = r < 0 ? r : wait_live(d);
    r = r < 0 ? r : demo_load_new(d->seed, &d->load);
    r = r < 0 ? r : start_containers(d);
    if (r < 0)
        return r;
    say(d, "Both run, under steady mixed load. Learning what is normal for them takes about two "
           "minutes.");
    r = learn(d);
    if (r < 0 || !d->ready)
        return r;
    return d->no_attack ? stay_quiet(d) : attack(d);
}

static int run(int argc, char **argv)
{
    struct demo d = {.seed = 1, .lock_fd = -1, .out = stdout};
    const struct sigaction action = {.sa_handler = on_signal};
    if (argp_parse(&argp, argc, argv, 0, NULL, &d))
        return EXIT_FAILED;
    if (d.print_config) {
        fputs(learning_config, stdout);
        return EXIT_OK;
    }
    d.out = d.json ? stderr : stdout;
    d.began = demo_wall();
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    int r = prepare(&d);
    r = r < 0 ? r : run_all(&d);
    if (r == 0) {
        demo_print_verdict(&d);
        if (d.json)
            demo_print_json(&d);
    } else if (r == -EINTR) {
        fprintf(d.out, "Ended before it was done.\n");
    }
    bool passed = r == 0 && demo_succeeded(&d);
    clean_up(&d);
    return r < 0 ? EXIT_FAILED : passed ? EXIT_OK : EXIT_FOUND;
}

const struct command command_demo = {
    "demo", "care", "Show the main job on two real containers: learn, attack, alert", run};
