/* What the demo asks Vigia's store: how far the profiles are, which alerts there are, and whom the
 * marked calls of an alert belong to. It reads what `vigia up` wrote, like any other command. */
#pragma once

#include <stdbool.h>

#include "cli/demo_attack.h"
#include "store/store.h"

/* Is somebody writing to this store: the state document "live" is younger than since (wall s)? */
bool demo_watch_live(struct store *s, double since);

/* Steady and start-up state of the profile of the running container of that name. */
struct demo_profile {
    bool ready;
    double progress;  /* 0..1, of the steady part */
    char reason[256]; /* in words, when it is not ready */
    char workload[256];
};
int demo_watch_profile(struct store *s, const char *container, struct demo_profile *ret);

/* Alerts (not held ones) of the demo's containers that had evidence at or after since (wall s).
 * *ret: array of alert documents, oldest first; json_decref(). */
int demo_watch_alerts(struct store *s, double since, json_t **ret);
/* Of that container only? */
bool demo_watch_is_of(json_t *alert, const char *container);

/* How many calls of the alert are marked as strange, and how many of these processes of the attack
 * made: those seen, and all below them in the alert's own tree. */
void demo_watch_marked(json_t *alert, const struct demo_attack *a, double since,
                       unsigned *ret_marked, unsigned *ret_attack);
