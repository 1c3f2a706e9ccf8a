/* The real server on a real store, for test_api.py and test_ui.py: serve STORE [OPTION=VALUE...]
 *
 * Puts what comes on standard input, a line each: documents {"kind","key","time","body"}, bins
 * {"bin":{"capture":hex,"container","time","counts":[[program hex, sysno, calls, errors]]}}, scores
 * {"score":{"capture":hex,"container","time","channel","value","threshold"}}. Then it makes
 * sure of a first user, starts server and sinks, prints one line of JSON about them, and runs until
 * standard input is closed. Each later line is put too (together with its deliveries, if an alert).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "soc/http.h"
#include "soc/json.h"
#include "soc/user.h"

#define COUNTS_MAX 64
#define LINE_LIMIT (256 * 1024)

static struct sink_options sinks[SINKS_MAX];
static uint32_t n_sinks;

/* sink=type,key=value,... */
static int add_sink(char *text)
{
    struct sink_options *o = &sinks[n_sinks++];
    const struct {
        const char *name;
        const char **value;
    } texts[] = {{"name", &o->name},         {"path", &o->path}, {"address", &o->address},
                 {"protocol", &o->protocol}, {"url", &o->url},   {"secret", &o->secret}};
    const struct {
        const char *name;
        double *value;
    } numbers[] = {{"score_min", &o->score_min},
                   {"timeout_s", &o->timeout_s},
                   {"dead_after_s", &o->dead_after_s},
                   {"retry_min_s", &o->retry_min_s},
                   {"retry_max_s", &o->retry_max_s}};
    o->type = strtok(text, ",");
    for (char *key; (key = strtok(NULL, ","));) {
        char *value = strchr(key, '=');
        *value++ = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
            if (strcmp(key, texts[i].name) == 0)
                *texts[i].value = value;
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
            if (strcmp(key, numbers[i].name) == 0)
                *numbers[i].value = strtod(value, NULL);
    }
    return 0;
}

static uint64_t hex(const json_t *value)
{
    return strtoull(json_string_value(value) ?: "0", NULL, 16);
}

static int put_bin(struct store *s, const json_t *entry)
{
    struct bin_count counts[COUNTS_MAX] = {0};
    struct bin bin = {.container =
                          (uint32_t)json_integer_value(json_object_get(entry, "container")),
                      .counts = counts};
    struct store_bin row = {.capture = hex(json_object_get(entry, "capture")),
                            .bin = &bin,
                            .time = json_number_value(json_object_get(entry, "time"))};
    struct store_batch batch = {.bins = &row, .n_bins = 1};
    json_t *count;
    size_t i;
    bin.second = (uint64_t)row.time;
    json_array_foreach (json_object_get(entry, "counts"), i, count) {
        if (i == COUNTS_MAX)
            return -E2BIG;
        counts[i] = (struct bin_count){
            .program = hex(json_array_get(count, 0)),
            .sysno = (uint16_t)json_integer_value(json_array_get(count, 1)),
            .calls = (uint32_t)json_integer_value(json_array_get(count, 2)),
            .errors = (uint32_t)json_integer_value(json_array_get(count, 3)),
        };
        bin.n_counts++;
    }
    return store_commit(s, &batch);
}

static int put_score(struct store *s, const json_t *entry)
{
    struct store_score row = {
        .capture = hex(json_object_get(entry, "capture")),
        .container = (uint32_t)json_integer_value(json_object_get(entry, "container")),
        .channel = (uint8_t)json_integer_value(json_object_get(entry, "channel")),
        .time = json_number_value(json_object_get(entry, "time")),
        .value = (float)json_number_value(json_object_get(entry, "value")),
        .threshold = (float)json_number_value(json_object_get(entry, "threshold")),
        .detector = "novelty",
        .evidence = json_string_value(json_object_get(entry, "evidence")),
    };
    struct store_batch batch = {.scores = &row, .n_scores = 1};
    return store_commit(s, &batch);
}

static int put_line(struct store *s, const char *line)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(line, 0, NULL);
    if (json_object_get(o, "bin"))
        return put_bin(s, json_object_get(o, "bin"));
    if (json_object_get(o, "score"))
        return put_score(s, json_object_get(o, "score"));
    struct store_document documents[SINKS_MAX + 1];
    int n = 0;
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        if (strcmp(store_kind_name(kind), json_get_string(o, "kind", "")) != 0)
            continue;
        documents[n++] = (struct store_document){
            .kind = kind,
            .key = json_get_string(o, "key", NULL),
            .time = json_get_number(o, "time", 0),
            .body = json_object_get(o, "body"),
            .merge = json_is_true(json_object_get(o, "merge")),
        };
    }
    if (n == 1 && documents[0].kind == STORE_ALERT && json_is_true(json_object_get(o, "deliver")))
        n += deliveries_make(sinks, n_sinks, documents[0].key, documents[0].body, -1,
                             (double)clock_wall_ns() / NS_PER_S, documents + 1);
    if (n < 1) {
        fprintf(stderr, "bad line: %s\n", line);
        return -EINVAL;
    }
    struct store_batch batch = {.documents = documents, .n_documents = (uint32_t)n};
    int r = store_commit(s, &batch);
    deliveries_done(documents + 1, (uint32_t)n - 1);
    return r;
}

/* Lines until an empty one, or the end. */
static int put_lines(struct store *s, char *line, bool tell)
{
    while (fgets(line, LINE_LIMIT, stdin) && line[0] != '\n') {
        int r = put_line(s, line);
        if (r < 0)
            return r;
        if (tell) {
            puts("{\"put\":true}");
            fflush(stdout);
        }
    }
    return 0;
}

static void parse(int argc, char **argv, struct http_options *o)
{
    const struct {
        const char *name;
        const char **value;
    } texts[] = {{"address", &o->address},
                 {"certificate", &o->tls_certificate},
                 {"key", &o->tls_key},
                 {"metrics_token", &o->metrics_token},
                 {"spool", &o->spool}};
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        *value++ = '\0';
        for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
            if (strcmp(argv[i], texts[k].name) == 0)
                *texts[k].value = value;
        if (strcmp(argv[i], "port") == 0)
            o->port = (uint16_t)atoi(value);
        if (strcmp(argv[i], "idle_s") == 0)
            o->idle_s = (uint32_t)atoi(value);
        if (strcmp(argv[i], "request_s") == 0)
            o->request_s = (uint32_t)atoi(value);
        if (strcmp(argv[i], "connections_max") == 0)
            o->connections_max = (uint32_t)atoi(value);
        if (strcmp(argv[i], "sink") == 0)
            add_sink(value);
    }
}

int main(int argc, char **argv)
{
    static char line[LINE_LIMIT];
    struct http_options options = {.store_path = argc > 1 ? argv[1] : NULL};
    struct store_options store_options = {.path = options.store_path};
    struct store *s;
    struct http *h;
    char password[USER_RANDOM_SIZE] = "";
    signal(SIGPIPE, SIG_IGN);
    parse(argc, argv, &options);
    options.sinks = sinks;
    options.n_sinks = n_sinks;
    struct sink_runner_options runner = {
        .sinks = sinks, .n_sinks = n_sinks, .store_path = options.store_path, .poll_s = 0.05};
    int r = store_open(NULL, &store_options, &s);
    if (r == 0)
        r = put_lines(s, line, false);
    if (r == 0)
        r = user_create_first(s, password);
    if (r == 0 || r == -EEXIST)
        r = sink_runner_start(&runner, &options.runner);
    if (r == 0)
        r = http_start(&options, &h);
    if (r < 0)
        return 2;
    printf("{\"url\":\"%s\",\"password\":\"%s\"}\n", http_url(h), password);
    fflush(stdout);
    r = put_lines(s, line, true);
    http_stop(h);
    sink_runner_stop(options.runner);
    store_close(s);
    return r < 0 ? 2 : 0;
}
