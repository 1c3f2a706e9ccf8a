/* The engine's state as the store keeps it: its bytes, compressed. They are mostly what windows
 * were like, and become a tenth; so the commit is short, too. */
#pragma once

#include "base/buf.h"
#include "soc/engine.h"

/* -EFBIG, -ENOMEM. */
int snapshot_pack(const struct engine *e, struct buf *ret);
/* -EBADMSG on malformed bytes. */
int snapshot_unpack(const void *data, size_t size, const struct engine_options *options,
                    struct engine **ret);
