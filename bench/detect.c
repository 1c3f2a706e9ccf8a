/* How fast one core scores: each detector, and the default profile (all of them), on windows and
 * bins of a recording (bench/detect DIR, a directory as features/servers.h reads) or, without one,
 * of a made-up server: forty kinds of requests over sixty calls, each followed by one of four, with
 * random faults. Learns seven tenths, scores the rest again and again.
 * Usage: bench/detect [--json] [DIR] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "detect/detector.h"
#include "features/servers.h"

#define WINDOWS_MAX 30000
#define BINS_MAX 2000
#define AIM 5e6 /* calls a second and core, the default profile */
#define SECONDS 1.0

static struct window windows[WINDOWS_MAX];
static struct bin bins[BINS_MAX];
static size_t n_windows, n_bins;
static bool json;

static void row(const char *figure, double value, const char *unit, double aim)
{
    if (json && aim > 0)
        printf("{\"figure\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"floor\": %g, "
               "\"ratio\": %.4g}\n",
               figure, value, unit, aim, value / aim);
    else if (json)
        printf("{\"figure\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"floor\": null, "
               "\"ratio\": null}\n",
               figure, value, unit);
    else if (aim > 0)
        printf("%-44s %12.4g %-12s %10.3g %7.2f\n", figure, value, unit, aim, value / aim);
    else
        printf("%-44s %12.4g %-12s\n", figure, value, unit);
    fflush(stdout);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- input ----------------------------------------------------------------------------------- */

/* Adds the window's calls to the bin of its second; bins of one container come one after another.
 */
static int bin_add(struct bin *b, const struct window *w)
{
    for (unsigned i = 0; i < w->n_calls; i++) {
        uint32_t at = 0;
        while (at < b->n_counts &&
               (b->counts[at].sysno != w->sysno[i] || b->counts[at].program != w->program))
            at++;
        if (at == b->n_counts) {
            struct bin_count *more = realloc(b->counts, (at + 1) * sizeof(*more));
            if (!more)
                return -ENOMEM;
            b->counts = more;
            b->n_counts++;
            more[at] = (struct bin_count){.program = w->program, .sysno = w->sysno[i]};
        }
        b->counts[at].calls++;
    }
    return 0;
}

/* The recording's windows, evenly taken out if there are too many, and bins of all that were kept.
 */
static int read_recording(const char *directory)
{
    CLEANUP(servers_closep) struct servers *s = NULL;
    int err = servers_open(directory, &s);
    if (err < 0)
        return err;
    uint64_t step = 1 + servers_calls(s) / 16 / WINDOWS_MAX, seen = 0, second = 0;
    for (;;) {
        CLEANUP(block_freep) struct block *b = NULL;
        err = servers_next(s, &b);
        if (err < 0)
            return err == -ENODATA ? 0 : err;
        for (uint32_t i = 0; i < b->n_windows && n_windows < WINDOWS_MAX; i++) {
            if (seen++ % step)
                continue;
            const struct window *w = &b->windows[i];
            windows[n_windows++] = *w;
            if (n_bins == 0 || second != w->first_ns / 1000000000) {
                if (n_bins == BINS_MAX)
                    continue;
                second = w->first_ns / 1000000000;
                bins[n_bins++] = (struct bin){.container = 1, .second = second};
            }
            if (bin_add(&bins[n_bins - 1], w) < 0)
                return -ENOMEM;
        }
    }
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static int make_server(void)
{
    static uint16_t request[40][48];
    uint32_t seed = 1, kind = 0, at = 48;
    uint16_t last[WINDOW_CONTEXT_MAX] = {0};
    for (unsigned k = 0; k < 40; k++) {
        for (unsigned i = 0; i < 48; i++)
            request[k][i] = (uint16_t)(next(&seed) % (4 + next(&seed) % 57));
    }
    for (n_windows = 0; n_windows < WINDOWS_MAX; n_windows++) {
        struct window *w = &windows[n_windows];
        *w = (struct window){.program = 1 + n_windows % 2,
                             .n_calls = WINDOW_CALLS_MAX,
                             .n_context = WINDOW_CONTEXT_MAX};
        memcpy(w->context, last, sizeof(last));
        for (unsigned i = 0; i < WINDOW_CALLS_MAX; i++) {
            if (at == 48)
                kind = (7 * kind + next(&seed) % 4) % 40, at = 0;
            w->sysno[i] = next(&seed) % 300 ? request[kind][at] : (uint16_t)(next(&seed) % 60);
            w->ret[i] = next(&seed) % 40 ? 0 : (uint16_t)(RET_ERROR + 1 + next(&seed) % 12);
            at++;
        }
        memcpy(last, w->sysno + WINDOW_CALLS_MAX - WINDOW_CONTEXT_MAX, sizeof(last));
        if (n_windows % 100 == 0)
            bins[n_bins++] = (struct bin){.container = 1, .second = n_bins};
        if (bin_add(&bins[n_bins - 1], w) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- measuring ------------------------------------------------------------------------------- */

struct task {
    const struct detector *d;
    void *model;
};

static struct sample sample_at(enum sample_kind kind, size_t i)
{
    struct sample s = {.kind = kind};
    if (kind == SAMPLE_WINDOW)
        s.window = &windows[i];
    else
        s.bin = &bins[i];
    return s;
}

static int learn(const struct detector *d, void **ret)
{
    int err = d->create(ret);
    double start = cpu_s();
    for (size_t i = 0; i < n_windows * 7 / 10 && err == 0 && d->samples & 1 << SAMPLE_WINDOW; i++) {
        struct sample s = sample_at(SAMPLE_WINDOW, i);
        err = d->learn(*ret, &s, 1);
    }
    for (size_t i = 0; i < n_bins * 7 / 10 && err == 0 && d->samples & 1 << SAMPLE_BIN; i++) {
        struct sample s = sample_at(SAMPLE_BIN, i);
        err = d->learn(*ret, &s, 1);
    }
    if (err == 0 && d->prepare)
        err = d->prepare(*ret);
    char figure[64];
    snprintf(figure, sizeof(figure), "%s: learning", d->name);
    row(figure, cpu_s() - start, "s", 0);
    return err;
}

static double sink; /* so that no score is optimised away */

/* One pass over what was not learnt. */
static void pass(const struct task *tasks, size_t n)
{
    static struct score score;
    for (size_t i = n_windows * 7 / 10; i < n_windows; i++) {
        struct sample s = sample_at(SAMPLE_WINDOW, i);
        for (size_t t = 0; t < n; t++) {
            if (!(tasks[t].d->samples & 1 << SAMPLE_WINDOW))
                continue;
            tasks[t].d->score(tasks[t].model, &s, &score);
            sink += score.value;
        }
    }
    for (size_t i = n_bins * 7 / 10; i < n_bins; i++) {
        struct sample s = sample_at(SAMPLE_BIN, i);
        for (size_t t = 0; t < n; t++) {
            if (!(tasks[t].d->samples & 1 << SAMPLE_BIN))
                continue;
            tasks[t].d->score(tasks[t].model, &s, &score);
            sink += score.value;
        }
    }
}

static void measure(const char *name, const struct task *tasks, size_t n, double aim)
{
    double calls = 0, start = cpu_s(), took;
    unsigned passes = 0;
    for (size_t i = n_windows * 7 / 10; i < n_windows; i++)
        calls += windows[i].n_calls;
    do {
        pass(tasks, n);
        passes++;
        took = cpu_s() - start;
    } while (took < SECONDS);
    char figure[64];
    snprintf(figure, sizeof(figure), "%s: syscalls scored per core", name);
    row(figure, calls * passes / took, "calls/s", aim);
    snprintf(figure, sizeof(figure), "%s: windows scored per core", name);
    row(figure, (double)(n_windows - n_windows * 7 / 10) * passes / took, "windows/s", 0);
}

int main(int argc, char **argv)
{
    const char *directory = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] == '-' || directory)
            return fprintf(stderr, "usage: bench/detect [--json] [DIR]\n"), 2;
        else
            directory = argv[i];
    }
    int err = directory ? read_recording(directory) : make_server();
    if (err < 0 || n_windows < 10 || n_bins < 10)
        return fprintf(stderr, "bench/detect: no input: %s\n", strerror(-err)), 2;
    if (!json)
        printf("%-44s %12s %-12s %10s %7s\n", "figure", "value", "unit", "aim", "ratio");
    static const char *const profile[] = {"novelty", "stide", "ngram", "mahalanobis"};
    struct task tasks[ARRAY_SIZE(profile)];
    size_t n = ARRAY_SIZE(profile);
    for (size_t t = 0; t < n; t++) {
        tasks[t].d = detector_find(profile[t]);
        if (learn(tasks[t].d, &tasks[t].model) < 0)
            return fprintf(stderr, "bench/detect: %s does not learn\n", profile[t]), 2;
    }
    for (size_t t = 0; t < n; t++)
        measure(tasks[t].d->name, &tasks[t], 1, 0);
    measure("default profile", tasks, n, AIM);
    for (size_t t = 0; t < n; t++)
        tasks[t].d->destroy(tasks[t].model);
    for (size_t i = 0; i < n_bins; i++)
        free(bins[i].counts);
    return sink < 0 ? 2 : 0;
}
