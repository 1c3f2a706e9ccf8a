/* What vigia replay does with a recording, one file a way. */
#pragma once

#include <stdbool.h>

#include "event/block.h"
#include "transport/recording.h"

/* Prints every block as JSON lines, names instead of numbers. Texts are known from the block that
 * first has them. */
struct replay_dump;
int replay_dump_new(struct replay_dump **ret);
void replay_dump_free(struct replay_dump *d);
int replay_dump_block(struct replay_dump *d, const struct block *b);

/* A table (or JSON) of what is in it. */
struct replay_summary;
int replay_summary_new(struct replay_summary **ret);
void replay_summary_free(struct replay_summary *s);
int replay_summary_add(struct replay_summary *s, const struct block *b);
int replay_summary_print(const struct replay_summary *s, const struct recording *r, bool json);

DEFINE_CLEANUP(replay_dump_free, struct replay_dump *)
DEFINE_CLEANUP(replay_summary_free, struct replay_summary *)
