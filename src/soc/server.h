/* Inside of the server: what http.c, dispatch.c, api_*.c and metrics.c share. A request is served
 * without any libmicrohttpd in sight: handlers can be called by tests and fuzzers as they are. */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "soc/http.h"
#include "soc/json.h"
#include "soc/ledger_view.h"
#include "soc/limit.h"
#include "soc/schema.h"
#include "soc/session.h"
#include "soc/user.h"
#include "store/store.h"

#define BODY_MAX (64 * 1024)
#define COOKIE_MAX 256

enum allow {
    ALLOW_ANYONE, /* without a session */
    ALLOW_SELF,   /* any session, also one that has to change its password first */
    ALLOW_VIEWER,
    ALLOW_ANALYST,
    ALLOW_ADMIN,
};

struct request;

struct route {
    const char *method;
    const char *path; /* "{id}" at the end stands for one segment; "" for all that no other has */
    enum allow allow;
    int (*handle)(struct request *q); /* fills q->reply, or -errno */
    const struct field *query, *body; /* NULL: none allowed; body NULL: any bytes are ignored */
};

extern const struct route route_table[]; /* NULL-terminated */
#define ROUTES_MAX 48
#define STATUS_CLASSES 6 /* 0 unused, 1xx .. 5xx */

#define ALLOW_SIZE 32 /* "GET, HEAD, POST, DELETE" */

struct reply {
    unsigned status;
    json_t *json;      /* owned; or */
    char *text;        /* malloc; or */
    const void *bytes; /* static */
    size_t size;       /* of text, bytes */
    const char *type;  /* of text, bytes */
    const char *etag;
    char allow[ALLOW_SIZE];  /* 405 */
    unsigned retry_after_s;  /* 0: none */
    bool challenge;          /* 401 of /metrics */
    char cookie[COOKIE_MAX]; /* Set-Cookie; "": none */
};

/* What came over the wire, in words. Strings are borrowed and may be any bytes but NUL. */
struct parameter {
    const char *name, *value;
    size_t size;
};
#define PARAMETERS_MAX 16

struct request {
    struct http *http;
    const char *method, *path, *address;
    const char *origin; /* what of the address is braked: soc/origin.h */
    const char *token, *csrf, *content_type, *authorization, *fetch_site,
        *host; /* NULL: not given */
    struct parameter parameters[PARAMETERS_MAX];
    unsigned n_parameters; /* one more than PARAMETERS_MAX: too many */
    const void *data;      /* body */
    size_t data_size;
    bool too_large;
    double now; /* wall s */

    /* Set by dispatch() before the handler is called. */
    const struct route *route;
    char id[128];         /* {id} */
    json_t *query, *body; /* validated; owned by dispatch() */
    struct user user;
    struct session session;
    struct store *store; /* a reader of this request's own */

    struct reply reply;
};

struct http {
    struct MHD_Daemon *daemon;
    struct guard *guard;
    struct http_options options;
    char url[128];
    uint16_t port;
    bool tls, loopback;
    double started;
    double utc_offset_s;

    struct store *writer;
    struct flight *flight;
    pthread_mutex_t readers_mutex;
    pthread_cond_t readers_given;
    struct store **readers; /* [readers_n] the free ones */
    uint32_t readers_n, readers_max;

    struct sessions *sessions;
    /* Names of users and all other names apart: however many names are tried, none of a user is
     * forgotten for them. */
    struct limit *addresses, *users, *strangers;
    atomic_uint verifying; /* password hashes being computed */
    atomic_uint_fast64_t requests[ROUTES_MAX][STATUS_CLASSES];
    atomic_uint_fast64_t logins_failed, too_large;
};

/* Serves one request: q->reply is filled in every case. */
void dispatch(struct request *q);
/* NULL, and the methods that would do in ret_allow ("": there is nothing). Copies the {id}. */
const struct route *route_find(const char *method, const char *path, char *ret_id, size_t id_size,
                               char ret_allow[static ALLOW_SIZE]);
void reply_done(struct reply *r);

/* Handlers end with one of these. reply_json takes the object over; NULL: -ENOMEM. */
int reply_json(struct request *q, unsigned status, json_t *object);
int reply_error(struct request *q, unsigned status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* All documents of a query as they go out: "key" becomes id_name, "time" goes when drop_time. */
int find_documents(struct request *q, const struct store_query *query, const char *id_name,
                   bool drop_time, json_t **ret, uint64_t *ret_total);
/* store_get(), but NULL without an error for what is not there. */
int get_document(struct request *q, enum store_kind kind, const char *key, json_t **ret);
/* Alerts as lists have them. */
int find_alerts(struct request *q, const struct store_query *query, json_t **ret,
                uint64_t *ret_total);
double query_number(const struct request *q, const char *name, double otherwise);
const char *query_string(const struct request *q, const char *name); /* NULL: not given */

int api_login(struct request *q);
int api_logout(struct request *q);
int api_session(struct request *q);
int api_password(struct request *q);
int api_overview(struct request *q);
int api_alerts(struct request *q);
int api_alert(struct request *q);
int api_alert_change(struct request *q);
int api_suppressions(struct request *q);
int api_suppression_add(struct request *q);
int api_suppression_remove(struct request *q);
int api_workloads(struct request *q);
int api_workload(struct request *q);
int api_workload_series(struct request *q);
int api_containers(struct request *q);
int api_container(struct request *q);
int api_coverage(struct request *q);
int api_ledger(struct request *q);
int api_audit(struct request *q);
int api_sinks_test(struct request *q);
int api_openapi(struct request *q);
int api_metrics(struct request *q);
int api_healthz(struct request *q);
int api_page(struct request *q);

extern const struct field login_body[], password_body[], alerts_query[], alert_body[],
    suppression_body[], workload_query[], series_query[], containers_query[], container_query[],
    audit_query[];
