/* Syslog as of RFC 5424: over UDP (RFC 5426), TCP with octet counting (RFC 6587, 3.4.1) or the
 * local socket. UDP and the local socket know no acknowledgement: what the kernel has taken is
 * delivered. */
#include "soc/sink_syslog.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/utf8.h"
#include "soc/json.h"
#include "soc/sink.h"

#define FACILITY_AUTHPRIV 10
#define DEVLOG "/dev/log"

enum protocol { PROTOCOL_UNIX, PROTOCOL_UDP, PROTOCOL_TCP };

struct syslog {
    const struct sink_options *options;
    enum protocol protocol;
    int fd; /* -1: not connected */
};

/* ---- the message ---- */

/* What has no place in a line, and what a terminal obeys that shows the log, becomes a blank. The
 * characters of escaped get a '\' before them. */
static void append_text(struct buf *b, const char *s, const char *escaped)
{
    uint32_t c;
    for (size_t n; *s; s += n) {
        n = utf8_decode(s, &c);
        if (utf8_is_unsafe(c))
            buf_printf(b, " ");
        else if (strchr(escaped, *s))
            buf_printf(b, "\\%c", *s);
        else
            buf_append(b, s, n);
    }
}

static void append_param(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, " %s=\"", name);
    append_text(b, value, "\"\\]"); /* PARAM-VALUE, 6.3.3 */
    buf_printf(b, "\"");
}

/* HOSTNAME and the like: printable ASCII without blanks, "-" for nothing. */
static void append_token(struct buf *b, const char *s, size_t size_max)
{
    size_t n = 0;
    for (; *s && n < size_max; s++) {
        if (*s > 0x20 && *s < 0x7f) {
            buf_append(b, s, 1);
            n++;
        }
    }
    if (!n)
        buf_printf(b, "-");
    buf_printf(b, " ");
}

static int severity(double score)
{
    return score >= 90 ? 2 : score >= 70 ? 3 : 4; /* critical, error, warning */
}

static void append_header(struct buf *b, const struct sink_delivery *d)
{
    char stamp[40], host[256] = "";
    time_t s = (time_t)d->time;
    struct tm tm;
    const char *node = json_get_string(json_object_get(d->alert, "container"), "node", "");
    double score = json_get_number(d->alert, "score", 50);
    gmtime_r(&s, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    if (!node[0] && gethostname(host, sizeof(host) - 1) == 0)
        node = host;
    buf_printf(b, "<%d>1 %s.%03dZ ", FACILITY_AUTHPRIV * 8 + severity(score), stamp,
               (int)((d->time - (double)s) * 1000));
    append_token(b, node, 255);
    buf_printf(b, "vigia %d %s ", (int)getpid(), d->test ? "test" : "alert");
}

int syslog_message(const struct sink_delivery *d, struct buf *ret)
{
    char number[32];
    const json_t *container = json_object_get(d->alert, "container");
    append_header(ret, d);
    /* 32473 is the enterprise number for examples (RFC 5612): nobody else's. */
    buf_printf(ret, "[vigia@32473");
    append_param(ret, "delivery", d->id);
    append_param(ret, "alert", json_get_string(d->alert, "id", ""));
    snprintf(number, sizeof(number), "%.0f", json_get_number(d->alert, "score", 0));
    append_param(ret, "score", number);
    append_param(ret, "phase", json_get_string(d->alert, "phase", ""));
    append_param(ret, "workload", json_get_string(d->alert, "workload", ""));
    append_param(ret, "container", json_get_string(container, "name", ""));
    append_param(ret, "containerId", json_get_string(container, "id", ""));
    append_param(ret, "image", json_get_string(container, "image", ""));
    snprintf(number, sizeof(number), "%.3f", json_get_number(d->alert, "first", 0));
    append_param(ret, "first", number);
    buf_printf(ret, "] ");
    append_text(ret, json_get_string(d->alert, "headline", ""), "");
    return ret->error;
}

/* ---- the socket ---- */

static int protocol_of(const struct sink_options *o, enum protocol *ret)
{
    const char *p = o->protocol ? o->protocol : o->address ? "udp" : "unix";
    if (strcmp(p, "unix") == 0)
        *ret = PROTOCOL_UNIX;
    else if (strcmp(p, "udp") == 0)
        *ret = PROTOCOL_UDP;
    else if (strcmp(p, "tcp") == 0)
        *ret = PROTOCOL_TCP;
    else
        return -EINVAL;
    return 0;
}

/* "host:port", "[v6]:port" */
static int split_address(const char *text, char ret_host[256], char ret_port[16])
{
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    if (!size || size > 255 || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return -EINVAL;
    if (text[0] == '[' && text[size - 1] == ']')
        text++, size -= 2;
    if (!size)
        return -EINVAL;
    memcpy(ret_host, text, size);
    ret_host[size] = '\0';
    strcpy(ret_port, colon + 1);
    return 0;
}

static int syslog_check(const struct sink_options *o, char ret_reason[SINK_REASON])
{
    char host[256], port[16];
    enum protocol protocol;
    struct sockaddr_un a;
    if (protocol_of(o, &protocol) < 0)
        snprintf(ret_reason, SINK_REASON, "protocol: must be udp, tcp or unix");
    else if (protocol == PROTOCOL_UNIX && o->path && strlen(o->path) >= sizeof(a.sun_path))
        snprintf(ret_reason, SINK_REASON, "path: too long for a socket");
    else if (protocol != PROTOCOL_UNIX &&
             (!o->address || split_address(o->address, host, port) < 0))
        snprintf(ret_reason, SINK_REASON, "address: must be host:port");
    else
        return 0;
    return -EINVAL;
}

static int syslog_open(const struct sink_options *o, void **ret)
{
    struct syslog *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->options = o;
    s->fd = -1;
    protocol_of(o, &s->protocol);
    *ret = s;
    return 0;
}

static void disconnect(struct syslog *s)
{
    closep(&s->fd);
    s->fd = -1;
}

static void syslog_close(void *sink)
{
    struct syslog *s = sink;
    disconnect(s);
    free(s);
}

static int timeout_ms(const struct syslog *s)
{
    return (int)((s->options->timeout_s > 0 ? s->options->timeout_s : 10) * 1000);
}

static int wait_writable(int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n = poll(&p, 1, timeout);
    return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static int connect_one(struct syslog *s, int family, int type, const struct sockaddr *a,
                       socklen_t size)
{
    CLEANUP(closep) int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t error_size = sizeof(error);
    if (fd < 0)
        return -errno;
    if (connect(fd, a, size) < 0) {
        if (errno != EINPROGRESS)
            return -errno;
        int r = wait_writable(fd, timeout_ms(s));
        if (r < 0)
            return r;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
        if (error)
            return -error;
    }
    s->fd = TAKE_FD(fd);
    return 0;
}

static int connect_unix(struct syslog *s)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path, s->options->path ? s->options->path : DEVLOG, sizeof(a.sun_path) - 1);
    int r = connect_one(s, AF_UNIX, SOCK_DGRAM, (struct sockaddr *)&a, sizeof(a));
    return r == -EPROTOTYPE ? connect_one(s, AF_UNIX, SOCK_STREAM, (struct sockaddr *)&a, sizeof(a))
                            : r;
}

static int connect_inet(struct syslog *s)
{
    char host[256], port[16];
    int type = s->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_ADDRCONFIG}, *list, *a;
    int r = split_address(s->options->address, host, port);
    if (r < 0)
        return r;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -EHOSTUNREACH;
    r = -EHOSTUNREACH;
    for (a = list; a && s->fd < 0; a = a->ai_next)
        r = connect_one(s, a->ai_family, type, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    return r;
}

/* What was written to a TCP connection that the receiver had closed is lost without an error:
 * before each message, look whether it has. */
static bool hung_up(const struct syslog *s)
{
    char byte;
    ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

static int write_all(struct syslog *s, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t n = send(s->fd, data, size, MSG_NOSIGNAL);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            int r = wait_writable(s->fd, timeout_ms(s));
            if (r < 0)
                return r;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static int deliver(struct syslog *s, const struct buf *message)
{
    char count[24];
    int r = 0;
    if (s->fd >= 0 && s->protocol != PROTOCOL_UDP && hung_up(s))
        disconnect(s);
    if (s->fd < 0)
        r = s->protocol == PROTOCOL_UNIX ? connect_unix(s) : connect_inet(s);
    if (r == 0 && s->protocol == PROTOCOL_TCP) {
        int n = snprintf(count, sizeof(count), "%zu ", message->size);
        r = write_all(s, (const uint8_t *)count, (size_t)n);
    }
    if (r == 0)
        r = write_all(s, message->data, message->size);
    if (r < 0)
        disconnect(s);
    return r;
}

static void syslog_send(void *sink, const struct sink_delivery *delivery, struct sink_result *ret)
{
    struct syslog *s = sink;
    CLEANUP(buf_done) struct buf message;
    /* RFC 5424, 6.1: receivers should take 2,048 bytes; a datagram holds at most 64 KiB. */
    buf_init(&message, 32 * 1024);
    *ret = (struct sink_result){.outcome = SINK_RETRY};
    int r = syslog_message(delivery, &message);
    if (r == 0)
        r = deliver(s, &message);
    if (r == 0)
        ret->outcome = SINK_SENT;
    else
        snprintf(ret->reason, sizeof(ret->reason), "send to %s: %s",
                 s->options->address ? s->options->address
                 : s->options->path  ? s->options->path
                                     : DEVLOG,
                 strerror(-r));
}

const struct sink_ops sink_syslog = {
    .name = "syslog",
    .check = syslog_check,
    .open = syslog_open,
    .close = syslog_close,
    .send = syslog_send,
};
