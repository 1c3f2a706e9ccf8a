#include "detect/ngram.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* ---- the trie ------------------------------------------------------------------------------ */

int ngram_init(struct ngram *m, unsigned order, double alphabet, size_t nodes_max)
{
    if (order > NGRAM_ORDER_MAX || !(alphabet >= 1))
        return -EINVAL;
    *m = (struct ngram){
        .order = order, .uniform = 1 / alphabet, .n = 1, .capacity = 64, .slots = 128};
    m->n_max = MIN(nodes_max, (size_t)1 << 30);
    m->nodes = calloc(m->capacity, sizeof(*m->nodes));
    m->index = calloc(m->slots, sizeof(*m->index));
    int err = m->nodes && m->index ? tally_init(&m->roots, nodes_max) : -ENOMEM;
    if (err < 0)
        ngram_done(m);
    return err;
}

void ngram_done(struct ngram *m)
{
    free(m->nodes);
    free(m->index);
    tally_done(&m->roots);
    *m = (struct ngram){0};
}

static inline size_t index_slot(const struct ngram *m, uint32_t parent, uint16_t symbol)
{
    uint64_t h = ((uint64_t)parent << SYMBOL_BITS | symbol) * UINT64_C(0x9e3779b97f4a7c15);
    return (h ^ h >> 32) & (m->slots - 1);
}

/* 0 if there is none. */
static inline uint32_t trie_child(const struct ngram *m, uint32_t parent, uint16_t symbol)
{
    for (size_t i = index_slot(m, parent, symbol);; i = (i + 1) & (m->slots - 1)) {
        uint32_t node = m->index[i];
        if (!node || (m->nodes[node].parent == parent && m->nodes[node].symbol == symbol))
            return node;
    }
}

static void index_put(struct ngram *m, uint32_t node)
{
    size_t i = index_slot(m, m->nodes[node].parent, m->nodes[node].symbol);
    while (m->index[i])
        i = (i + 1) & (m->slots - 1);
    m->index[i] = node;
}

/* Nodes and index double together, so that the index stays at most half full. */
static int trie_grow(struct ngram *m)
{
    struct ngram_node *nodes = realloc(m->nodes, 2 * m->capacity * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    m->nodes = nodes;
    uint32_t *index = calloc(2 * m->slots, sizeof(*index));
    if (!index)
        return -ENOMEM;
    free(m->index);
    m->index = index;
    m->capacity *= 2;
    m->slots *= 2;
    for (size_t i = 1; i < m->n; i++) {
        if (m->nodes[i].parent)
            index_put(m, (uint32_t)i);
    }
    return 0;
}

/* A node under parent; parent 0 makes a root, which only the table of roots finds. */
static int trie_add(struct ngram *m, uint32_t parent, uint16_t symbol, uint32_t *ret)
{
    if (m->n > m->n_max)
        return -ENOSPC;
    if (m->n == m->capacity) {
        int err = trie_grow(m);
        if (err < 0)
            return err;
    }
    uint32_t node = (uint32_t)m->n++;
    m->nodes[node] = (struct ngram_node){.parent = parent, .symbol = symbol};
    if (parent) {
        m->nodes[node].sibling = m->nodes[parent].child;
        m->nodes[parent].child = node;
        index_put(m, node);
    }
    *ret = node;
    return 0;
}

static int trie_root(struct ngram *m, uint64_t program, uint32_t *ret)
{
    uint32_t node = tally_get(&m->roots, program);
    if (!node) {
        int err = trie_add(m, 0, 0, &node);
        if (err < 0)
            return err;
        err = tally_add(&m->roots, program, node);
        if (err < 0) {
            m->n--;
            return err;
        }
    }
    *ret = node;
    return 0;
}

static uint32_t saturate(uint32_t a, uint32_t b)
{
    uint32_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT32_MAX : sum;
}

/* The child, made if need be. A string that is only a context has count 0 and is no successor. */
static int trie_ensure(struct ngram *m, uint32_t parent, uint16_t symbol, uint32_t *ret)
{
    uint32_t node = trie_child(m, parent, symbol);
    if (!node)
        return trie_add(m, parent, symbol, ret);
    *ret = node;
    return 0;
}

/* Counts weight more of symbol after the context parent; *ret is the node of both together. */
static int trie_count(struct ngram *m, uint32_t parent, uint16_t symbol, uint32_t weight,
                      uint32_t *ret)
{
    uint32_t node;
    int err = trie_ensure(m, parent, symbol, &node);
    if (err < 0)
        return err;
    m->nodes[parent].distinct += m->nodes[node].count == 0 && weight > 0;
    m->nodes[node].count = saturate(m->nodes[node].count, weight);
    m->nodes[parent].total = saturate(m->nodes[parent].total, weight);
    *ret = node;
    return 0;
}

/* ---- walking along symbols ------------------------------------------------------------------ */

/* Nodes of the last 0..order symbols; 0 from the first length on that is not there. */
struct walk {
    uint32_t node[NGRAM_ORDER_MAX + 2];
};

/* Learning's step over a symbol that is context or (SYMBOL_BEGIN) stands before the first. */
static int walk_ensure(struct ngram *m, struct walk *w, uint16_t symbol)
{
    int err = 0;
    struct walk next = {.node = {w->node[0]}};
    for (unsigned k = 0; k < m->order && w->node[k] && err == 0; k++)
        err = trie_ensure(m, w->node[k], symbol, &next.node[k + 1]);
    *w = next;
    return err;
}

/* The same without counting or making anything. */
static inline void walk_step(const struct ngram *m, struct walk *w, uint16_t symbol)
{
    for (unsigned k = m->order; k > 0; k--)
        w->node[k] = w->node[k - 1] ? trie_child(m, w->node[k - 1], symbol) : 0;
}

static int walk_count(struct ngram *m, struct walk *w, uint16_t symbol, uint32_t weight)
{
    int err = 0;
    struct walk next = {.node = {w->node[0]}};
    for (unsigned k = 0; k <= m->order && w->node[k] && err == 0; k++)
        err = trie_count(m, w->node[k], symbol, weight, &next.node[k + 1]);
    *w = next;
    return err;
}

static void keep_first(int *first, int err)
{
    *first = *first ? *first : err;
}

int ngram_learn(struct ngram *m, const struct symbols *s, uint32_t weight)
{
    struct walk w = {0};
    int err = trie_root(m, s->program, &w.node[0]);
    if (err < 0)
        return err;
    for (unsigned i = 0; s->begins && i < m->order; i++)
        keep_first(&err, walk_ensure(m, &w, SYMBOL_BEGIN));
    for (size_t i = 0; i < s->n; i++)
        keep_first(&err, i < s->first ? walk_ensure(m, &w, s->symbol[i])
                                      : walk_count(m, &w, s->symbol[i], weight));
    return err;
}

/* One step with the probability of the symbol on the way. The look-ups come first, so that their
 * cache misses overlap instead of waiting for the divisions. */
static inline double walk_probability(const struct ngram *m, struct walk *w, uint16_t symbol,
                                      struct ngram_place *ret)
{
    double p = m->uniform;
    struct walk next = {.node = {w->node[0]}};
    unsigned known = 0;
    while (known <= m->order && w->node[known] && m->nodes[w->node[known]].total > 0) {
        __builtin_prefetch(&m->index[index_slot(m, w->node[known], symbol)]);
        known++;
    }
    for (unsigned k = 0; k < known; k++)
        next.node[k + 1] = trie_child(m, w->node[k], symbol);
    for (unsigned k = 0; k < known; k++) {
        const struct ngram_node *c = &m->nodes[w->node[k]];
        double count = m->nodes[next.node[k + 1]].count; /* node 0, none, has 0 */
        p = (count + c->distinct * p) / ((double)c->total + c->distinct);
    }
    *ret = (struct ngram_place){.context = known ? w->node[known - 1] : 0,
                                .length = (uint8_t)(known ? known - 1 : 0)};
    *w = next;
    return p;
}

void ngram_surprises(const struct ngram *m, const struct symbols *s, struct gate *gate,
                     double *ret_surprise, struct ngram_place *ret_place)
{
    struct ngram_place place;
    struct walk w = {.node = {tally_get(&m->roots, s->program)}};
    for (unsigned i = 0; s->begins && i < m->order; i++)
        walk_step(m, &w, SYMBOL_BEGIN);
    for (size_t i = 0; i < s->n; i++) {
        bool fresh = !gate || gate_push(gate, s, i);
        if (i < s->first || !fresh) {
            walk_step(m, &w, s->symbol[i]);
            if (i >= s->first)
                ret_surprise[i - s->first] = 0;
            continue;
        }
        ret_surprise[i - s->first] = -log(walk_probability(m, &w, s->symbol[i], &place));
        if (ret_place)
            ret_place[i - s->first] = place;
    }
}

/* One step in the model and in the trace's own counts together. N is the sum of both; T is the
 * model's where it knows the context, else the trace's own. */
static int walk_adaptive(const struct ngram *m, struct walk *w, struct ngram *own,
                         struct walk *own_w, uint16_t symbol, uint32_t weight, double *ret)
{
    double p = m->uniform;
    bool seen = true;
    struct walk next = {.node = {w->node[0]}}, own_next = {.node = {own_w->node[0]}};
    for (unsigned k = 0; k <= m->order; k++) {
        const struct ngram_node none = {0};
        const struct ngram_node *c = &m->nodes[w->node[k]]; /* node 0 is all zeros */
        uint32_t child = w->node[k] ? trie_child(m, w->node[k], symbol) : 0;
        uint32_t own_child = 0;
        int err = trie_ensure(own, own_w->node[k], symbol, &own_child);
        if (err < 0)
            return err;
        struct ngram_node *own_c = &own->nodes[own_w->node[k]], *own_s = &own->nodes[own_child];
        double count = (child ? m->nodes[child] : none).count + (double)own_s->count;
        double total = c->total + (double)own_c->total;
        unsigned distinct = c->total ? c->distinct : own_c->distinct;
        seen = seen && total > 0;
        if (seen)
            p = (count + distinct * p) / (total + distinct);
        own_c->distinct += own_s->count == 0;
        own_s->count = saturate(own_s->count, weight);
        own_c->total = saturate(own_c->total, weight);
        next.node[k + 1] = child;
        own_next.node[k + 1] = own_child;
    }
    *w = next;
    *own_w = own_next;
    *ret = -log(p);
    return 0;
}

static void ngram_donep(struct ngram *m)
{
    ngram_done(m);
}

int ngram_surprises_adaptive(const struct ngram *m, const struct symbols *s, uint32_t weight,
                             double *ret_surprise)
{
    CLEANUP(ngram_donep) struct ngram own = {0};
    int err = ngram_init(&own, m->order, 1 / m->uniform, s->n * (m->order + 2) + 64);
    struct walk w = {.node = {tally_get(&m->roots, s->program)}}, own_w = {0};
    if (err == 0)
        err = trie_root(&own, s->program, &own_w.node[0]);
    for (unsigned i = 0; s->begins && i < m->order && err == 0; i++) {
        walk_step(m, &w, SYMBOL_BEGIN);
        err = walk_ensure(&own, &own_w, SYMBOL_BEGIN);
    }
    for (size_t i = 0; i < s->n && err == 0; i++)
        err = walk_adaptive(m, &w, &own, &own_w, s->symbol[i], weight, &ret_surprise[i]);
    return err;
}

int ngram_merge(struct ngram *m, const struct ngram *other)
{
    CLEANUP(freep) uint32_t *to = calloc(other->n, sizeof(*to));
    if (!to)
        return -ENOMEM;
    int first = 0;
    size_t slots = (size_t)1 << (64 - other->roots.shift);
    for (size_t i = 0; i < slots; i++) {
        if (other->roots.keys[i])
            keep_first(&first, trie_root(m, other->roots.keys[i], &to[other->roots.counts[i]]));
    }
    /* Parents were made before their children. What the cap refuses has no children here. */
    for (size_t i = 1; i < other->n; i++) {
        const struct ngram_node *n = &other->nodes[i];
        if (n->parent && to[n->parent])
            keep_first(&first, trie_count(m, to[n->parent], n->symbol, n->count, &to[i]));
    }
    return first;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int child_compare(const void *a, const void *b, void *model)
{
    const struct ngram *m = model;
    return m->nodes[*(const uint32_t *)a].symbol - m->nodes[*(const uint32_t *)b].symbol;
}

/* Number of children, then for each, by symbol: symbol, count, its own children. */
static void save_node(const struct ngram *m, uint32_t parent, struct buf *ret)
{
    size_t n = 0;
    for (uint32_t c = m->nodes[parent].child; c; c = m->nodes[c].sibling)
        n++;
    buf_varint(ret, n);
    CLEANUP(freep) uint32_t *child = malloc((n + 1) * sizeof(*child));
    if (!child) {
        ret->error = ret->error ? ret->error : -ENOMEM;
        return;
    }
    n = 0;
    for (uint32_t c = m->nodes[parent].child; c; c = m->nodes[c].sibling)
        child[n++] = c;
    qsort_r(child, n, sizeof(*child), child_compare, (void *)m);
    for (size_t i = 0; i < n; i++) {
        buf_varint(ret, m->nodes[child[i]].symbol);
        buf_varint(ret, m->nodes[child[i]].count);
        save_node(m, child[i], ret);
    }
}

static int root_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void ngram_save(const struct ngram *m, struct buf *ret)
{
    CLEANUP(freep) uint64_t *programs = malloc((m->roots.n + 1) * sizeof(*programs));
    if (!programs) {
        ret->error = ret->error ? ret->error : -ENOMEM;
        return;
    }
    size_t slots = (size_t)1 << (64 - m->roots.shift), n = 0;
    for (size_t i = 0; i < slots; i++) {
        if (m->roots.keys[i])
            programs[n++] = m->roots.keys[i];
    }
    qsort(programs, n, sizeof(*programs), root_compare);
    buf_u8(ret, (uint8_t)m->order);
    buf_varint(ret, n);
    for (size_t i = 0; i < n; i++) {
        buf_u64(ret, programs[i]);
        save_node(m, tally_get(&m->roots, programs[i]), ret);
    }
}

/* depth: symbols that strings below parent may still have. */
static int load_node(struct ngram *m, uint32_t parent, unsigned depth, struct reader *r)
{
    uint64_t n = reader_varint(r);
    if (r->error || n > (depth ? SYSNO_COUNT : 0))
        return -EBADMSG;
    for (uint64_t i = 0, after = 0; i < n; i++) {
        uint64_t symbol = reader_varint(r), count = reader_varint(r);
        if (r->error || symbol >= SYSNO_COUNT || symbol < after || count > UINT32_MAX)
            return -EBADMSG;
        after = symbol + 1;
        uint32_t node;
        int err = trie_count(m, parent, (uint16_t)symbol, (uint32_t)count, &node);
        if (err == 0)
            err = load_node(m, node, depth - 1, r);
        if (err < 0)
            return err == -ENOSPC ? -EBADMSG : err;
    }
    return 0;
}

int ngram_load(struct ngram *m, struct reader *r)
{
    if (reader_u8(r) != m->order)
        return -EBADMSG;
    uint64_t n = reader_varint(r);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t program = reader_u64(r);
        if (r->error || tally_get(&m->roots, program))
            return -EBADMSG;
        uint32_t root;
        int err = trie_root(m, program, &root);
        if (err == 0)
            err = load_node(m, root, m->order + 1, r);
        if (err < 0)
            return err == -ENOSPC ? -EBADMSG : err;
    }
    return r->error;
}
