#include "soc/http.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "soc/guard.h"
#include "soc/origin.h"
#include "soc/server.h"

#define HEADERS_MAX (32 * 1024)
#define SESSIONS_MAX 1024
#define LIMIT_ENTRIES 4096
#define TLS_FILE_MAX (256 * 1024)

/* Nothing of a page may be inline: the page sets styles from its script and paints the charts'
 * tooltips on their canvas, which no policy forbids. */
#define CONTENT_SECURITY_POLICY                                                                    \
    "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; "                 \
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/* One request on its way in. */
struct exchange {
    struct buf body;
    bool too_large;
};

static void exchange_free(struct exchange *x)
{
    buf_done(&x->body);
    free(x);
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static enum MHD_Result add_parameter(void *cls, enum MHD_ValueKind kind, const char *key,
                                     size_t key_size, const char *value, size_t value_size)
{
    (void)kind, (void)key_size;
    struct request *q = cls;
    if (q->n_parameters < PARAMETERS_MAX)
        q->parameters[q->n_parameters] =
            (struct parameter){key, value ? value : "", value ? value_size : 0};
    q->n_parameters++;
    return q->n_parameters <= PARAMETERS_MAX ? MHD_YES : MHD_NO;
}

static const struct sockaddr *client_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

static void add_headers(struct MHD_Response *response, const struct reply *r, bool tls)
{
    char text[32];
    MHD_add_response_header(response, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cache-Control", r->etag ? "no-cache" : "no-store");
    MHD_add_response_header(response, "Content-Type", r->type ? r->type : "application/json");
    if (tls)
        MHD_add_response_header(response, "Strict-Transport-Security", "max-age=31536000");
    if (r->etag)
        MHD_add_response_header(response, "ETag", r->etag);
    if (r->allow[0])
        MHD_add_response_header(response, "Allow", r->allow);
    if (r->challenge)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (r->cookie[0])
        MHD_add_response_header(response, "Set-Cookie", r->cookie);
    if (r->retry_after_s) {
        snprintf(text, sizeof(text), "%u", r->retry_after_s);
        MHD_add_response_header(response, "Retry-After", text);
    }
}

static enum MHD_Result send_reply(struct MHD_Connection *c, struct request *q)
{
    struct reply *r = &q->reply;
    const char *match = r->etag ? header(c, "If-None-Match") : NULL;
    struct MHD_Response *response;
    if (match && strcmp(match, r->etag) == 0) {
        r->status = 304;
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else if (r->bytes) {
        response =
            MHD_create_response_from_buffer(r->size, (void *)r->bytes, MHD_RESPMEM_PERSISTENT);
    } else {
        char *text =
            r->text ? TAKE(r->text) : json_dumps(r->json, JSON_COMPACT | JSON_REAL_PRECISION(15));
        size_t size = text && r->size ? r->size : text ? strlen(text) : 0;
        if (!text)
            r->status = 500;
        response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    }
    if (!response)
        return MHD_NO;
    add_headers(response, r, q->http->tls);
    enum MHD_Result queued = MHD_queue_response(c, r->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result answer(struct http *h, struct MHD_Connection *c, const char *method,
                              const char *path, const struct exchange *x)
{
    char address[ORIGIN_SIZE], origin[ORIGIN_SIZE];
    address_text(client_of(c), address);
    origin_text(client_of(c), origin);
    struct request q = {
        .http = h,
        .method = method,
        .path = path,
        .address = address,
        .origin = origin,
        .token = MHD_lookup_connection_value(c, MHD_COOKIE_KIND, h->tls ? "__Host-vigia" : "vigia"),
        .csrf = header(c, "X-CSRF-Token"),
        .content_type = header(c, "Content-Type"),
        .authorization = header(c, "Authorization"),
        .fetch_site = header(c, "Sec-Fetch-Site"),
        .host = header(c, "Host"),
        .data = x->body.data,
        .data_size = x->body.size,
        .too_large = x->too_large || x->body.error,
        .now = (double)clock_wall_ns() / NS_PER_S,
    };
    MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, add_parameter, &q);
    dispatch(&q);
    enum MHD_Result queued = send_reply(c, &q);
    reply_done(&q.reply);
    return queued;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **con_cls)
{
    (void)version;
    struct http *h = cls;
    struct exchange *x = *con_cls;
    if (!x) {
        const char *length = header(c, "Content-Length");
        x = calloc(1, sizeof(*x));
        if (!x)
            return MHD_NO;
        buf_init(&x->body, BODY_MAX);
        *con_cls = x;
        x->too_large = length && strtoull(length, NULL, 10) > BODY_MAX;
        /* Refused before the body is sent: libmicrohttpd then closes the connection. */
        return x->too_large ? answer(h, c, method, url, x) : MHD_YES;
    }
    if (*size) {
        /* Chunked bodies show their size only as they come. */
        if (x->body.error)
            return MHD_NO;
        buf_append(&x->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return answer(h, c, method, url, x);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct http *h = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info && info->socket_context)
        guard_touch(h->guard, (int)(intptr_t)info->socket_context - 1);
    if (*con_cls)
        exchange_free(*con_cls);
    *con_cls = NULL;
}

/* Four threads accept: that they ask at the same moment may let in three more. */
static enum MHD_Result on_accept(void *cls, const struct sockaddr *address, socklen_t size)
{
    (void)size;
    struct http *h = cls;
    char origin[ORIGIN_SIZE];
    origin_text(address, origin);
    return guard_refuses(h->guard, origin) ? MHD_NO : MHD_YES;
}

/* The socket's context is the guard's slot + 1. */
static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *h = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    char origin[ORIGIN_SIZE];
    origin_text(client_of(c), origin);
    if (code == MHD_CONNECTION_NOTIFY_STARTED && info)
        *context = (void *)(intptr_t)(guard_begin(h->guard, info->connect_fd, origin) + 1);
    else if (code == MHD_CONNECTION_NOTIFY_CLOSED && *context)
        guard_end(h->guard, (int)(intptr_t)*context - 1);
}

static void on_log(void *cls, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list args)
{
    (void)cls;
    char text[512];
    vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http: %s", text);
}

/* ---- start and stop ---- */

/* The file, NUL-terminated; a key readable by others is refused. */
static int read_pem(const char *path, bool secret, char **ret)
{
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    struct stat st;
    if (!f || fstat(fileno(f), &st) < 0) {
        int r = -errno;
        log_error("read TLS file %s: %m", path);
        return r;
    }
    if (secret && (st.st_mode & S_IRWXO)) {
        log_error("TLS key %s: everybody may read it; chmod 600 it", path);
        return -EINVAL;
    }
    CLEANUP(freep) char *text = calloc(1, TLS_FILE_MAX + 1);
    if (!text)
        return -ENOMEM;
    size_t size = fread(text, 1, TLS_FILE_MAX + 1, f);
    if (ferror(f) || size > TLS_FILE_MAX) {
        log_error("read TLS file %s: %s", path, size > TLS_FILE_MAX ? "too large" : "cannot");
        return -EINVAL;
    }
    *ret = TAKE(text);
    return 0;
}

/* libmicrohttpd says nothing about a bad pair: look first. */
static int check_pair(const struct http_options *o, const char *certificate, const char *key)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t c = {(unsigned char *)certificate, (unsigned)strlen(certificate)};
    gnutls_datum_t k = {(unsigned char *)key, (unsigned)strlen(key)};
    int r = gnutls_certificate_allocate_credentials(&credentials);
    if (r < 0)
        return -ENOMEM;
    r = gnutls_certificate_set_x509_key_mem(credentials, &c, &k, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    if (r >= 0)
        return 0;
    log_error("TLS certificate %s with key %s: %s", o->tls_certificate, o->tls_key,
              gnutls_strerror(r));
    return -EINVAL;
}

static int parse_address(const struct http_options *o, struct sockaddr_storage *ret,
                         bool *ret_loopback)
{
    const char *text = o->address;
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof(*ret));
    if (strcmp(text, "localhost") == 0)
        text = "127.0.0.1";
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(o->port);
        *ret_loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(o->port);
        *ret_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    } else {
        log_error("server address \"%s\": give an IPv4 or IPv6 address of this machine", text);
        return -EINVAL;
    }
    return 0;
}

static int check_options(const struct http_options *o, struct sockaddr_storage *ret,
                         bool *ret_loopback)
{
    int r = parse_address(o, ret, ret_loopback);
    if (r < 0)
        return r;
    if (!o->tls_certificate != !o->tls_key) {
        log_error("server: tls_certificate and tls_key belong together: give both");
        return -EINVAL;
    }
    if (!*ret_loopback && !o->tls_certificate) {
        log_error(
            "server: listening on %s would send passwords in the clear; give a TLS certificate "
            "and key (server: tls_certificate, tls_key), or listen on 127.0.0.1",
            o->address);
        return -EINVAL;
    }
    return sinks_check(o->sinks, o->n_sinks);
}

static int start_daemon(struct http *h, const struct sockaddr_storage *address)
{
    CLEANUP(freep) char *certificate = NULL, *key = NULL;
    const struct http_options *o = &h->options;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC;
    int n = 0;
    if (h->tls) {
        int r = read_pem(o->tls_certificate, false, &certificate);
        if (r == 0)
            r = read_pem(o->tls_key, true, &key);
        if (r == 0)
            r = check_pair(o, certificate, key);
        if (r < 0)
            return r;
        flags |= MHD_USE_TLS;
    }
    if (address->ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    struct MHD_OptionItem tls[4];
    if (h->tls) {
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, certificate};
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key};
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                           (void *)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
    }
    tls[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    errno = 0;
    /* Without MHD_OPTION_LISTENING_ADDRESS_REUSE: two servers would share the port in silence. */
    h->daemon = MHD_start_daemon(
        flags, o->port, on_accept, h, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)address, MHD_OPTION_THREAD_POOL_SIZE,
        o->threads, MHD_OPTION_CONNECTION_LIMIT, o->connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
        o->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        h, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!h->daemon) {
        int r = errno ? -errno : -EADDRINUSE;
        log_error("listen on %s port %u: %s; stop what listens there (`ss -ltnp`), or name another "
                  "port",
                  o->address, o->port, strerror(-r));
        return r;
    }
    uint16_t port = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    bool v6 = address->ss_family == AF_INET6;
    snprintf(h->url, sizeof(h->url), "http%s://%s%s%s:%u/", h->tls ? "s" : "", v6 ? "[" : "",
             o->address, v6 ? "]" : "", port);
    return 0;
}

static int open_stores(struct http *h)
{
    struct store_options options = {.path = h->options.store_path};
    int r = store_open(h->options.store, &options, &h->writer);
    if (r < 0)
        return r;
    h->readers = calloc(h->options.threads, sizeof(struct store *));
    if (!h->readers)
        return -ENOMEM;
    options.read_only = true;
    h->readers_max = h->options.threads;
    while (h->readers_n < h->readers_max) {
        r = store_open(h->options.store, &options, &h->readers[h->readers_n]);
        if (r < 0)
            return r;
        h->readers_n++;
    }
    return 0;
}

static double utc_offset_s(void)
{
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    return (double)tm.tm_gmtoff;
}

DEFINE_CLEANUP(http_stop, struct http *)

int http_check(const struct http_options *options)
{
    struct sockaddr_storage address;
    bool loopback;
    return check_options(options, &address, &loopback);
}

int http_start(const struct http_options *options, struct http **ret)
{
    struct sockaddr_storage address;
    CLEANUP(http_stopp) struct http *h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->options = *options;
    h->options.address = options->address ? options->address : "127.0.0.1";
    h->options.threads = options->threads ? options->threads : 4;
    h->options.connections_max = options->connections_max ? options->connections_max : 256;
    h->options.idle_s = options->idle_s ? options->idle_s : 15;
    h->options.request_s = options->request_s ? options->request_s : 30;
    h->started = (double)clock_wall_ns() / NS_PER_S;
    h->utc_offset_s = utc_offset_s();
    pthread_mutex_init(&h->readers_mutex, NULL);
    pthread_cond_init(&h->readers_given, NULL);
    h->tls = options->tls_certificate;
    int r = check_options(&h->options, &address, &h->loopback);
    if (r == 0)
        r = user_start();
    if (r == 0)
        r = open_stores(h);
    if (r == 0)
        r = flight_new(options->spool, &h->flight);
    if (r == 0)
        r = sessions_new(SESSIONS_MAX, 8 * 3600, 7 * 86400, &h->sessions);
    if (r == 0)
        r = limit_new(LIMIT_ENTRIES, &h->addresses);
    if (r == 0)
        r = limit_new(LIMIT_ENTRIES, &h->users);
    if (r == 0)
        r = limit_new(LIMIT_ENTRIES, &h->strangers);
    if (r == 0)
        r = guard_start(h->options.connections_max, h->options.request_s, &h->guard);
    if (r == 0)
        r = start_daemon(h, &address);
    if (r < 0)
        return r;
    log_info("the page is at %s", h->url);
    *ret = TAKE(h);
    return 0;
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    guard_stop(h->guard);
    sessions_free(h->sessions);
    limit_free(h->addresses);
    limit_free(h->users);
    limit_free(h->strangers);
    for (uint32_t i = 0; i < h->readers_n; i++)
        store_close(h->readers[i]);
    free(h->readers);
    store_close(h->writer);
    if (h->flight)
        flight_free(h->flight);
    pthread_mutex_destroy(&h->readers_mutex);
    pthread_cond_destroy(&h->readers_given);
    free(h);
}

const char *http_url(const struct http *h)
{
    return h->url;
}
