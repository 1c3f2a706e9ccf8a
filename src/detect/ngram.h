/* Witten-Bell interpolated n-grams (Witten and Bell 1991; on syscalls Srinivasan 2019; figures in
 * docs/DETECTORS.md). With c_k the last k symbols before s, N how often and
 * T before how many different symbols c_k was seen, and p_-1 = 1/V:
 *
 *     p_k(s) = (N(c_k s) + T(c_k) p_{k-1}(s)) / (N(c_k) + T(c_k)),  k = 0..K
 *
 * up to the first context never seen; surprise = -ln p. Counts are additive.
 *
 * The counts are a trie of the strings c_k s of each program. At every symbol the model walks one
 * step from the nodes of the last 0..K symbols: their children are the strings that end here, and
 * the contexts of the next symbol. */
#pragma once

#include "detect/gate.h"
#include "detect/symbols.h"
#include "detect/tally.h"

#define NGRAM_ORDER 8 /* K of the detector "ngram" */
#define NGRAM_ORDER_MAX 15
#define NGRAM_ALPHABET 512         /* V of the detector: syscalls of x86-64 and some room */
#define NGRAM_NODES_MAX (1u << 20) /* 32 MiB */

struct ngram_node {
    uint32_t parent;         /* the string without its last symbol */
    uint32_t count;          /* N(string) as context and successor */
    uint32_t total;          /* N(string) as context: sum of the children's counts, saturating */
    uint32_t child, sibling; /* first child, next child of the same parent; 0 ends */
    uint16_t symbol;
    uint16_t distinct; /* T: number of children */
};

struct ngram {
    unsigned order;
    double uniform;           /* 1/V */
    struct ngram_node *nodes; /* [capacity], the first n in use; node 0 is none */
    uint32_t *index;          /* [slots] open addressing by (parent, symbol); 0 free */
    size_t n, n_max, capacity, slots;
    struct tally roots; /* program -> node of its empty string */
};

int ngram_init(struct ngram *m, unsigned order, double alphabet, size_t nodes_max);
void ngram_done(struct ngram *m);

/* Counts the symbols [first, n) in their contexts. -ENOSPC when some were refused by the cap. */
int ngram_learn(struct ngram *m, const struct symbols *s, uint32_t weight);
int ngram_merge(struct ngram *m, const struct ngram *other);

/* Programs and symbols ascending: the same counts give the same bytes. */
void ngram_save(const struct ngram *m, struct buf *ret);
/* Into an empty model of the same order. -EBADMSG, -ENOMEM. */
int ngram_load(struct ngram *m, struct reader *r);

/* What is known where the surprise was worked out: for explaining it. */
struct ngram_place {
    uint32_t context; /* node of the longest context that was seen, 0: not even the program */
    uint8_t length;   /* its symbols, beginnings included */
};

/* Surprises of the symbols [first, n) to ret_surprise; 0 where the gate (NULL: none) had seen the
 * 12-gram. ret_place [s->n - s->first] may be NULL. The gate must have been started. */
void ngram_surprises(const struct ngram *m, const struct symbols *s, struct gate *gate,
                     double *ret_surprise, struct ngram_place *ret_place);

/* Surprises of all symbols (first is 0) when the trace's own counts, each worth weight, are added
 * to the model's after each symbol. -ENOMEM. */
int ngram_surprises_adaptive(const struct ngram *m, const struct symbols *s, uint32_t weight,
                             double *ret_surprise);
