#include "detect/detector.h"

#include <string.h>

extern const struct detector detector_novelty;
extern const struct detector detector_stide;
extern const struct detector detector_ngram;
extern const struct detector detector_mahalanobis;
extern const struct detector detector_rate;

const struct detector *const detector_table[] = {
    &detector_novelty,     &detector_stide, &detector_ngram,
    &detector_mahalanobis, &detector_rate,  NULL,
};

const struct detector *detector_find(const char *name)
{
    for (const struct detector *const *d = detector_table; *d; d++) {
        if (strcmp((*d)->name, name) == 0)
            return *d;
    }
    return NULL;
}
