#include "cli/config_schema.h"

#include "base/log.h"
#include "capture/capture.h"
#include "cli/config.h"

#define OPTIONAL CYAML_FLAG_OPTIONAL
#define LIST_MAX 256
#define TEXT_LENGTH_MAX 1024

/* Enumerations start at 1: 0 means "not given". */
static const cyaml_strval_t choices[] = {
    {"no", CHOICE_NO}, {"false", CHOICE_NO}, {"yes", CHOICE_YES}, {"true", CHOICE_YES}};
static const cyaml_strval_t log_levels[] = {{"error", LOG_LEVEL_ERROR + 1},
                                            {"warn", LOG_LEVEL_WARN + 1},
                                            {"info", LOG_LEVEL_INFO + 1},
                                            {"debug", LOG_LEVEL_DEBUG + 1}};
static const cyaml_strval_t timings[] = {{"coarse", TIMING_COARSE + 1},
                                         {"stamp", TIMING_STAMP + 1},
                                         {"latency", TIMING_LATENCY + 1},
                                         {"sampled", TIMING_SAMPLED + 1}};
static const cyaml_strval_t arguments[] = {{"none", ARGUMENTS_NONE + 1},
                                           {"hash", ARGUMENTS_HASH + 1}};

static const cyaml_schema_value_t text_item = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, TEXT_LENGTH_MAX)};

#define TEXT(key, type, member)                                                                    \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | OPTIONAL, type, member, 0, TEXT_LENGTH_MAX)
#define CHOICE(key, type, member, table)                                                           \
    CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT | OPTIONAL, type, member, table, CYAML_ARRAY_LEN(table))
#define NUMBER(key, type, member) CYAML_FIELD_UINT(key, OPTIONAL, type, member)
#define REAL(key, type, member) CYAML_FIELD_FLOAT(key, OPTIONAL, type, member)
#define LIST(key, type, member)                                                                    \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | OPTIONAL, type, member, n_##member,       \
                               &text_item, 0, LIST_MAX)

typedef typeof(((struct config *)0)->capture) capture_t;
typedef typeof(((struct config *)0)->containers) containers_t;
typedef typeof(((struct config *)0)->spool) spool_t;
typedef typeof(((struct config *)0)->retention) retention_t;
typedef typeof(((struct config *)0)->learning) learning_t;
typedef typeof(((struct config *)0)->detection) detection_t;
typedef typeof(((struct config *)0)->server) server_t;

static const cyaml_schema_field_t capture_fields[] = {
    CHOICE("timing", capture_t, timing, timings),
    CHOICE("arguments", capture_t, arguments, arguments),
    CHOICE("host", capture_t, host, choices),
    NUMBER("ring_kib", capture_t, ring_kib),
    TEXT("pins", capture_t, pins),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t containers_fields[] = {
    LIST("names", containers_t, names),
    LIST("images", containers_t, images),
    LIST("namespaces", containers_t, namespaces),
    LIST("labels", containers_t, labels),
    LIST("exclude", containers_t, exclude),
    TEXT("workload_label", containers_t, workload_label),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t spool_fields[] = {
    NUMBER("size_max_mib", spool_t, size_max_mib),
    NUMBER("segment_mib", spool_t, segment_mib),
    CHOICE("sync", spool_t, sync, choices),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t retention_fields[] = {
    NUMBER("size_max_mib", retention_t, size_max_mib),
    NUMBER("windows_days", retention_t, windows_days),
    NUMBER("anomalous_days", retention_t, anomalous_days),
    NUMBER("bins_second_hours", retention_t, bins_second_hours),
    NUMBER("bins_minute_days", retention_t, bins_minute_days),
    NUMBER("bins_hour_days", retention_t, bins_hour_days),
    NUMBER("scores_days", retention_t, scores_days),
    NUMBER("processes_days", retention_t, processes_days),
    NUMBER("alerts_days", retention_t, alerts_days),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t learning_fields[] = {
    NUMBER("ready_active_s", learning_t, ready_active_s),
    NUMBER("ready_quiet_s", learning_t, ready_quiet_s),
    NUMBER("ready_starts", learning_t, ready_starts),
    NUMBER("startup_max_s", learning_t, startup_max_s),
    NUMBER("startup_quiet_s", learning_t, startup_quiet_s),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t detection_fields[] = {
    REAL("alerts_per_day", detection_t, alerts_per_day),
    LIST("detectors", detection_t, detectors),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t server_fields[] = {
    TEXT("address", server_t, address),
    NUMBER("port", server_t, port),
    TEXT("tls_certificate", server_t, tls_certificate),
    TEXT("tls_key", server_t, tls_key),
    TEXT("metrics_token", server_t, metrics_token),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t sink_fields[] = {
    TEXT("type", struct config_sink, type),
    TEXT("name", struct config_sink, name),
    TEXT("path", struct config_sink, path),
    TEXT("address", struct config_sink, address),
    TEXT("protocol", struct config_sink, protocol),
    TEXT("url", struct config_sink, url),
    TEXT("secret", struct config_sink, secret),
    NUMBER("score_min", struct config_sink, score_min),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t sink_item = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_sink, sink_fields)};

const cyaml_schema_field_t config_fields[] = {
    TEXT("data", struct config, data),
    TEXT("node", struct config, node),
    CHOICE("log", struct config, log, log_levels),
    CYAML_FIELD_MAPPING("capture", OPTIONAL, struct config, capture, capture_fields),
    CYAML_FIELD_MAPPING("containers", OPTIONAL, struct config, containers, containers_fields),
    CYAML_FIELD_MAPPING("spool", OPTIONAL, struct config, spool, spool_fields),
    CYAML_FIELD_MAPPING("retention", OPTIONAL, struct config, retention, retention_fields),
    CYAML_FIELD_MAPPING("learning", OPTIONAL, struct config, learning, learning_fields),
    CYAML_FIELD_MAPPING("detection", OPTIONAL, struct config, detection, detection_fields),
    CYAML_FIELD_MAPPING("server", OPTIONAL, struct config, server, server_fields),
    CYAML_FIELD_SEQUENCE_COUNT("sinks", CYAML_FLAG_POINTER | OPTIONAL, struct config, sinks,
                               n_sinks, &sink_item, 0, 32),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema_top = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields)};

#define DEFAULT_TEXT(member, value) {offsetof(struct config, member), value, 0, true, false}
#define DEFAULT_NUMBER(member, value) {offsetof(struct config, member), #value, value, false, false}
#define DEFAULT_REAL(member, value) {offsetof(struct config, member), #value, value, false, true}

const struct config_default config_defaults[] = {
    DEFAULT_TEXT(data, "/var/lib/vigia"),
    DEFAULT_NUMBER(log, LOG_LEVEL_INFO + 1),
    DEFAULT_NUMBER(capture.timing, TIMING_SAMPLED + 1),
    DEFAULT_NUMBER(capture.arguments, ARGUMENTS_HASH + 1),
    DEFAULT_NUMBER(capture.host, CHOICE_NO),
    DEFAULT_NUMBER(capture.ring_kib, 2048),
    DEFAULT_TEXT(capture.pins, "/sys/fs/bpf/vigia"),
    DEFAULT_NUMBER(spool.size_max_mib, 2048),
    DEFAULT_NUMBER(spool.segment_mib, 64),
    DEFAULT_NUMBER(spool.sync, CHOICE_YES),
    DEFAULT_NUMBER(retention.size_max_mib, 4096),
    DEFAULT_NUMBER(retention.windows_days, 7),
    DEFAULT_NUMBER(retention.anomalous_days, 90),
    DEFAULT_NUMBER(retention.bins_second_hours, 6),
    DEFAULT_NUMBER(retention.bins_minute_days, 14),
    DEFAULT_NUMBER(retention.bins_hour_days, 400),
    DEFAULT_NUMBER(retention.scores_days, 30),
    DEFAULT_NUMBER(retention.processes_days, 7),
    DEFAULT_NUMBER(retention.alerts_days, 400),
    DEFAULT_NUMBER(learning.ready_active_s, 900),
    DEFAULT_NUMBER(learning.ready_quiet_s, 600),
    DEFAULT_NUMBER(learning.startup_max_s, 60),
    DEFAULT_NUMBER(learning.startup_quiet_s, 10),
    DEFAULT_NUMBER(learning.ready_starts, 2),
    DEFAULT_REAL(detection.alerts_per_day, 1),
    DEFAULT_TEXT(server.address, "127.0.0.1"),
    DEFAULT_NUMBER(server.port, 8765),
    {0},
};
