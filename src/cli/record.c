/* vigia record: captures into a recording, without store, detection or web page; also beside a
 * running `vigia up`, since it loads kernel programs of its own. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/capture.h"
#include "capture/containers.h"
#include "cli/chosen.h"
#include "cli/command.h"
#include "cli/selection.h"
#include "cli/table.h"
#include "transport/codec.h"
#include "transport/ledger.h"
#include "transport/recording.h"

#define PATTERNS_MAX 64
#define PROGRESS_EVERY_NS (500 * NS_PER_MS)

struct options {
    struct command_common common;
    const char *file;
    const char *patterns[PATTERNS_MAX + 1]; /* NULL-ended */
    uint32_t n_patterns;
    double seconds; /* 0: until it is told to stop */
    bool host, force;
};

struct record {
    struct options options;
    struct config *config;
    struct containers *containers;
    struct capture *capture;
    struct recording *recording;
    struct chosen chosen;
    struct ledger ledger;
    uint64_t start_ns, shown_ns, blocks, calls, windows;
};

static atomic_bool stopped; /* set in whichever thread the signal finds: OpenBLAS has some */

static void stop(int signal)
{
    (void)signal;
    stopped = true;
}

enum { KEY_HOST = 256, KEY_FORCE };

static const struct argp_option argp_options[] = {
    {"seconds", 's', "N", 0, "Stop after N seconds (default: at Ctrl-C)", 0},
    {"container", 'n', "PATTERN", 0,
     "Only containers whose name matches (shell pattern; may be given again); in place of "
     "containers.names of the configuration",
     0},
    {"host", KEY_HOST, NULL, 0, "The host's own processes too", 0},
    {"force", KEY_FORCE, NULL, 0, "Write over FILE if it exists", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case 's':
        o->seconds = strtod(arg, &end);
        if (*end || end == arg || !(o->seconds > 0) || o->seconds > 1e7)
            argp_error(state, "--seconds: '%s' is not a number of seconds", arg);
        return 0;
    case 'n':
        if (o->n_patterns == PATTERNS_MAX)
            argp_error(state, "--container: at most %d patterns", PATTERNS_MAX);
        o->patterns[o->n_patterns++] = arg;
        return 0;
    case KEY_HOST:
        o->host = true;
        return 0;
    case KEY_FORCE:
        o->force = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->file)
            argp_error(state, "one FILE, not '%s' too", arg);
        o->file = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which FILE to record into? (name it *.vgr)");
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    argp_options,
    parse,
    "FILE",
    "Record the system calls of containers into FILE, about a byte a call, until Ctrl-C."
    "\v"
    "The configuration's selection (containers: names, images, namespaces, labels, exclude) holds "
    "here too. With one, FILE has nothing of other containers, not even their names; new "
    "containers are written when it is known what they are, after 11 seconds at the latest.\n\n"
    "`vigia replay FILE` shows what is in it and can run it through detection.\n"
    "Exit status 1: it ran, but there was no call to record.\n\n"
    "Example: vigia record redis.vgr --container 'redis*' --seconds 60",
    command_common_child,
    NULL,
    NULL};

static int start_containers(struct record *r)
{
    const struct options *o = &r->options;
    struct containers_options containers = {
        .workload_label = r->config->containers.workload_label,
    };
    struct container_selector *s = &containers.selector, own;
    int e = selection_init(r->config, &own);
    *s = own;
    if (o->n_patterns)
        s->names = o->patterns;
    if (e == 0)
        e = containers_new(&containers, &r->containers);
    r->chosen.all =
        e == 0 && !*s->names && !*s->images && !*s->namespaces && !*s->labels && !*s->exclude;
    selection_done(&own);
    return e;
}

static int start(struct record *r)
{
    const struct options *o = &r->options;
    if (!o->force && access(o->file, F_OK) == 0) {
        log_error("%s exists already; --force writes over it", o->file);
        return -EEXIST;
    }
    int e = start_containers(r);
    if (e < 0)
        return e;
    struct capture_options capture = {
        .timing = (enum capture_timing)(r->config->capture.timing - 1),
        .arguments = (enum capture_arguments)(r->config->capture.arguments - 1),
        .host = o->host,
        .ring_bytes = (uint64_t)r->config->capture.ring_kib << 10,
        .pin_directory = "",
        .node = r->config->node,
    };
    e = capture_open(&capture, r->containers, NULL, &r->capture);
    if (e < 0)
        return e;
    return recording_create(o->file, &r->recording);
}

static void show_progress(struct record *r, uint64_t now_ns)
{
    if (!isatty(STDERR_FILENO) || now_ns - r->shown_ns < PROGRESS_EVERY_NS)
        return;
    char time[WORDS_MAX], calls[WORDS_MAX], size[WORDS_MAX];
    r->shown_ns = now_ns;
    fprintf(stderr, "\r\033[K%s, %s calls of %u containers, %s",
            words_duration((double)(now_ns - r->start_ns) / NS_PER_S, time),
            words_count((double)r->calls, calls), containers_count(r->containers),
            words_bytes((double)recording_size_bytes(r->recording), size));
}

static int write_settled(struct record *r, bool end)
{
    int e = 0;
    for (struct block *next; e == 0 && (next = chosen_next(&r->chosen, end));) {
        CLEANUP(block_freep) struct block *b = next;
        e = recording_append(r->recording, b);
        if (e < 0)
            return e;
        r->blocks++;
        r->calls += codec_calls(b);
        r->windows += b->n_windows;
        e = ledger_add(&r->ledger, b);
    }
    return e;
}

static int tick(struct record *r, uint64_t now_ns)
{
    CLEANUP(block_freep) struct block *b = NULL;
    int e = capture_tick(r->capture, now_ns, &b);
    if (e < 0 || !b)
        return e;
    capture_commit(r->capture, b);
    e = chosen_put(&r->chosen, TAKE(b));
    if (e == 0)
        e = write_settled(r, false);
    show_progress(r, now_ns);
    return e;
}

static int record(struct record *r)
{
    r->start_ns = clock_mono_ns();
    uint64_t until_ns = r->options.seconds > 0
                            ? r->start_ns + (uint64_t)(r->options.seconds * NS_PER_S)
                            : UINT64_MAX;
    int e = 0;
    while (e == 0 && !stopped && clock_mono_ns() < until_ns) {
        capture_wait(r->capture);
        e = tick(r, clock_mono_ns());
    }
    uint64_t end_ns = clock_mono_ns();
    if (e == 0)
        e = tick(r, end_ns);
    while (e == 0 && capture_more(r->capture)) /* more than a block holds */
        e = tick(r, end_ns);
    if (e == 0)
        e = write_settled(r, true);
    uint32_t unknown = chosen_unknown(&r->chosen);
    if (e == 0 && unknown && !r->chosen.all)
        log_warn("left out: %u containers of which nothing was known by the end", unknown);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return e;
}

static void report(const struct record *r, double seconds)
{
    struct ledger_count total = ledger_total(&r->ledger);
    uint64_t bytes = recording_size_bytes(r->recording);
    double per_call = r->calls ? (double)bytes / (double)r->calls : 0;
    if (r->options.common.json) {
        json_auto_t *o = json_pack(
            "{s:s, s:f, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:b}", "file", r->options.file,
            "seconds", seconds, "blocks", (json_int_t)r->blocks, "windows", (json_int_t)r->windows,
            "calls", (json_int_t)r->calls, "bytes", (json_int_t)bytes, "bytes_per_call", per_call,
            "seen", (json_int_t)total.seen, "dropped", (json_int_t)ledger_dropped(&total),
            "balanced", ledger_balanced(&total));
        if (!o)
            o = json_pack("{s:s}", "error", "the file's name is not UTF-8");
        json_dumpf(o, stdout, JSON_COMPACT);
        puts("");
        return;
    }
    char time[WORDS_MAX], calls[WORDS_MAX], size[WORDS_MAX], dropped[WORDS_MAX];
    CLEANUP(freep) char *file = table_escape(r->options.file);
    printf("Recorded %s calls in %s into %s: %s, %.2f bytes a call; %s calls dropped.\n",
           words_exact(r->calls, calls), words_duration(seconds, time), file ? file : "",
           words_bytes((double)bytes, size), per_call,
           words_exact(ledger_dropped(&total), dropped));
}

static int run(int argc, char **argv)
{
    struct record r = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &r.options);
    if (config_load(r.options.common.config, r.options.common.data, &r.config) < 0)
        return EXIT_FAILED;
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    ledger_init(&r.ledger);
    int e = start(&r);
    if (e == 0)
        e = record(&r);
    if (e == 0)
        report(&r, (double)(clock_mono_ns() - r.start_ns) / NS_PER_S);
    if (r.capture)
        capture_close(r.capture, false);
    if (r.containers)
        containers_free(r.containers);
    if (r.recording && recording_close(r.recording) < 0)
        e = -EIO;
    chosen_done(&r.chosen);
    ledger_done(&r.ledger);
    config_free(r.config);
    return e < 0 ? EXIT_FAILED : r.calls ? EXIT_OK : EXIT_FOUND;
}

const struct command command_record = {
    .name = "record",
    .group = "data",
    .summary = "Record the calls of containers into a file, about a byte a call",
    .run = run};
