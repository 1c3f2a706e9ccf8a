/* For detectors whose model is one number that learning raises: SIMPLE_DETECTOR(name, channel,
 * kind) makes detector_<name> out of
 *
 *     double learnt(double model, const struct sample *s);       the number after one more sample
 *     double strangeness(double model, const struct sample *s);  >= 0
 *
 * for samples of one kind. The number begins at 0; two models merge into the larger one. */
#pragma once

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "detect/detector.h"

#define SIMPLE_DETECTOR(NAME, CHANNEL, KIND)                                                       \
    static int create(void **ret)                                                                  \
    {                                                                                              \
        *ret = calloc(1, sizeof(double));                                                          \
        return *ret ? 0 : -ENOMEM;                                                                 \
    }                                                                                              \
                                                                                                   \
    static int learn(void *model, const struct sample *s, uint32_t weight)                         \
    {                                                                                              \
        if (s->kind == (KIND) && weight > 0)                                                       \
            *(double *)model = learnt(*(double *)model, s);                                        \
        return 0;                                                                                  \
    }                                                                                              \
                                                                                                   \
    static void score(const void *model, const struct sample *s, struct score *ret)                \
    {                                                                                              \
        double x = s->kind == (KIND) ? strangeness(*(const double *)model, s) : 0;                 \
        ret->value = x, ret->per = 1, ret->n = x > 0;                                              \
        ret->items[0] =                                                                            \
            (struct evidence){.key = hash_string(#NAME), .strangeness = x, .kind = EVIDENCE_RATE}; \
    }                                                                                              \
                                                                                                   \
    static void save(const void *model, struct buf *ret)                                           \
    {                                                                                              \
        buf_f64(ret, *(const double *)model);                                                      \
    }                                                                                              \
                                                                                                   \
    static int load(const void *data, size_t size, void **ret)                                     \
    {                                                                                              \
        struct reader r;                                                                           \
        reader_init(&r, data, size);                                                               \
        double number = reader_f64(&r);                                                            \
        if (r.error || reader_left(&r) || !isfinite(number))                                       \
            return -EBADMSG;                                                                       \
        int err = create(ret);                                                                     \
        if (err == 0)                                                                              \
            *(double *)*ret = number;                                                              \
        return err;                                                                                \
    }                                                                                              \
                                                                                                   \
    static int merge(void *model, const void *other)                                               \
    {                                                                                              \
        *(double *)model = fmax(*(double *)model, *(const double *)other);                         \
        return 0;                                                                                  \
    }                                                                                              \
                                                                                                   \
    extern const struct detector detector_##NAME;                                                  \
    const struct detector detector_##NAME = {                                                      \
        .name = #NAME,                                                                             \
        .channel = (CHANNEL),                                                                      \
        .samples = 1 << (KIND),                                                                    \
        .score_max = INFINITY,                                                                     \
        .create = create,                                                                          \
        .destroy = free,                                                                           \
        .learn = learn,                                                                            \
        .score = score,                                                                            \
        .save = save,                                                                              \
        .load = load,                                                                              \
        .merge = merge,                                                                            \
    }
