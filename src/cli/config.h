/* The configuration: one YAML file, the environment (VIGIA_SERVER_PORT for server: port:), flags.
 * The schema (config_schema.c) is the parser (libcyaml), the source of `vigia config schema`, and
 * of the list of allowed keys in error messages. 0 and NULL mean "not given" until the defaults are
 * in. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum choice { CHOICE_UNSET, CHOICE_NO, CHOICE_YES };

struct config_sink {
    char *type;     /* file, syslog, webhook */
    char *name;     /* what it is called in messages; default: its type */
    char *path;     /* file: JSON lines; syslog: unix socket */
    char *address;  /* syslog: host:port */
    char *protocol; /* syslog: udp, tcp, unix */
    char *url;      /* webhook */
    char *secret;   /* webhook: key of the HMAC */
    uint32_t score_min;
};

struct config {
    char *data; /* directory of everything that Vigia writes */
    char *node;
    int log; /* enum log_level + 1 */
    struct {
        int timing;    /* enum capture_timing + 1 */
        int arguments; /* enum capture_arguments + 1 */
        int host;      /* enum choice */
        uint32_t ring_kib;
        char *pins;
    } capture;
    struct {
        char **names, **images, **namespaces, **labels, **exclude;
        uint32_t n_names, n_images, n_namespaces, n_labels, n_exclude;
        char *workload_label;
    } containers;
    struct {
        uint32_t size_max_mib, segment_mib;
        int sync;
    } spool;
    struct {
        uint32_t size_max_mib, windows_days, anomalous_days, bins_second_hours, bins_minute_days,
            bins_hour_days, scores_days, processes_days, alerts_days;
    } retention;
    struct {
        uint32_t ready_active_s, ready_quiet_s, ready_starts, startup_max_s, startup_quiet_s;
    } learning;
    struct {
        double alerts_per_day;
        char **detectors;
        uint32_t n_detectors;
    } detection;
    struct {
        char *address, *tls_certificate, *tls_key, *metrics_token;
        uint32_t port;
    } server;
    struct config_sink *sinks;
    uint32_t n_sinks;
};

#define CONFIG_DEFAULT_PATH "/etc/vigia/vigia.yaml"

/* path NULL: CONFIG_DEFAULT_PATH, where a missing file means defaults only. data overrides the key
 * of that name when not NULL. Every error is logged with file, line and what is allowed: -EINVAL.
 */
int config_load(const char *path, const char *data, struct config **ret);
/* Warns of variables in the environment that begin with VIGIA_ and name no key. They are no errors:
 * Kubernetes makes VIGIA_SERVICE_HOST and its like for a service of that name. */
void config_warn_environment(void);
void config_free(struct config *c);
DEFINE_CLEANUP(config_free, struct config *)

int config_write(const struct config *c, struct buf *ret); /* as YAML */
/* Every key with its type and allowed values, as a JSON schema. */
int config_schema(struct buf *ret);

struct sink_options;
/* The sinks as soc/sink.h has them, at most SINKS_MAX; strings stay the configuration's. */
uint32_t config_sinks(const struct config *c, struct sink_options *ret);

struct http_options;
/* What the configuration says of the server, with those sinks; the rest is zero. */
struct http_options config_http(const struct config *c, const struct sink_options *sinks,
                                uint32_t n_sinks);

/* "DATA/name", allocated. */
char *config_path(const struct config *c, const char *name);
