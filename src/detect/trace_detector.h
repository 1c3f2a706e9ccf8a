/* Detectors of whole traces: what `vigia eval` compares, and what a second look at a process can
 * afford. The sequence detectors count by the same code as on windows. */
#pragma once

#include <stdbool.h>

#include "detect/symbols.h"

struct trace_detector {
    const char *name;    /* for --detector and reports */
    const char *column;  /* for score files: names of the reference scores */
    const char *summary; /* one line */
    bool combined;       /* a part of the combination unless detectors are chosen */

    int (*create)(void **ret);
    void (*destroy)(void *model);
    int (*learn)(void *model, const struct symbols *s); /* a trace of normal time */
    int (*score)(const void *model, const struct symbols *s, double *ret); /* higher is stranger */
};

extern const struct trace_detector *const trace_detector_table[];   /* NULL-terminated */
const struct trace_detector *trace_detector_find(const char *name); /* NULL if there is none */
