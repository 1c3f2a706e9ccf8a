/* Brakes on guessing passwords: attempts are counted per address and per name before the password
 * is looked at, so that parallel guesses gain nothing. In memory, capped; time is a parameter.
 *
 * A full table forgets the key that is longest unused, but never one that has to wait: then a key
 * that is not in it has to wait as well, until the first of them need not any more. */
#pragma once

#include <stdint.h>

struct limit;

struct limit_rule {
    uint32_t free; /* attempts without a wait */
    double wait_s; /* after the first one more; doubles with each further one */
    double wait_max_s;
    double forget_s; /* so long after the last attempt all is forgotten */
};

int limit_new(uint32_t entries_max, struct limit **ret);
void limit_free(struct limit *l);
/* Counts an attempt under the key (any string) and returns 0, or, when the key has to wait, the
 * seconds it has to wait still; such an attempt does not count. */
double limit_take(struct limit *l, const struct limit_rule *rule, const char *key, double now_s);
/* The attempt was good: the key starts afresh. */
void limit_clear(struct limit *l, const char *key);
/* Time of the key's last counted attempt, 0 when none is remembered. */
double limit_last(struct limit *l, const char *key);
/* Attempts that had to wait, so far. */
uint64_t limit_refused(struct limit *l);
