/* Which containers the configuration asks for. */
#pragma once

#include "capture/containers.h"

struct selector; /* an owned copy of a struct container_selector */

int selector_new(const struct container_selector *from, struct selector **ret);
void selector_free(struct selector *s);
/* Any list that only metadata can answer? */
bool selector_includes(const struct selector *s);
bool selector_excludes(const struct selector *s, const struct container *c);
/* why (size bytes): in words when it is not wanted, else "". */
bool selector_wants(const struct selector *s, const struct container *c, char *why, unsigned size);
