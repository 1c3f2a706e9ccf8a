/* The audit log: one document for each change that a person made, and each login. */
#pragma once

#include <jansson.h>

#include "store/store.h"

/* The document's body: {"time","who","address","action","target","detail"}; NULL: no memory. Bytes
 * of any sort are made valid. */
json_t *audit_entry(double time, const char *who, const char *address, const char *action,
                    const char *target, const char *detail);
/* Commits the entry together with the change itself (document NULL: only the entry). Takes over
 * entry; NULL is -ENOMEM. */
int audit_commit(struct store *s, const struct store_document *documents, uint32_t n,
                 json_t *entry);
