/* What the store costs: commits, bins, bytes of a kept call; beside plain SQLite doing as little as
 * the same job allows, in the same run and directory.
 *
 * The calls are those of a server loop (accept, read, stat, write, ...) with noise, and arguments
 * on one call in eight out of 300 texts: neither constant nor random, like what is kept of real
 * servers. Usage: bench/store [--json] [--seconds N] [--directory DIR] */
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

#define CONTAINERS 10
#define PAIRS 30   /* (program, syscall) in a bin */
#define WINDOWS 33 /* an anomaly and 32 around it */
#define T0 1764000000.0

static bool json;
static double seconds = 2;
static char directory[256] = "/var/tmp";

static void print_row(const char *figure, double value, const char *unit, const char *beside,
                      double other, double ratio)
{
    if (json)
        printf("{\"figure\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", \"peer\": \"%s\","
               " \"peer_value\": %.4g, \"ratio\": %.4g}\n",
               figure, value, unit, beside, other, ratio);
    else
        printf("%-34s %12.4g %-10s %-34s %10.4g %8.3f\n", figure, value, unit, beside, other,
               ratio);
}

static uint64_t random_state = 88172645463325252u;

static uint32_t pick(uint32_t n) /* xorshift64: the same calls in every run */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % n;
}

static void make_window(uint32_t container, uint64_t *position, uint64_t *now_ns,
                        struct window *ret)
{
    static const uint16_t loop[] = {232, 288, 0, 257, 5, 0, 3, 262, 20, 1, 3, 72};
    unsigned at = pick(12), n = pick(3) ? 64 : 1 + pick(63);
    *ret = (struct window){.id = {7, *position},
                           .first_ns = *now_ns,
                           .last_ns = *now_ns + 250000,
                           .program = 1000 + container % 3,
                           .start_ns = 5000000000 + container,
                           .tgid = 100 + container,
                           .tid = 100 + container + pick(4),
                           .container = container,
                           .n_context = 16,
                           .n_calls = (uint8_t)n};
    for (unsigned i = 0; i < 16; i++)
        ret->context[i] = loop[(at + i) % 12];
    for (unsigned i = 0; i < n; i++) {
        ret->sysno[i] = pick(20) ? loop[(at + i) % 12] : (uint16_t)pick(300);
        ret->ret[i] = (uint16_t)(pick(4) ? pick(3) : pick(12) ? 128 + pick(16) : 256 + 11);
        if (pick(8) == 0) {
            ret->flag[i] = CALL_HAS_ARGUMENT;
            ret->argument[i] = (1 + pick(300)) * UINT64_C(0x9fb21c651e98df25);
        }
    }
    *position += n + 3;
    *now_ns += 300000 + pick(100000);
}

static void make_bin(uint32_t container, struct bin_count *counts, struct bin *ret)
{
    for (unsigned i = 0; i < PAIRS; i++)
        counts[i] = (struct bin_count){.program = 1000 + container % 3,
                                       .sysno = (uint16_t)(i * 9),
                                       .calls = 1 + pick(5000),
                                       .errors = pick(3) ? 0 : pick(20)};
    *ret = (struct bin){.container = container, .n_counts = PAIRS, .counts = counts};
}

/* ---- plain SQLite, in the same mode ---- */

static sqlite3 *plain_open(const char *name, const char *tables)
{
    char path[512];
    sqlite3 *db = NULL;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    ASSERT(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_exec(db,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                 "PRAGMA secure_delete = OFF",
                 NULL, NULL, NULL);
    ASSERT(sqlite3_exec(db, tables, NULL, NULL, NULL) == SQLITE_OK);
    return db;
}

static double plain_commits(void)
{
    sqlite3 *db = plain_open("plain.db", "CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
    uint64_t end = clock_mono_ns() + (uint64_t)(seconds * 1e9), start = clock_mono_ns(), n = 0;
    for (; clock_mono_ns() < end; n++)
        sqlite3_exec(db, "BEGIN; REPLACE INTO t VALUES (1, 2); COMMIT", NULL, NULL, NULL);
    double rate = (double)n / ((double)(clock_mono_ns() - start) / 1e9);
    sqlite3_close(db);
    return rate;
}

/* A row a count, as a schema without thinking would have it. */
static double plain_bins(void)
{
    sqlite3 *db = plain_open("rows.db", "CREATE TABLE b (container, second, program, sysno, calls,"
                                        " errors, PRIMARY KEY (container, second, program, sysno))"
                                        " WITHOUT ROWID");
    sqlite3_stmt *add = NULL;
    ASSERT(sqlite3_prepare_v2(db,
                              "INSERT INTO b VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                              " SET calls = calls + excluded.calls",
                              -1, &add, NULL) == 0);
    uint64_t start = clock_mono_ns(), end = start + (uint64_t)(seconds * 1e9), n = 0;
    struct bin_count counts[PAIRS];
    struct bin bin;
    for (uint64_t block = 0; clock_mono_ns() < end; block++) {
        sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
        for (uint32_t c = 0; c < CONTAINERS; c++, n++) {
            make_bin(c, counts, &bin);
            for (unsigned i = 0; i < PAIRS; i++) {
                sqlite3_bind_int(add, 1, (int)c);
                sqlite3_bind_int64(add, 2, (int64_t)block / 4);
                sqlite3_bind_int64(add, 3, (int64_t)counts[i].program);
                sqlite3_bind_int(add, 4, counts[i].sysno);
                sqlite3_bind_int64(add, 5, counts[i].calls);
                sqlite3_bind_int64(add, 6, counts[i].errors);
                sqlite3_step(add);
                sqlite3_reset(add);
            }
        }
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    double rate = (double)n / ((double)(clock_mono_ns() - start) / 1e9);
    sqlite3_finalize(add);
    sqlite3_close(db);
    return rate;
}

/* ---- the store ---- */

static struct store *open_new(const char *name)
{
    char path[512];
    struct store *s = NULL;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (store_open(NULL, &(struct store_options){.path = path}, &s) < 0)
        exit(2);
    return s;
}

static void must(int r)
{
    if (r < 0)
        exit(2);
}

static void bench_commits(void)
{
    static const uint8_t spool[16] = "bench";
    struct store *s = open_new("commits.db");
    struct bin_count counts[CONTAINERS][PAIRS];
    struct bin bins[CONTAINERS];
    struct store_bin rows[CONTAINERS];
    json_auto_t *body = json_pack("{s:s, s:i}", "state", "running", "calls", 12345);
    struct store_document d = {.kind = STORE_STATE, .key = "live", .time = T0, .body = body};
    uint64_t start = clock_mono_ns(), end = start + (uint64_t)(seconds * 1e9), n = 0;
    for (; clock_mono_ns() < end; n++) {
        for (uint32_t c = 0; c < CONTAINERS; c++) {
            make_bin(c, counts[c], &bins[c]);
            rows[c] = (struct store_bin){7, &bins[c], T0 + (double)(n / 4)};
        }
        struct store_batch b = {&d, NULL, NULL, rows, 1, 0, 0, CONTAINERS, spool, n + 1};
        must(store_commit(s, &b));
    }
    double rate = (double)n / ((double)(clock_mono_ns() - start) / 1e9);
    store_close(s);
    double floor_rate = plain_commits(), rows_rate = plain_bins();
    print_row("commits of a block (10 containers)", rate, "commits/s", "SQLite, one row a commit",
              floor_rate, floor_rate / rate);
    print_row("bins (30 counts each) added", rate * CONTAINERS, "bins/s", "SQLite, a row a count",
              rows_rate, rate * CONTAINERS / rows_rate);
}

static uint64_t json_size(const struct window *w)
{
    char line[256];
    uint64_t n = 0;
    for (unsigned i = 0; i < w->n_calls; i++)
        n += (uint64_t)snprintf(line, sizeof(line),
                                "{\"t\":%llu,\"tid\":%u,\"sys\":%u,\"ret\":%u,\"arg\":\"%llx\"}\n",
                                (unsigned long long)w->first_ns, w->tid, w->sysno[i], w->ret[i],
                                (unsigned long long)w->argument[i]);
    return n;
}

/* Whole file, index and free pages included, by call; n windows a commit. */
static void bench_windows(const char *figure, unsigned n, unsigned commits)
{
    struct store *s = open_new(figure);
    struct store_stats empty, full;
    must(store_get_stats(s, &empty));
    uint64_t position = 1, now_ns = 1000000000000, calls = 0, lines = 0;
    struct window w[WINDOWS];
    struct store_window rows[WINDOWS];
    uint64_t start = clock_mono_ns();
    for (unsigned i = 0; i < commits; i++) {
        for (unsigned k = 0; k < n; k++) {
            make_window(i % CONTAINERS, &position, &now_ns, &w[k]);
            rows[k] = (struct store_window){&w[k], T0 + (double)w[k].first_ns / 1e9,
                                            STORE_ANOMALOUS, "bench"};
            calls += w[k].n_calls;
            lines += json_size(&w[k]);
        }
        struct store_batch b = {.windows = rows, .n_windows = n};
        b.spool = (const uint8_t *)"bench windows...";
        b.sequence = i + 1;
        must(store_commit(s, &b));
    }
    double took = (double)(clock_mono_ns() - start) / 1e9;
    must(store_purge(s, &(struct store_retention){0}, T0, NULL)); /* as every minute */
    must(store_get_stats(s, &full));
    store_close(s);
    double bytes = (double)(full.file_bytes - empty.file_bytes) / (double)calls;
    double plain = (double)lines / (double)calls;
    print_row(figure, bytes, "bytes/call", "JSON lines", plain, bytes / plain);
    if (n == WINDOWS)
        print_row("windows kept", (double)full.windows / took, "windows/s", "100 K calls/s of 48",
                  100e3 / 48, (double)full.windows / took / (100e3 / 48));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = atof(argv[++i]);
        else if (strcmp(argv[i], "--directory") == 0 && i + 1 < argc)
            snprintf(directory, sizeof(directory), "%s", argv[++i]);
        else
            return fprintf(stderr, "usage: store [--json] [--seconds N] [--directory DIR]\n"), 2;
    }
    strncat(directory, "/vigia-bench-XXXXXX", sizeof(directory) - strlen(directory) - 1);
    if (!mkdtemp(directory))
        return perror(directory), 2;
    if (!json)
        printf("%-34s %12s %-10s %-34s %10s %8s\n", "figure", "value", "unit", "beside", "",
               "ratio");
    bench_commits();
    bench_windows("kept call, an anomaly (33 windows)", WINDOWS, 500);
    bench_windows("kept call, a sample (1 window)", 1, 3000);
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
