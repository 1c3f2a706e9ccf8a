/* Words for people: what happened, why it is strange, what would be normal. And the JSON of alerts
 * and profiles as the store, the API and the page have it: names, not numbers. */
#pragma once

#include <jansson.h>

#include "detect/profile.h"
#include "soc/alert.h"
#include "soc/engine.h"

#define EXPLAIN_CHILDREN 4

/* What is known around a piece of evidence. Texts are borrowed. */
struct explain_context {
    const char *program, *parent;           /* parent NULL: not known */
    const char *children[EXPLAIN_CHILDREN]; /* edge: what the parent normally starts */
    uint32_t n_children;
    const char *text; /* argument, NULL: not known */
    uint8_t access, text_kind, zone;
    double learnt_s;
};

/* What is new ("/usr/bin/id", "dash -> id", "ptrace", "openat EACCES") and the sentence that says
 * so; allocated, NULL when out of memory. */
void explain_evidence(const struct evidence *x, const struct explain_context *c, char **ret_text,
                      char **ret_sentence);

/* How much a novelty says to people: the larger, the more. */
int explain_weight(const struct alert_novelty *n);

/* One sentence; allocated. */
char *explain_headline(const struct alert *a);
char *explain_sequence(const struct alert *a, const struct alert_sequence *s);

/* The document of an alert as the engine knows it: without what people added (state "new", verdict
 * null, history []): whoever updates a stored alert keeps those fields. NULL: out of memory. */
json_t *explain_alert(const struct alert *a);

/* The document of a profile. now: wall seconds. */
json_t *explain_profile(const struct engine *e, const struct profile *p, double now);

json_t *explain_container(const struct container *c, uint64_t capture, const char *node);
