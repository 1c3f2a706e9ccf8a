/* Builds one store_batch: owns the keys, the JSON and the arrays that it points to. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "store/store.h"

struct batch {
    struct store_batch store; /* what store_commit() takes */
    uint32_t documents_max, scores_max, windows_max, bins_max;
    struct buf blob; /* of the one document that has one */
    int error;       /* sticky: -ENOMEM */
};

void batch_init(struct batch *b);
void batch_done(struct batch *b);

/* Takes over body (NULL counts as out of memory). key is copied. The document is returned for what
 * is rarer: blob, append; NULL after an error. */
struct store_document *batch_document(struct batch *b, enum store_kind kind, const char *key,
                                      double time, json_t *body, bool merge);
/* Of the document as it was read, with that time. */
void batch_removal(struct batch *b, enum store_kind kind, const char *key, double time);
void batch_score(struct batch *b, const struct store_score *score);
void batch_window(struct batch *b, const struct store_window *window);
void batch_bin(struct batch *b, const struct store_bin *bin);
