/* What people decide about alerts and profiles: into the store, together with the audit log's entry
 * and a word (STORE_STATE) for the pipeline, which applies the word and removes it. */
#pragma once

#include "store/store.h"

/* Keys of the words: followed by the alert's id, by the workload. */
#define DECISION_VERDICT "verdict/"
#define DECISION_RETIRE "retire/"

struct alert_decision {
    const char *state;   /* "new", "acknowledged", "closed"; NULL: stays, only a note is added */
    const char *verdict; /* "false alarm", "expected", "incident": with "closed", else NULL */
    const char *note;    /* any bytes; NULL: none */
    const char *who, *address;
    double now; /* wall s */
};

/* State and verdict of the alert, its history, the word and the audit entry: one commit. */
int alert_decide(struct store *s, const char *id, const struct alert_decision *c);
