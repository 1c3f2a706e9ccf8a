/* 1 - the largest share that a training trace's set of calls has in common with this one's: a help
 * to the ensemble where there is little data. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "detect/trace_detector.h"

#define WORDS (SYSNO_COUNT / 64)
#define SETS_MAX 100000

struct set {
    uint64_t word[WORDS];
};

struct jaccard {
    struct set *sets; /* [n] different ones */
    size_t n, capacity;
};

static int create(void **ret)
{
    *ret = calloc(1, sizeof(struct jaccard));
    return *ret ? 0 : -ENOMEM;
}

static void destroy(void *model)
{
    struct jaccard *m = model;
    free(m->sets);
    free(m);
}

static struct set set_of(const struct symbols *s)
{
    struct set set = {0};
    for (size_t i = 0; i < s->n; i++)
        set.word[s->symbol[i] / 64] |= UINT64_C(1) << s->symbol[i] % 64;
    return set;
}

static int learn(void *model, const struct symbols *s)
{
    struct jaccard *m = model;
    struct set set = set_of(s);
    for (size_t i = 0; i < m->n; i++) {
        if (memcmp(&m->sets[i], &set, sizeof(set)) == 0)
            return 0;
    }
    if (m->n == SETS_MAX)
        return -ENOSPC;
    if (m->n == m->capacity) {
        size_t capacity = m->capacity ? 2 * m->capacity : 64;
        struct set *more = realloc(m->sets, capacity * sizeof(*more));
        if (!more)
            return -ENOMEM;
        m->sets = more;
        m->capacity = capacity;
    }
    m->sets[m->n++] = set;
    return 0;
}

static int score(const void *model, const struct symbols *s, double *ret)
{
    const struct jaccard *m = model;
    struct set set = set_of(s);
    double best = 0;
    for (size_t i = 0; i < m->n; i++) {
        int both = 0, either = 0;
        for (int w = 0; w < WORDS; w++) {
            both += __builtin_popcountll(set.word[w] & m->sets[i].word[w]);
            either += __builtin_popcountll(set.word[w] | m->sets[i].word[w]);
        }
        best = MAX(best, either ? (double)both / either : 1.0);
    }
    *ret = 1 - best;
    return 0;
}

extern const struct trace_detector trace_jaccard;
const struct trace_detector trace_jaccard = {
    .name = "jaccard",
    .column = "jac1",
    .summary = "distance of the set of calls to the nearest training trace's",
    .combined = true,
    .create = create,
    .destroy = destroy,
    .learn = learn,
    .score = score,
};
