#include "cli/demo_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "cli/box.h"
#include "cli/demo_site.h"

struct client {
    struct demo_load *load;
    int (*request)(struct client *c);
    atomic_int pid; /* of the container; 0: none */
    pid_t entered;  /* whose network the thread is in */
    uint64_t random;
    atomic_uint_fast64_t done;
    int socket;        /* redis */
    unsigned left;     /* requests until the connection is made anew */
    unsigned pause_ms; /* the longest */
    pthread_t thread;
    bool started;
};

struct demo_load {
    struct client web, redis;
    atomic_bool stop;
    atomic_uint_fast64_t failed;
};

uint64_t demo_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void sleep_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static int connect_to(uint16_t port, int timeout_s, int *ret)
{
    CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval timeout = {.tv_sec = timeout_s};
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)))
        return -errno;
    *ret = TAKE_FD(fd);
    return 0;
}

int demo_http(uint16_t port, const char *method, const char *target, const char *body,
              int timeout_s, char *answer, unsigned size)
{
    char request[8192], rest[4096], line[64] = "";
    CLEANUP(closep) int fd = -1;
    unsigned got = 0, kept = 0;
    int n = snprintf(
        request, sizeof(request),
        "%s %s HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
        method, target, body ? strlen(body) : 0, body ? body : "");
    if (n >= (int)sizeof(request))
        return -EMSGSIZE;
    int r = connect_to(port, timeout_s, &fd);
    if (r < 0)
        return r;
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        return -errno;
    ssize_t m;
    while ((m = recv(fd, rest, sizeof(rest), 0)) > 0) {
        for (unsigned i = 0; i < (unsigned)m; i++, got += got < sizeof(line) - 1) {
            if (got < sizeof(line) - 1)
                line[got] = rest[i];
            if (answer && kept + 1 < size)
                answer[kept++] = rest[i];
        }
    }
    if (answer)
        answer[kept] = '\0';
    int status;
    if (m < 0)
        return -errno;
    return sscanf(line, "HTTP/%*s %d", &status) == 1 ? status : -EBADMSG;
}

static int web_request(struct client *c)
{
    static const char *const words[] = {"lantern", "rope", "clock",    "coat",
                                        "brass",   "oil",  "zeppelin", "s"};
    uint64_t r = demo_random(&c->random);
    char target[128];
    unsigned kind = r % 100;
    const char *body = NULL;
    if (kind < 25)
        snprintf(target, sizeof(target), "/");
    else if (kind < 35)
        snprintf(target, sizeof(target), "/style.css");
    else if (kind < 42)
        snprintf(target, sizeof(target), "/missing-%u", (unsigned)(r >> 8) % 100);
    else if (kind < 70)
        snprintf(target, sizeof(target), "/cgi-bin/search?q=%s",
                 words[(r >> 8) % ARRAY_SIZE(words)]);
    else if (kind < 83)
        snprintf(target, sizeof(target), "/cgi-bin/stats");
    else {
        snprintf(target, sizeof(target), "/cgi-bin/order");
        body = "item=storm+lantern&count=2\n";
    }
    int status = demo_http(DEMO_WEB_PORT, body ? "POST" : "GET", target, body, 5, NULL, 0);
    return status < 0 ? status : 0;
}

static void redis_command(struct client *c, char *text, size_t size)
{
    uint64_t r = demo_random(&c->random);
    unsigned k = (unsigned)(r >> 8) % 200, v = (unsigned)(r >> 32);
    switch (r % 10) {
    case 0:
        snprintf(text, size, "PING\r\n");
        break;
    case 1:
    case 2:
        snprintf(text, size, "SET key:%u %u\r\n", k, v);
        break;
    case 3:
    case 4:
    case 5:
        snprintf(text, size, "GET key:%u\r\n", k);
        break;
    case 6:
        snprintf(text, size, "INCR count:%u\r\n", k % 20);
        break;
    case 7:
        snprintf(text, size, "SADD set:%u %u\r\n", k % 10, v % 100);
        break;
    case 8:
        snprintf(text, size, "SETEX session:%u 5 %u\r\n", k, v);
        break;
    default:
        snprintf(text, size, "HSET hash:%u field:%u %u\r\n", k % 10, v % 20, v);
    }
}

/* Redis also takes commands as plain lines ("inline commands"); each of these has a one-line
 * answer, or two lines for GET: the answer's first byte says that it came. */
static int redis_request(struct client *c)
{
    char text[128], answer[512];
    if (c->socket >= 0 && c->left == 0) {
        close(c->socket);
        c->socket = -1;
    }
    if (c->socket < 0) {
        int r = connect_to(DEMO_REDIS_PORT, 5, &c->socket);
        if (r < 0)
            return r;
        c->left = 20 + demo_random(&c->random) % 100;
    }
    c->left--;
    redis_command(c, text, sizeof(text));
    ssize_t n = (ssize_t)strlen(text);
    if (send(c->socket, text, (size_t)n, MSG_NOSIGNAL) == n &&
        recv(c->socket, answer, sizeof(answer), 0) > 0)
        return 0;
    close(c->socket);
    c->socket = -1;
    return -EPIPE;
}

static void *client_run(void *arg)
{
    struct client *c = arg;
    while (!atomic_load(&c->load->stop)) {
        pid_t pid = atomic_load(&c->pid);
        if (pid != c->entered) {
            if (c->socket >= 0)
                close(c->socket);
            c->socket = -1;
            c->entered = pid && box_enter_network(pid) == 0 ? pid : 0;
        }
        if (c->entered && c->request(c) == 0)
            atomic_fetch_add(&c->done, 1);
        else if (c->entered && c->entered == atomic_load(&c->pid))
            atomic_fetch_add(&c->load->failed, 1);
        sleep_ms(c->entered ? 2 + demo_random(&c->random) % c->pause_ms : 20);
    }
    if (c->socket >= 0)
        close(c->socket);
    return NULL;
}

static int client_start(struct demo_load *l, struct client *c, uint64_t seed, unsigned pause_ms,
                        int (*request)(struct client *))
{
    c->load = l;
    c->request = request;
    c->random = seed;
    c->pause_ms = pause_ms;
    c->socket = -1;
    int r = pthread_create(&c->thread, NULL, client_run, c);
    c->started = r == 0;
    return -r;
}

int demo_load_new(uint64_t seed, struct demo_load **ret)
{
    CLEANUP(demo_load_freep) struct demo_load *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    int r = client_start(l, &l->web, seed, 100, web_request);
    r = r < 0 ? r : client_start(l, &l->redis, seed + 1, 12, redis_request);
    if (r < 0)
        return r;
    *ret = TAKE(l);
    return 0;
}

void demo_load_point(struct demo_load *l, pid_t web, pid_t redis)
{
    atomic_store(&l->web.pid, web);
    atomic_store(&l->redis.pid, redis);
}

void demo_load_count(struct demo_load *l, struct demo_load_counts *ret)
{
    ret->pages = atomic_load(&l->web.done);
    ret->commands = atomic_load(&l->redis.done);
    ret->failed = atomic_load(&l->failed);
}

void demo_load_free(struct demo_load *l)
{
    if (!l)
        return;
    atomic_store(&l->stop, true);
    if (l->web.started)
        pthread_join(l->web.thread, NULL);
    if (l->redis.started)
        pthread_join(l->redis.thread, NULL);
    free(l);
}
