/* Labelled traces of research data sets: one recording, one array of call numbers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum trace_set { TRACE_TRAINING, TRACE_NORMAL, TRACE_ATTACK };

#define TRACE_NONE UINT8_MAX

struct trace {
    char *name;       /* as in the data set, with the folder for attacks: "Adduser_1/UAD-...txt" */
    uint16_t *symbol; /* [n] below SYSNO_COUNT - 1 */
    uint32_t n;
    uint64_t content; /* hash of the symbols: copies have the same */
    uint8_t set;      /* enum trace_set */
    uint8_t class;    /* attack: index of class_name; else TRACE_NONE */
};

#define TRACE_CLASSES_MAX 64

struct traces {
    struct trace *trace; /* [n] by set, then by name */
    size_t n, capacity;
    char *class_name[TRACE_CLASSES_MAX]; /* [n_classes] */
    size_t n_classes;
};

void traces_free(struct traces *t);
