/* A store in a directory of its own, and rows to put in. */
#pragma once

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/store.h"
#include "test.h"

#define CAPTURE UINT64_C(0xfedcba9876543210) /* above INT64_MAX: ids use all 64 bits */
#define T0 1764000000.0                      /* wall seconds, a full hour */
#define MONO0 UINT64_C(5000000000000)        /* monotonic ns at T0 */

static const uint8_t spool_a[16] = "spool A uuid....", spool_b[16] = "spool B uuid....";

struct place {
    char directory[64], path[96];
};

static inline void place_make(struct place *ret)
{
    snprintf(ret->directory, sizeof(ret->directory), "/tmp/vigia-store-XXXXXX");
    assert_non_null(mkdtemp(ret->directory));
    snprintf(ret->path, sizeof(ret->path), "%s/data/vigia.db", ret->directory);
}

static inline int place_remove_one(const char *path, const struct stat *st, int type,
                                   struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void place_remove(struct place *p)
{
    nftw(p->directory, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A window of n calls that tells itself from others by its position. */
static inline struct window sample_window(uint32_t container, uint64_t position, uint64_t first_ns,
                                          unsigned n)
{
    struct window w = {.id = {CAPTURE, position},
                       .first_ns = first_ns,
                       .last_ns = first_ns + 1000000,
                       .program = 77,
                       .start_ns = MONO0,
                       .tgid = 100 + container,
                       .tid = 100 + container,
                       .container = container,
                       .n_context = 2,
                       .n_calls = (uint8_t)n,
                       .context = {3, 4}};
    for (unsigned i = 0; i < n; i++) {
        w.sysno[i] = (uint16_t)((position + i * i) % 300);
        w.ret[i] = (uint16_t)(i % 5);
    }
    return w;
}

static inline struct store_bin sample_bin(struct bin *bin, struct bin_count *counts,
                                          uint32_t container, double time)
{
    counts[0] = (struct bin_count){.program = UINT64_MAX, .calls = 10, .errors = 1, .sysno = 1};
    counts[1] = (struct bin_count){
        .program = 5, .calls = 90, .latency_ns = 1000, .latency_calls = 2, .sysno = 4095};
    *bin = (struct bin){.container = container, .second = 0, .n_counts = 2, .counts = counts};
    return (struct store_bin){.capture = CAPTURE, .bin = bin, .time = time};
}
