#include "detect/stide.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/detector.h"

/* Rolls over the n-grams of an array of symbols. Up to ten symbols of 12 bits fit into 128 bits. */
struct roll {
    unsigned __int128 window, mask;
    uint64_t seed;
};

static struct roll roll_start(unsigned n, uint64_t program)
{
    unsigned __int128 one = 1;
    return (struct roll){.mask = (one << (n * SYMBOL_BITS)) - 1, .seed = hash_mix(n, program)};
}

static inline void roll_push(struct roll *r, uint16_t symbol)
{
    r->window = (r->window << SYMBOL_BITS | symbol) & r->mask;
}

static inline uint64_t roll_key(const struct roll *r)
{
    return hash_mix(hash_mix(r->seed, (uint64_t)r->window), (uint64_t)(r->window >> 64));
}

/* Where the first n-gram ends that is counted; the symbols before it are pushed. */
static size_t roll_skip(struct roll *r, const struct symbols *s, unsigned n)
{
    size_t end = MAX(s->first, (size_t)n - 1);
    size_t begin = end - (n - 1);
    for (size_t i = begin; i < end && i < s->n; i++)
        roll_push(r, s->symbol[i]);
    return end;
}

int stide_init(struct stide *m, unsigned n, size_t keys_max)
{
    if (n < 1 || n > STIDE_N_MAX)
        return -EINVAL;
    m->n = n;
    return tally_init(&m->ngrams, keys_max);
}

void stide_done(struct stide *m)
{
    tally_done(&m->ngrams);
}

int stide_learn(struct stide *m, const struct symbols *s, uint32_t weight)
{
    int first = 0;
    struct roll r = roll_start(m->n, s->program);
    for (size_t i = roll_skip(&r, s, m->n); i < s->n; i++) {
        roll_push(&r, s->symbol[i]);
        int err = tally_add(&m->ngrams, roll_key(&r), weight);
        first = first ? first : err;
    }
    return first;
}

size_t stide_misses(const struct stide *m, const struct symbols *s, uint32_t *ret_at,
                    uint64_t *ret_key)
{
    size_t misses = 0;
    struct roll r = roll_start(m->n, s->program);
    for (size_t i = roll_skip(&r, s, m->n); i < s->n; i++) {
        roll_push(&r, s->symbol[i]);
        uint64_t key = roll_key(&r);
        if (tally_get(&m->ngrams, key))
            continue;
        if (ret_at)
            ret_at[misses] = (uint32_t)i;
        if (ret_key)
            ret_key[misses] = key;
        misses++;
    }
    return misses;
}

static void destroy(void *model)
{
    stide_done(model);
    free(model);
}

DEFINE_CLEANUP(destroy, void *)

static int create(void **ret)
{
    CLEANUP(freep) struct stide *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    int err = stide_init(m, STIDE_N, STIDE_KEYS_MAX);
    if (err < 0)
        return err;
    *ret = TAKE(m);
    return 0;
}

static int learn(void *model, const struct sample *s, uint32_t weight)
{
    if (s->kind != SAMPLE_WINDOW)
        return 0;
    struct window_symbols w;
    window_symbols_init(&w, s->window);
    return stide_learn(model, &w.s, weight);
}

static void score(const void *model, const struct sample *s, struct score *ret)
{
    const struct stide *m = model;
    ret->value = 0, ret->per = 1, ret->n = 0;
    if (s->kind != SAMPLE_WINDOW)
        return;
    struct window_symbols w;
    uint32_t at[WINDOW_CALLS_MAX];
    uint64_t key[WINDOW_CALLS_MAX];
    window_symbols_init(&w, s->window);
    ret->n = (uint32_t)stide_misses(m, &w.s, at, key);
    ret->per = (double)MAX(w.s.n - w.s.first, SCORE_CALLS_MIN);
    ret->value = ret->n / ret->per;
    for (uint32_t i = 0; i < ret->n; i++) {
        ret->items[i] = (struct evidence){
            .key = key[i],
            .strangeness = 1,
            .program = w.s.program,
            .kind = EVIDENCE_NGRAM,
            .first = w.at[at[i] - (m->n - 1)],
            .last = w.at[at[i]],
            .sysno = w.s.symbol[at[i]],
        };
    }
}

static void save(const void *model, struct buf *ret)
{
    const struct stide *m = model;
    buf_u8(ret, (uint8_t)m->n);
    tally_save(&m->ngrams, ret);
}

static int load(const void *data, size_t size, void **ret)
{
    CLEANUP(destroyp) void *model = NULL;
    int err = create(&model);
    if (err < 0)
        return err;
    struct stide *m = model;
    struct reader r;
    reader_init(&r, data, size);
    if (reader_u8(&r) != m->n)
        return -EBADMSG;
    err = tally_load(&m->ngrams, &r);
    if (err < 0)
        return err;
    if (reader_left(&r))
        return -EBADMSG;
    *ret = TAKE(model);
    return 0;
}

static int merge(void *model, const void *other)
{
    return tally_merge(&((struct stide *)model)->ngrams, &((const struct stide *)other)->ngrams);
}

const struct detector detector_stide = {
    .name = "stide",
    .channel = CHANNEL_SEQUENCE,
    .samples = 1 << SAMPLE_WINDOW,
    .score_max = 1,
    .create = create,
    .destroy = destroy,
    .learn = learn,
    .score = score,
    .save = save,
    .load = load,
    .merge = merge,
};
