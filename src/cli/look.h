/* What the commands share that only look at the store (containers, profiles, alerts, ledger). */
#pragma once

#include <jansson.h>

#include "cli/command.h"
#include "cli/config.h"
#include "store/store.h"

struct look {
    struct config *config;
    struct store *store;
    double now; /* wall s */
};

/* Configuration and store; logs and returns -errno. write: to change something; what is
 * not there is not made. */
int look_open(const struct command_common *common, bool write, struct look *ret);
void look_close(struct look *l);

/* Members of documents; a missing one is "", 0, false. */
const char *look_text(const json_t *object, const char *name);
double look_number(const json_t *object, const char *name);
bool look_true(const json_t *object, const char *name);

/* One line of JSON, flushed: a script may be waiting for it. */
void look_print(const json_t *object);

/* When what is shown is not from now: says to standard error that vigia does not run, since when.
 */
void look_warn_stale(struct look *l);

#define LOOK_ADDRESS "command line" /* where it comes from, in the audit log */
/* Who does this: "ana" of sudo or the login, for histories and the audit log. */
const char *look_actor(void);
/* Adds to the audit log, in one commit with the documents. */
int look_commit(struct look *l, const struct store_document *documents, uint32_t n,
                const char *action, const char *target, const char *detail);
