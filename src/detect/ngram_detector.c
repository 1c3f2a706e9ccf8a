/* The detector "ngram": gated Witten-Bell surprises of a window's calls (detect/ngram.h). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/detector.h"
#include "detect/ngram.h"

/* An item's key is that of the last six symbols, as stide's: a strange place then counts once per
 * process whatever came before it. */
#define KEY_SYMBOLS 6
#define EXPLAIN_SURPRISE 3.0 /* what comes instead is looked up where p < .05 */

/* The scratch of score(): 80 symbols at most, so a quarter full. The generation makes what earlier
 * windows left in it invisible; the result depends on model and sample alone. */
static _Thread_local struct gate_slot gate_slots[256];
static _Thread_local uint64_t gate_generation;

static void destroy(void *model)
{
    ngram_done(model);
    free(model);
}

DEFINE_CLEANUP(destroy, void *)

static int create(void **ret)
{
    CLEANUP(freep) struct ngram *m = malloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    int err = ngram_init(m, NGRAM_ORDER, NGRAM_ALPHABET, NGRAM_NODES_MAX);
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
    return ngram_learn(model, &w.s, weight);
}

static uint64_t item_key(const struct symbols *s, size_t at)
{
    uint64_t key = hash_mix(UINT64_C(0x6e6772616d), s->program);
    for (size_t i = at >= KEY_SYMBOLS - 1 ? at - (KEY_SYMBOLS - 1) : 0; i <= at; i++)
        key = hash_mix(key, s->symbol[i]);
    return key;
}

/* The commonest successors of the context, commonest first, the lower number first among equals. */
static void explain(const struct ngram *m, uint32_t context, struct evidence *e)
{
    uint32_t best[EXPECTED_MAX];
    unsigned n = 0;
    for (uint32_t c = m->nodes[context].child; c; c = m->nodes[c].sibling) {
        const struct ngram_node *x = &m->nodes[c];
        if (x->count == 0)
            continue;
        unsigned at = n;
        for (; at > 0; at--) {
            const struct ngram_node *y = &m->nodes[best[at - 1]];
            if (y->count > x->count || (y->count == x->count && y->symbol < x->symbol))
                break;
            if (at < EXPECTED_MAX)
                best[at] = best[at - 1];
        }
        if (at < EXPECTED_MAX)
            best[at] = c;
        n += n < EXPECTED_MAX;
    }
    e->n_expected = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        e->expected[i].sysno = m->nodes[best[i]].symbol;
        e->expected[i].share = (float)m->nodes[best[i]].count / (float)m->nodes[context].total;
    }
}

static void score(const void *model, const struct sample *s, struct score *ret)
{
    const struct ngram *m = model;
    ret->value = 0, ret->per = 1, ret->n = 0;
    if (s->kind != SAMPLE_WINDOW)
        return;
    struct window_symbols w;
    double surprise[WINDOW_CALLS_MAX];
    struct ngram_place place[WINDOW_CALLS_MAX];
    struct gate gate = {.slots = gate_slots, .mask = ARRAY_SIZE(gate_slots) - 1};
    window_symbols_init(&w, s->window);
    gate_start(&gate, ++gate_generation);
    ngram_surprises(m, &w.s, &gate, surprise, place);
    double sum = 0;
    for (size_t i = w.s.first; i < w.s.n; i++) {
        double x = surprise[i - w.s.first];
        if (x <= 0)
            continue;
        struct ngram_place from = place[i - w.s.first];
        size_t first = i - MIN(i, (size_t)from.length);
        struct evidence *e = &ret->items[ret->n++];
        *e = (struct evidence){.key = item_key(&w.s, i),
                               .strangeness = x,
                               .program = w.s.program,
                               .kind = EVIDENCE_NGRAM,
                               .first = w.at[first],
                               .last = w.at[i],
                               .sysno = w.s.symbol[i]};
        if (x >= EXPLAIN_SURPRISE && from.context)
            explain(m, from.context, e);
        sum += x;
    }
    ret->per = (double)MAX(w.s.n - w.s.first, SCORE_CALLS_MIN);
    ret->value = sum / ret->per;
}

static void save(const void *model, struct buf *ret)
{
    ngram_save(model, ret);
}

static int load(const void *data, size_t size, void **ret)
{
    CLEANUP(destroyp) void *model = NULL;
    int err = create(&model);
    if (err < 0)
        return err;
    struct reader r;
    reader_init(&r, data, size);
    err = ngram_load(model, &r);
    if (err < 0)
        return err;
    if (reader_left(&r))
        return -EBADMSG;
    *ret = TAKE(model);
    return 0;
}

static int merge(void *model, const void *other)
{
    return ngram_merge(model, other);
}

const struct detector detector_ngram = {
    .name = "ngram",
    .channel = CHANNEL_SEQUENCE,
    .samples = 1 << SAMPLE_WINDOW,
    .score_max = INFINITY,
    .create = create,
    .destroy = destroy,
    .learn = learn,
    .score = score,
    .save = save,
    .load = load,
    .merge = merge,
};
