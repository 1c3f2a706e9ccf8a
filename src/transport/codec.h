/* Bytes of a block: columnar sections, zstd, CRC32C (docs/FORMAT.md). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "event/block.h"

#define CODEC_BLOCK_MAX (16u << 20)    /* packed bytes of one block */
#define CODEC_UNPACKED_MAX (64u << 20) /* refused before unpacking when larger */

/* Appends the block's bytes. -EFBIG when larger than CODEC_BLOCK_MAX. Deterministic: the same block
 * gives the same bytes. */
int codec_encode(const struct block *b, struct buf *ret);

/* Decodes one whole block. -EBADMSG and *why (static text naming the section) when a check fails;
 * -EPROTONOSUPPORT for a newer major version. Never trusts a count before checking it. */
int codec_decode(const void *data, size_t size, struct block **ret, const char **why);

/* Size of the block that starts at data, read from its first CODEC_HEADER bytes; -EBADMSG when they
 * are not a block header (CRC of the header itself checked). */
#define CODEC_HEADER 128
int codec_size(const void *header, size_t *ret);

/* What the header says: enough to count what a block held that fails its other checks. Same rules.
 */
struct codec_head {
    uint8_t spool[16];
    uint64_t sequence, capture, from_ns, until_ns;
    uint64_t calls; /* in its windows */
    uint64_t seen;  /* in its ledger; before format 1.1: calls */
    uint64_t size, unpacked;
    uint32_t sections;
    uint32_t flags; /* CODEC_SNAPSHOT */
    uint16_t major, minor;
};
#define CODEC_SNAPSHOT 1 /* the block lists all live threads (block.h) */

int codec_header(const void *header, struct codec_head *ret);

/* The header as its copy in the last CODEC_COPY bytes of the block has it; -EBADMSG when those are
 * not a copy, or damaged. */
#define CODEC_COPY (16 + CODEC_HEADER - 8)
int codec_header_copy(const void *end, uint8_t ret[CODEC_HEADER]);

/* Checks header and sections without unpacking them; as codec_decode. */
int codec_verify(const void *data, size_t size, const char **why);
/* What can still be told of a block that codec_decode refused: its header's fields and, if that
 * section is whole, its ledger. -EBADMSG when not even the header is. */
int codec_salvage(const void *data, size_t size, struct block **ret);

/* Calls in the windows of a block. */
uint64_t codec_calls(const struct block *b);

/* Windows alone, for the store's "windows kept" (<= 6 bytes a call) and for datasets: the same
 * columnar encoding without the block around it. */
int codec_encode_windows(const struct window *windows, size_t n, struct buf *ret);
int codec_decode_windows(const void *data, size_t size, struct window **ret, size_t *ret_n);
