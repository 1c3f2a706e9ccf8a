/* What a call costs on disk and on the wire, and how fast the codec is, on real servers' streams.
 *
 * The recordings (--help) are cut into blocks of 250 ms, each workload for itself and all together
 * as one node. They carry no arguments, so the node is measured a second time with one on every
 * call that has a path or an address, drawn at random (skewed) from 300 texts a container: more
 * varied than real programs. Peer: the 8-byte word that the call is in the ring.
 *
 * Usage: bench/wire [--json] [DIRECTORY, default /tmp/data] */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "features/servers.h"
#include "transport/codec.h"

#define WORKLOADS_MAX 16
#define WORD_BYTES 8.0
#define BUSY_CALLS 2500 /* in a tick: 10 K calls/s */
#define KEPT 33         /* windows kept of an anomaly: it and 32 around it */
#define TEXTS 300
#define SECTION_TYPES 16

static bool json;

static void row(const char *what, const char *figure, double value, const char *unit,
                const char *beside, double other)
{
    double ratio = other != 0 ? value / other : 0;
    if (json)
        printf("{\"figure\": \"%s, %s\", \"value\": %.5g, \"unit\": \"%s\", \"peer\": \"%s\", "
               "\"peer_value\": %.5g, \"ratio\": %.4g}\n",
               what, figure, value, unit, beside, other, ratio);
    else
        printf("%-12s %-38s %10.4g %-10s %-22s %8.4g %8.3f\n", what, figure, value, unit, beside,
               other, ratio);
}

struct sums {
    uint64_t calls, windows, blocks, bytes, busy_calls, busy_bytes, section[SECTION_TYPES];
    uint64_t encode_ns, decode_ns;
    uint64_t kept_calls, kept_bytes, single_calls, single_bytes;
};

static bool carries_argument(uint16_t sysno)
{
    const char *name = syscall_name(sysno);
    static const char *const parts[] = {"open", "exec",   "unlink", "rename", "connect", "bind",
                                        "stat", "access", "mkdir",  "chmod",  "readlink"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (strstr(name, parts[i]) && strcmp(name, "fstat") != 0)
            return true;
    }
    return false;
}

static void add_arguments(struct block *b)
{
    static uint64_t state = 1;
    for (uint32_t i = 0; i < b->n_windows; i++) {
        struct window *w = &b->windows[i];
        for (int k = 0; k < w->n_calls; k++) {
            if (!carries_argument(w->sysno[k]))
                continue;
            state = state * UINT64_C(6364136223846793005) + 1;
            double u = (double)(state >> 11) / (double)(UINT64_C(1) << 53);
            uint64_t text = (uint64_t)(TEXTS * u * u * u) + w->container * TEXTS;
            w->argument[k] = (text + 1) * UINT64_C(0x9e3779b97f4a7c15);
            w->flag[k] = CALL_HAS_ARGUMENT;
        }
    }
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)(at[0] | at[1] << 8 | at[2] << 16) | (uint32_t)at[3] << 24;
}

static void count_sections(const struct buf *bytes, struct sums *s)
{
    for (size_t at = CODEC_HEADER; at < bytes->size;) {
        uint32_t type = get32(bytes->data + at + 4) & 0xffff;
        uint32_t size = get32(bytes->data + at + 8) + 16;
        s->section[type % SECTION_TYPES] += size;
        at += size;
    }
}

/* Windows as the store keeps them: some of one container together, and one alone. */
static void count_kept(const struct block *b, struct buf *bytes, struct sums *s)
{
    for (uint32_t i = 0; i + KEPT <= b->n_windows; i += 8 * KEPT) {
        buf_clear(bytes);
        if (codec_encode_windows(b->windows + i, KEPT, bytes) < 0)
            continue;
        for (uint32_t k = 0; k < KEPT; k++)
            s->kept_calls += b->windows[i + k].n_calls;
        s->kept_bytes += bytes->size;
        buf_clear(bytes);
        if (codec_encode_windows(b->windows + i, 1, bytes) < 0)
            continue;
        s->single_calls += b->windows[i].n_calls;
        s->single_bytes += bytes->size;
    }
}

static int measure(const struct block *b, struct buf *bytes, struct sums *s)
{
    if (!b->n_windows)
        return 0;
    buf_clear(bytes);
    uint64_t begin_ns = clock_mono_ns();
    int r = codec_encode(b, bytes);
    uint64_t encoded_ns = clock_mono_ns();
    CLEANUP(block_freep) struct block *back = NULL;
    const char *why;
    if (r == 0)
        r = codec_decode(bytes->data, bytes->size, &back, &why);
    if (r < 0)
        return r;
    uint64_t calls = codec_calls(b);
    s->decode_ns += clock_mono_ns() - encoded_ns;
    s->encode_ns += encoded_ns - begin_ns;
    s->calls += calls;
    s->windows += b->n_windows;
    s->blocks++;
    s->bytes += bytes->size;
    if (calls >= BUSY_CALLS) {
        s->busy_calls += calls;
        s->busy_bytes += bytes->size;
    }
    count_sections(bytes, s);
    count_kept(b, bytes, s);
    return 0;
}

static void report(const char *what, const struct sums *s)
{
    static const char *const names[SECTION_TYPES] = {
        [2] = "ids",     [3] = "windows",   [4] = "numbers and context",
        [5] = "results", [6] = "arguments", [7] = "bins"};
    double calls = s->calls ? (double)s->calls : 1;
    row(what, "spool and pipe", (double)s->bytes / calls, "B/call", "ring word", WORD_BYTES);
    if (s->busy_calls)
        row(what, "same, ticks of >= 10 K calls/s", (double)s->busy_bytes / (double)s->busy_calls,
            "B/call", "ring word", WORD_BYTES);
    row(what, "  number and result alone", (double)(s->section[4] + s->section[5]) / calls,
        "B/call", "ring word", WORD_BYTES);
    uint64_t rest = s->bytes;
    for (int i = 2; i <= 7; i++) {
        char figure[64];
        snprintf(figure, sizeof(figure), "  of it %s", names[i]);
        row(what, figure, (double)s->section[i] / calls, "B/call", "ring word", WORD_BYTES);
        rest -= s->section[i];
    }
    row(what, "  of it all else", (double)rest / calls, "B/call", "ring word", WORD_BYTES);
    if (s->kept_calls)
        row(what, "kept in the store, 33 windows", (double)s->kept_bytes / (double)s->kept_calls,
            "B/call", "ring word", WORD_BYTES);
    if (s->single_calls)
        row(what, "kept in the store, single windows",
            (double)s->single_bytes / (double)s->single_calls, "B/call", "ring word", WORD_BYTES);
    row(what, "calls in a window", calls / (double)s->windows, "calls", "most", WINDOW_CALLS_MAX);
    row(what, "encoding", calls * 1e3 / (double)s->encode_ns, "M calls/s", "", 0);
    row(what, "decoding", calls * 1e3 / (double)s->decode_ns, "M calls/s", "", 0);
}

static int run_workload(const char *directory, const char *name)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(servers_closep) struct servers *s = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return -ENOMEM;
    int r = servers_open(path, &s);
    if (r < 0)
        return r;
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, CODEC_BLOCK_MAX);
    struct sums sums = {0};
    for (struct block *b = NULL; r == 0 && servers_next(s, &b) == 0; block_free(b))
        r = measure(b, &bytes, &sums);
    if (r == 0)
        report(name, &sums);
    return r;
}

static int compare_time(const void *a, const void *b)
{
    const struct window *x = a, *y = b;
    return x->first_ns < y->first_ns ? -1 : x->first_ns > y->first_ns;
}

/* Moves what from has over to b; only what costs bytes on a node's busy ticks. */
static int join(struct block *b, struct block *from, uint32_t workload)
{
    struct window *windows =
        realloc(b->windows, (b->n_windows + from->n_windows + 1) * sizeof(*windows));
    struct bin *bins = realloc(b->bins, (b->n_bins + from->n_bins + 1) * sizeof(*bins));
    if (windows)
        b->windows = windows;
    if (bins)
        b->bins = bins;
    if (!windows || !bins)
        return -ENOMEM;
    for (uint32_t i = 0; i < from->n_windows; i++) {
        struct window *w = &windows[b->n_windows++];
        *w = from->windows[i];
        w->id.capture = 1;
        w->id.position |= (uint64_t)workload << 48;
        w->container += workload * 100;
    }
    for (uint32_t i = 0; i < from->n_bins; i++) {
        bins[b->n_bins] = from->bins[i];
        bins[b->n_bins++].container += workload * 100;
    }
    from->n_bins = 0;
    b->from_ns = from->from_ns;
    b->until_ns = from->until_ns;
    return 0;
}

static int run_node(const char *directory, char **names, uint32_t n, bool arguments)
{
    struct servers *servers[WORKLOADS_MAX] = {0};
    struct block *next[WORKLOADS_MAX] = {0};
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, CODEC_BLOCK_MAX);
    struct sums sums = {0};
    int r = 0;
    for (uint32_t i = 0; i < n && r == 0; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        r = servers_open(path, &servers[i]);
        if (r == 0)
            r = servers_next(servers[i], &next[i]);
    }
    for (bool more = r == 0; more && r == 0;) {
        uint64_t from_ns = UINT64_MAX;
        CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
        for (uint32_t i = 0; i < n; i++)
            from_ns = next[i] ? MIN(from_ns, next[i]->from_ns) : from_ns;
        more = from_ns != UINT64_MAX;
        for (uint32_t i = 0; i < n && more && r == 0; i++) {
            if (!next[i] || next[i]->from_ns != from_ns)
                continue;
            r = join(b, next[i], i);
            block_free(TAKE(next[i]));
            servers_next(servers[i], &next[i]);
        }
        if (b->n_windows)
            qsort(b->windows, b->n_windows, sizeof(*b->windows), compare_time);
        if (arguments)
            add_arguments(b);
        if (r == 0)
            r = measure(b, &bytes, &sums);
    }
    if (r == 0)
        report(arguments ? "node + args" : "node", &sums);
    for (uint32_t i = 0; i < n; i++) {
        if (next[i])
            block_free(next[i]);
        if (servers[i])
            servers_close(servers[i]);
    }
    return r;
}

static int only_recordings(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    const char *directory = "/tmp/data";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] == '-')
            return printf("usage: wire [--json] [DIRECTORY of servers recordings]\n"), 2;
        else
            directory = argv[i];
    }
    struct dirent **entries = NULL;
    int found = scandir(directory, &entries, only_recordings, alphasort);
    char *names[WORKLOADS_MAX];
    uint32_t n = 0;
    for (int i = 0; i < found; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s/time_ns.i64", directory, entries[i]->d_name);
        if (access(path, R_OK) == 0 && n < WORKLOADS_MAX)
            names[n++] = entries[i]->d_name;
    }
    if (!n) {
        log_error("no recordings in %s: unpack servers.tar.zst there", directory);
        return 2;
    }
    if (!json)
        printf("%-12s %-38s %10s %-10s %-22s %8s %8s\n", "stream", "figure", "value", "unit",
               "peer", "value", "ratio");
    int r = 0;
    for (uint32_t i = 0; i < n && r == 0; i++)
        r = run_workload(directory, names[i]);
    for (int arguments = 0; arguments < 2 && r == 0; arguments++)
        r = run_node(directory, names, n, arguments);
    for (int i = 0; i < found; i++)
        free(entries[i]);
    free(entries);
    return r < 0 ? 2 : 0;
}
