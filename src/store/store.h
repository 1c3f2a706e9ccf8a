/* The store: one interface, sqlite behind it (opensearch to come), one conformance suite.
 *
 * Two sorts of things: bulk rows (windows kept, bins, scores) and documents (JSON objects with a kind
 * and a key: alerts, profiles, containers, processes, ledger, users, suppressions, audit, state).
 * Writes are idempotent by id; one commit is atomic and carries the acknowledgement. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/block.h"

struct store;

struct store_options {
    const char *path; /* sqlite: file */
    bool read_only;   /* commands that only look */
};

/* Kinds of documents. Key and time are separate columns; body is the JSON object. */
enum store_kind {
    STORE_ALERT,       /* key: alert id; time: first anomaly (wall s) */
    STORE_PROFILE,     /* key: workload; body: state, progress, thresholds, version; blob: model */
    STORE_CONTAINER,   /* key: capture-number, hex */
    STORE_PROCESS,     /* key: capture-tgid-start_ns */
    STORE_TEXT,        /* key: text id, hex; body: {kind, access, text} */
    STORE_LEDGER,      /* key: capture-container; counts so far */
    STORE_BLIND,       /* key: capture-first_ns */
    STORE_SUPPRESSION, /* key: id */
    STORE_USER,        /* key: name */
    STORE_AUDIT,       /* key: serial */
    STORE_STATE,       /* key: name; engine snapshots and small state; blob */
    STORE_DELIVERY,    /* key: sink/alert-id/serial; queue of sinks */
    STORE_KINDS,
};

struct store_document {
    enum store_kind kind;
    const char *key;
    double time;      /* wall seconds; what lists are sorted and aged by */
    json_t *body;     /* borrowed; NULL with removed */
    const void *blob; /* optional bytes beside the body */
    size_t blob_size;
    bool removed;
};

/* Score of one container x second x channel above half its threshold, or the maximum per minute. */
struct store_score {
    uint64_t capture;
    uint32_t container;
    uint8_t channel, phase;
    double time; /* wall s */
    float value, threshold;
    uint32_t model_version;
    const char *detector;
    const char *evidence; /* JSON text of the strongest items, or NULL */
};

struct store_window {
    const struct window *window;
    double time;    /* wall s of the first call */
    uint8_t reason; /* 0 normal sample, 1 near an anomaly, 2 anomalous, 3 everything */
    const char *workload;
};

struct store_bin {
    uint64_t capture;
    const struct bin *bin;
    double time; /* wall s of the second */
};

/* What one block (or a few) leads to; everything in it is committed at once. */
struct store_batch {
    struct store_document *documents;
    struct store_score *scores;
    struct store_window *windows;
    struct store_bin *bins;
    uint32_t n_documents, n_scores, n_windows, n_bins;
    const uint8_t *spool; /* [16] and the sequence acknowledged with this commit; NULL: none */
    uint64_t sequence;
};

/* Filters; NULL, 0 or negative: any. Rows come newest first. */
struct store_query {
    enum store_kind kind;
    const char *key;       /* exact */
    const char *prefix;    /* of the key */
    const char *field, *equals; /* top-level string field of the body */
    double from, until;    /* time */
    uint32_t limit, offset; /* limit 0: 100; at most 10000 */
};

struct store_retention {
    double windows_age_s, bins_second_age_s, bins_minute_age_s, bins_hour_age_s, alerts_age_s,
        scores_age_s;
    uint64_t size_max_bytes;
};

struct store_ops {
    const char *name;
    int (*open)(const struct store_options *options, struct store **ret);
    void (*close)(struct store *s);
    int (*commit)(struct store *s, const struct store_batch *batch);
    /* JSON array of {"key", "time", ...body}. */
    int (*find)(struct store *s, const struct store_query *query, json_t **ret);
    int (*purge)(struct store *s, const struct store_retention *retention, double now,
                 json_t **ret);
    /* Everything else that reads: time series, windows, blobs, acknowledgement; see sqlite.h. */
    int (*read)(struct store *s, const char *what, json_t *arguments, json_t **ret);
};
