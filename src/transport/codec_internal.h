/* What the files of the codec share; nobody else includes this. */
#pragma once

#include "base/buf.h"
#include "event/block.h"
#include "base/dict.h"

/* One description of a row or column serves both directions: with out set the fields are written,
 * with in set they are read. Errors stick to the buffer or the reader. */
struct codec_io {
    struct buf *out;
    struct reader *in;
    struct dict *ids; /* index + 1 stands for an id, 0 for none */
};

uint64_t codec_varint(struct codec_io *io, uint64_t v);
/* zigzag(v - base): small when v is near base on either side; wraps, so any pair works. */
uint64_t codec_delta(struct codec_io *io, uint64_t v, uint64_t base);
uint64_t codec_id(struct codec_io *io, uint64_t id);
uint64_t codec_fixed64(struct codec_io *io, uint64_t v);
void codec_bytes(struct codec_io *io, void *data, size_t size);
void codec_bad(struct codec_io *io); /* the input breaks a rule of the format */
int codec_error(const struct codec_io *io);

/* A field as varint; what does not fit the field's type is an error of the input. */
#define CODEC_FIELD(io, f)                                                                         \
    do {                                                                                           \
        uint64_t v_ = codec_varint(io, (uint64_t)(f));                                             \
        if ((io)->in) {                                                                            \
            (f) = (__typeof__(f))v_;                                                               \
            if ((uint64_t)(f) != v_)                                                               \
                codec_bad(io);                                                                     \
        }                                                                                          \
    } while (0)
#define CODEC_DELTA(io, f, base)                                                                   \
    do {                                                                                           \
        uint64_t v_ = codec_delta(io, f, base);                                                    \
        if ((io)->in)                                                                              \
            (f) = v_;                                                                              \
    } while (0)
#define CODEC_ID(io, f)                                                                            \
    do {                                                                                           \
        uint64_t v_ = codec_id(io, f);                                                             \
        if ((io)->in)                                                                              \
            (f) = v_;                                                                              \
    } while (0)

/* Number of rows, and their memory (zeroed) when reading: refuses counts that the bytes left cannot
 * hold at row_bytes_min each, or above rows_max. */
void *codec_rows(struct codec_io *io, void *rows, uint32_t *n, size_t row_size,
                 size_t row_bytes_min, uint32_t rows_max);
/* The list of ids itself. */
void codec_ids(struct codec_io *io);

/* The parts of the windows' columns, each packed for itself in a block since they differ. */
enum { PART_WINDOWS, PART_CALLS, PART_RETS, PART_ARGUMENTS, PARTS };
#define CODEC_WINDOWS_MAX (1u << 18)

/* -EINVAL for windows outside of what window.h allows, -EFBIG, -ENOMEM. */
int codec_windows_encode(const struct window *windows, size_t n, struct dict *ids,
                         struct buf *const parts[PARTS]);
int codec_windows_decode(struct reader *const parts[PARTS], struct dict *ids, struct window **ret,
                         uint32_t *ret_n);

/* Everything of a block that is neither header nor windows; see the functions for the layout. */
void codec_block_rows(struct codec_io *io, struct block *b);
void codec_bins(struct codec_io *io, struct block *b);
void codec_texts(struct codec_io *io, struct block *b);
void codec_processes(struct codec_io *io, struct block *b);
void codec_containers(struct codec_io *io, struct block *b);
void codec_losses(struct codec_io *io, struct block *b);
void codec_ledger(struct codec_io *io, struct block *b);
void codec_checkpoint(struct codec_io *io, struct block *b);
void codec_threads(struct codec_io *io, struct block *b);
