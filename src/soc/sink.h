/* Sinks: where alerts go. Deliveries are queued in the store, committed together with the alert,
 * and sent by a thread for each sink until the receiver has taken them: at least once, with an id
 * to deduplicate by. Failures are retried with exponential back-off and jitter (1 s .. 10 min, or
 * what Retry-After asks); what no receiver took within dead_after_s is given up, counted and
 * audited. What waits for a sink that is not configured (any more) is kept, since it may come back,
 * for three days: the first start after that gives it up. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

#define SINK_REASON 200
#define SINK_NAME_MAX 32

/* Strings are borrowed for as long as the sink is used. NULL: not given. */
struct sink_options {
    const char *type;     /* "file", "syslog", "webhook" */
    const char *name;     /* in messages and delivery ids; a-z 0-9 -; default: the type */
    const char *path;     /* file: JSON lines; syslog: unix socket, default /dev/log */
    const char *address;  /* syslog: host:port, [v6]:port */
    const char *protocol; /* syslog: udp (default with address), tcp, unix */
    const char *url;      /* webhook: http:// or https:// */
    const char *secret;   /* webhook: key of the HMAC; NULL: not signed */
    double score_min;     /* alerts are not sent before they reach it */
    double timeout_s;     /* 0: 10 */
    double dead_after_s;  /* 0: 3 days */
    double retry_min_s, retry_max_s; /* 0: 1 and 600 */
};

enum sink_outcome {
    SINK_SENT,
    SINK_RETRY,   /* try again later */
    SINK_REFUSED, /* the receiver will never take it (4xx) */
};

struct sink_result {
    enum sink_outcome outcome;
    double retry_after_s; /* what the receiver asked for; 0: nothing */
    char reason[SINK_REASON];
};

struct sink_delivery {
    const char *id; /* "sink/alert-id/0": the same whenever this alert is sent there */
    double time;    /* wall s of the sending */
    bool test;
    const json_t *alert;
};

struct sink_ops {
    const char *name;
    /* Checks the options; -EINVAL and a reason in words. */
    int (*check)(const struct sink_options *options, char ret_reason[SINK_REASON]);
    int (*open)(const struct sink_options *options, void **ret);
    void (*close)(void *sink);
    /* Blocks up to timeout_s. */
    void (*send)(void *sink, const struct sink_delivery *delivery, struct sink_result *ret);
};

extern const struct sink_ops *const sink_table[];   /* NULL-terminated */
const struct sink_ops *sink_find(const char *type); /* NULL if there is none */
const char *sink_name(const struct sink_options *options);

/* Logs what is wrong (unknown type, missing key, two of one name): -EINVAL. */
int sinks_check(const struct sink_options *sinks, uint32_t n);

/* What receivers of "file" and "webhook" get, one line of JSON without the newline:
 * {"delivery","time","test","alert":{...}}; allocated. NULL: no memory. */
char *sink_body(const struct sink_delivery *delivery);

/* Sends a test alert through each sink, now: [{"name","type","ok","message","took_s"}]. */
int sinks_test(const struct sink_options *sinks, uint32_t n, json_t **ret);

/* ---- the queue ---- */

#define SINKS_MAX 32

/* Documents to be committed together with the alert, one for each sink that wants it now and did
 * not at the highest score told of it before (negative: none): whose score_min it has reached. None
 * for held alerts. Fills at most n documents whose keys and bodies deliveries_done() frees. Returns
 * how many, or -ENOMEM. */
int deliveries_make(const struct sink_options *sinks, uint32_t n, const char *alert_id,
                    const json_t *alert, double told, double now, struct store_document *ret);
void deliveries_done(struct store_document *documents, uint32_t n);

struct sink_runner;

struct sink_runner_options {
    const struct sink_options *sinks; /* [n_sinks] borrowed */
    uint32_t n_sinks;
    const char *store; /* name of the store's kind; NULL: sqlite */
    const char *store_path;
    double poll_s; /* 0: 0.5 */
};

struct sink_stats {
    const char *name, *type;
    uint64_t sent, retried, refused, dead, queued;
};

/* Opens a store handle and a thread for each sink. Without sinks it only looks after what waits for
 * those that there were. */
int sink_runner_start(const struct sink_runner_options *options, struct sink_runner **ret);
/* Finishes what is being sent; what is queued stays for the next start. */
void sink_runner_stop(struct sink_runner *r);
uint32_t sink_runner_stats(struct sink_runner *r, struct sink_stats *ret, uint32_t max);
