#include "cli/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void batch_init(struct batch *b)
{
    *b = (struct batch){0};
}

void batch_done(struct batch *b)
{
    for (uint32_t i = 0; i < b->store.n_documents; i++) {
        free((char *)b->store.documents[i].key);
        json_decref(b->store.documents[i].body);
    }
    free(b->store.documents);
    free(b->store.scores);
    free(b->store.windows);
    free(b->store.bins);
    buf_done(&b->blob);
    *b = (struct batch){0};
}

/* Room for one more item of an array; NULL and the sticky error when there is no memory. */
static void *grow(struct batch *b, void **array, uint32_t *n, uint32_t *max, size_t item_size)
{
    if (b->error)
        return NULL;
    if (*n == *max) {
        uint32_t more = *max ? *max * 2 : 32;
        void *p = realloc(*array, more * item_size);
        if (!p) {
            b->error = -ENOMEM;
            return NULL;
        }
        *array = p;
        *max = more;
    }
    return (char *)*array + item_size * (*n)++;
}

#define GROW(b, what)                                                                              \
    grow(b, (void **)&(b)->store.what, &(b)->store.n_##what, &(b)->what##_max,                     \
         sizeof(*(b)->store.what))

static struct store_document *add(struct batch *b, enum store_kind kind, const char *key,
                                  json_t *body)
{
    char *copy = strdup(key);
    if (!copy)
        b->error = -ENOMEM;
    struct store_document *d = GROW(b, documents);
    if (!d) {
        free(copy);
        json_decref(body);
        return NULL;
    }
    *d = (struct store_document){.kind = kind, .key = copy, .body = body};
    return d;
}

struct store_document *batch_document(struct batch *b, enum store_kind kind, const char *key,
                                      double time, json_t *body, bool merge)
{
    if (!body)
        b->error = -ENOMEM;
    struct store_document *d = add(b, kind, key, body);
    if (d) {
        d->time = time;
        d->merge = merge;
    }
    return d;
}

void batch_removal(struct batch *b, enum store_kind kind, const char *key, double time)
{
    struct store_document *d = add(b, kind, key, NULL);
    if (d) {
        d->time = time;
        d->removed = true;
    }
}

void batch_score(struct batch *b, const struct store_score *score)
{
    struct store_score *s = GROW(b, scores);
    if (s)
        *s = *score;
}

void batch_window(struct batch *b, const struct store_window *window)
{
    struct store_window *w = GROW(b, windows);
    if (w)
        *w = *window;
}

void batch_bin(struct batch *b, const struct store_bin *bin)
{
    struct store_bin *s = GROW(b, bins);
    if (s)
        *s = *bin;
}
