/* The SOC's server: the page, /api/v1, /metrics, /healthz. libmicrohttpd with a few threads; what
 * it shows comes from the store, what people decide goes into the store:
 *
 *   a verdict     alert_decide(), as `vigia alerts` does
 *   a suppression STORE_SUPPRESSION <id>
 * {"workload","evidence","expires","reason","author","created"}
 *
 * Everything in plain text on 127.0.0.1 or ::1 only; any other address requires a certificate. */
#pragma once

#include <stdint.h>

#include "soc/sink.h"

struct http;

struct http_options {
    const char *address;                   /* NULL: 127.0.0.1 */
    uint16_t port;                         /* 0: any free one, see http_url() */
    const char *tls_certificate, *tls_key; /* PEM files; both or none */
    const char *metrics_token;             /* bearer token of /metrics; required off loopback */
    const char *store;                     /* name of the store's kind; NULL: sqlite */
    const char *store_path;
    const char *spool;                /* directory, for the calls in flight; NULL: none */
    const struct sink_options *sinks; /* [n_sinks] for POST /sinks/test; borrowed */
    uint32_t n_sinks;
    struct sink_runner *runner; /* for its counters; NULL: none runs here */
    uint32_t threads;           /* 0: 4 */
    uint32_t connections_max;   /* 0: 256 */
    uint32_t idle_s;            /* 0: 15; a connection without traffic is closed */
    uint32_t request_s;         /* 0: 30; a request that is not complete by then is cut off */
};

/* What can be said before anything is started: address, TLS, sinks. Logs; 0 or -EINVAL. */
int http_check(const struct http_options *options);

/* Logs and returns -EINVAL (options), -EADDRINUSE, -EACCES, or what store_open() says. The store
 * must exist already or be one that this process may create. */
int http_start(const struct http_options *options, struct http **ret);
/* Waits for the requests in progress. */
void http_stop(struct http *h);
const char *http_url(const struct http *h); /* "http://127.0.0.1:8765/" */
