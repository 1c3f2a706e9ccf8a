/* The store: one interface, sqlite behind it (opensearch to come), one conformance suite.
 *
 * Two sorts of things: bulk rows (windows kept, bins, scores) and documents (JSON objects with a
 * kind and a key: alerts, profiles, containers, processes, ledger, users, suppressions, audit,
 * state). One commit is atomic, idempotent and carries the acknowledgement of the spool's block.
 *
 * A handle may be used by several threads (its calls wait for each other); better is a handle each:
 * readers then see the last commit and never wait for the writer, in this process or another. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/block.h"

struct store_ops;

/* What every implementation's handle begins with. */
struct store {
    const struct store_ops *ops;
};

struct store_options {
    const char *path; /* sqlite: file; made with its directory (0700) unless read_only */
    bool read_only;   /* commands that only look: -ENOENT when there is no database yet */
    unsigned busy_ms; /* wait for another writer so long before -EBUSY; 0: 10000 */
};

/* Kinds of documents. Key and time are separate columns; body is the JSON object. The numbers are
 * in the database: add at the end. */
enum store_kind {
    STORE_ALERT,     /* key: alert id; time: first anomaly (wall s) */
    STORE_PROFILE,   /* key: workload; body: state, progress, thresholds, version; blob: model */
    STORE_CONTAINER, /* key: store_container_key(); its "workload" also files its bins and scores */
    STORE_PROCESS,   /* key: capture-tgid-start_ns; "container" (key) and "tgid" are indexed */
    STORE_TEXT,      /* key: text id, hex (store_text_key()); body: {kind, access, text} */
    STORE_LEDGER,    /* key: as the container's; counts so far: store_ledger_body() */
    STORE_BLIND,     /* key: capture-first_ns */
    STORE_SUPPRESSION, /* key: id */
    STORE_USER,        /* key: name */
    STORE_AUDIT,       /* key NULL: the store gives the next serial; never changed, never removed */
    STORE_STATE,       /* key: name; engine snapshots and small state; blob */
    STORE_DELIVERY,    /* key: sink/alert-id/0; queue of sinks */
    STORE_KINDS,
};
const char *store_kind_name(enum store_kind kind); /* "alert", ... */

#define STORE_KEY_MAX 64
/* "<capture, 16 hex>-<number, hex>": key of containers, ledger counts; documents refer to it. */
void store_container_key(uint64_t capture, uint32_t number, char ret[static STORE_KEY_MAX]);
int store_container_parse(const char *key, uint64_t *ret_capture, uint32_t *ret_number);
void store_text_key(uint64_t id, char ret[static STORE_KEY_MAX]); /* 16 hex */
/* The body of a ledger's document, and its counts again (ret->container stays as it is). */
json_t *store_ledger_body(const struct ledger_count *count);
void store_ledger_parse(const json_t *body, struct ledger_count *ret);

struct store_document {
    enum store_kind kind;
    const char *key;
    double time;      /* wall seconds; what lists are sorted and aged by */
    json_t *body;     /* borrowed; NULL with removed */
    const void *blob; /* optional bytes beside the body; NULL leaves those that are there */
    size_t blob_size;
    /* With a time only if the stored document has that one: a newer one, which nobody read, stays.
     */
    bool removed;
    /* Merge: top-level members of body replace those stored, all others stay, so that the engine
     * (which extends an alert) and the SOC (which acknowledges it) do not undo each other; time
     * stays that of the first write. Put without it: body replaces everything. */
    bool merge;
    /* Member of body holding an array that is appended to the stored one, e.g. "history". */
    const char *append;
};

#define STORE_CHANNELS 3 /* novelty, sequence, frequency */

/* Score of one container x second x channel above half its threshold, or the maximum per minute. Of
 * two for the same second, phase and channel the larger stays. */
struct store_score {
    uint64_t capture;
    uint32_t container;
    uint8_t channel, phase;
    double time; /* wall s */
    float value, threshold;
    uint32_t model_version;
    const char *detector;
    const char *evidence; /* a sentence: the strongest piece, or NULL */
};

/* Why a window is kept. Written again with a higher reason it counts as that. */
enum store_reason { STORE_SAMPLE, STORE_NEAR, STORE_ANOMALOUS, STORE_EVERYTHING };

struct store_window {
    const struct window *window; /* idempotent by its id */
    double time;                 /* wall s of the first call */
    uint8_t reason;              /* enum store_reason */
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
    /* [16] and the sequence acknowledged with this commit; NULL: none. If the store has that
     * sequence or a later one already, nothing of the batch is written and the commit succeeds:
     * a block that comes again counts once. */
    const uint8_t *spool;
    uint64_t sequence;
};

/* Filters; NULL, 0 or negative: any. Rows come newest first (of the same time: highest key). */
#define STORE_WHERE_MAX 6
#define STORE_FIND_MAX 10000
struct store_query {
    enum store_kind kind;
    const char *key;            /* exact */
    const char *const *keys;    /* any of them, NULL-ended, at most 1000 */
    const char *prefix;         /* of the key */
    const char *field, *equals; /* string field of the body; "container.key" looks inside */
    struct {
        const char *field, *equals; /* more of them; equals "true", "false" for booleans */
    } where[STORE_WHERE_MAX];
    const char *text;       /* substring of the body, ASCII case ignored */
    double from, until;     /* from <= time < until */
    uint32_t limit, offset; /* limit 0: 100; at most STORE_FIND_MAX */
    bool oldest_first;
    const char *sort; /* number field of the body: the largest first, of the same the newest */
    bool brief;       /* documents without the members that are arrays: what lists of alerts show,
                         without the calls and processes, which are most of an alert */
};

/* ---- typed reading: through the functions below ---- */

enum store_reading {
    STORE_READ_ACKNOWLEDGED,
    STORE_READ_LEDGER,
    STORE_READ_DOCUMENT,
    STORE_READ_COUNTS,
    STORE_READ_SERIES,
    STORE_READ_SHARES,
    STORE_READ_SCORES,
    STORE_READ_WINDOWS,
    STORE_READ_SIZE,
    STORE_READ_STATS,
};

/* Whose rows, and when. Either a container or a workload; neither: all. */
struct store_selection {
    const char *container; /* key */
    const char *workload;
    double from, until; /* wall s, from <= time < until; 0: open */
    double step_s;      /* series; 0: the smallest of 1, 10, 60, 600, 3600, 86400 giving <= 400 */
    uint32_t limit;     /* 0: 1000 */
    uint32_t tgid;      /* windows: of that process; 0: any */
    uint64_t start_ns;
    uint8_t reason_min; /* windows: enum store_reason */
    bool errors_only;   /* shares: sorted by errors, those without left out */
    bool explained;     /* scores: those with evidence */
};

/* A step of a time series; time is its beginning. Older than what retention keeps by the second,
 * steps are a minute or an hour apart whatever step_s says. */
struct store_point {
    double time;
    uint64_t calls, errors, latency_ns, latency_calls;
    float score[STORE_CHANNELS];     /* maximum in the step; NAN: none kept */
    float threshold[STORE_CHANNELS]; /* in force at that score; NAN: none */
};

struct store_share {
    uint64_t program;
    char *program_text; /* NULL: not in the dictionary */
    uint16_t sysno;
    uint64_t calls, errors, latency_ns, latency_calls;
    double share; /* of all calls (errors_only: of all errors) selected */
};

struct store_kept {
    struct window window;
    double time;
    uint8_t reason;
};

struct store_ledger {
    uint64_t capture;
    struct ledger_count count;
};

struct store_count {
    char *value; /* of the field; "" for null or missing */
    uint64_t count;
};

struct store_stats {
    uint64_t file_bytes, free_bytes, wal_bytes; /* file: with the free pages inside */
    uint32_t schema;
    /* The rest only from store_get_stats(). */
    uint64_t documents[STORE_KINDS];
    uint64_t bins_second, bins_minute, bins_hour, scores;
    uint64_t windows, window_calls, window_bytes; /* kept; bytes as encoded, without the index */
    double oldest_bin, oldest_window;             /* wall s; 0: none */
};

/* One answer of ops->read: the array that belongs to the reading, n long. */
struct store_rows {
    enum store_reading reading;
    uint32_t n;
    bool more; /* the limit cut it */
    double step_s;
    uint64_t sequence;
    json_t *body;
    void *blob;
    size_t blob_size;
    struct store_ledger *ledger;
    struct store_count *counts;
    struct store_point *points; /* oldest first */
    struct store_share *shares; /* largest first */
    struct store_score *scores; /* newest first; strings belong to the row */
    struct store_kept *windows; /* in time order */
    struct store_stats stats;
};
void store_rows_done(struct store_rows *r);

struct store_arguments {
    enum store_reading reading;
    const uint8_t *spool;            /* ACKNOWLEDGED, LEDGER: [16] */
    const struct store_query *query; /* DOCUMENT: kind, key; LEDGER: key; COUNTS */
    const char *field;               /* COUNTS */
    struct store_selection selection;
};

/* What is kept how long; 0: for ever. What is rolled up is summed, never dropped. */
struct store_retention {
    double windows_age_s;     /* STORE_SAMPLE and STORE_EVERYTHING */
    double anomalous_age_s;   /* STORE_NEAR and STORE_ANOMALOUS */
    double bins_second_age_s; /* then they become minutes */
    double bins_minute_age_s; /* then hours */
    double bins_hour_age_s;   /* then they go */
    double alerts_age_s;      /* closed alerts; open ones stay */
    double scores_age_s;
    double processes_age_s; /* processes that ended, containers that are gone */
    /* Passed: plain windows go oldest first, then ended processes, then seconds are rolled up,
     * minutes, scores, anomalous windows. Alerts, profiles, ledger, audit never go for size. */
    uint64_t size_max_bytes;
};

/* All log what they fail at, naming the file and what to do, and return
 *   -ENOENT   no such database (read_only), document or spool
 *   -EBUSY    another process held the lock longer than busy_ms; nothing was written, try again
 *   -EBADMSG  damaged, or not a database of ours; the file is left as it is
 *   -EPROTONOSUPPORT  from a newer version (or, read_only, an older one); the file is left as it is
 *   -ENOSPC   disk full; nothing was written, the same batch may be tried again
 *   -EROFS, -EACCES, -EIO, -ENOMEM, -EINVAL
 *
 * What survives: after a commit returned, kill -9 of any process loses nothing of it. A power cut
 * loses nothing of commits without a spool (users, verdicts); of those with one it may take back
 * the last seconds, acknowledgement and rows together, and the spool hands those blocks out again.
 */
struct store_ops {
    const char *name;
    int (*open)(const struct store_options *options, struct store **ret);
    void (*close)(struct store *s);
    int (*commit)(struct store *s, const struct store_batch *batch);
    /* JSON array of {"key", "time", ...body}; ret_total (may be NULL): how many without limit and
     * offset. */
    int (*find)(struct store *s, const struct store_query *query, json_t **ret,
                uint64_t *ret_total);
    int (*read)(struct store *s, const struct store_arguments *arguments, struct store_rows *ret);
    /* Applies retention a bounded step at a time (each well under 100 ms: commits of others go
     * between). JSON object of what went: {"windows", "scores", "bins_rolled", "bins", "documents",
     * "freed_bytes"}. */
    int (*purge)(struct store *s, const struct store_retention *retention, double now,
                 json_t **ret);
};

extern const struct store_ops *const store_table[];      /* NULL-terminated */
const struct store_ops *store_backend(const char *name); /* NULL if there is none */

/* The first of the table unless another is asked for by name (NULL: sqlite). */
int store_open(const char *name, const struct store_options *options, struct store **ret);
void store_close(struct store *s); /* NULL is fine */
int store_commit(struct store *s, const struct store_batch *batch);
int store_find(struct store *s, const struct store_query *query, json_t **ret, uint64_t *ret_total);
/* Page after page, beyond the limit of one reading; at most max (0: all). */
int store_find_all(struct store *s, struct store_query query, size_t max, json_t **ret,
                   uint64_t *ret_total);
int store_purge(struct store *s, const struct store_retention *retention, double now, json_t **ret);

/* One document, or a removal: a batch of one. */
int store_put(struct store *s, const struct store_document *document);

/* Last sequence committed of that spool; 0 when none was. */
int store_acknowledged(struct store *s, const uint8_t spool[static 16], uint64_t *ret);
/* The counts of that container (key NULL: of every one there ever was) and, in ret->sequence, the
 * last block of that spool that they hold (NULL: 0): both of the same moment. */
int store_ledger(struct store *s, const uint8_t *spool, const char *key, struct store_rows *ret);
/* {"key", "time", ...body}; the blob (malloc, NULL when there is none) where asked for. -ENOENT,
 * which is not logged. */
int store_get(struct store *s, enum store_kind kind, const char *key, json_t **ret, void **ret_blob,
              size_t *ret_size);
/* Documents of the query (its limit does not count) by value of a field: alerts by "state". */
int store_counts(struct store *s, const struct store_query *query, const char *field,
                 struct store_rows *ret);
int store_series(struct store *s, const struct store_selection *selection, struct store_rows *ret);
int store_shares(struct store *s, const struct store_selection *selection, struct store_rows *ret);
int store_scores(struct store *s, const struct store_selection *selection, struct store_rows *ret);
int store_windows(struct store *s, const struct store_selection *selection, struct store_rows *ret);
int store_get_size(struct store *s, struct store_stats *ret); /* cheap: for metrics and pages */
/* Counts every row: seconds on a database of gigabytes. */
int store_get_stats(struct store *s, struct store_stats *ret);
