/* Words for people: what happened, why it is strange, what would be normal. And the JSON of alerts
 * and profiles as the store, the API and the page have it: names, not numbers. */
#pragma once

#include <jansson.h>

#include "detect/profile.h"
#include "soc/alert.h"
#include "soc/engine.h"

/* One sentence; allocated. */
char *explain_headline(const struct alert *a);
char *explain_sequence(const struct alert *a, const struct alert_sequence *s);

/* The document of an alert as the engine knows it: without what people added (state "new", verdict
 * null, history []): whoever updates a stored alert keeps those fields. NULL: out of memory. */
json_t *explain_alert(const struct alert *a);

/* The document of a profile. now: wall seconds. */
json_t *explain_profile(const struct engine *e, const struct profile *p, double now);

json_t *explain_container(const struct container *c, uint64_t capture, const char *node);
