/* A growing byte buffer with a maximum given when it is made and a sticky error: append freely,
 * check b->error once at the end. Integers are written little-endian. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t size, capacity, size_max;
    int error; /* 0, -ENOMEM, or -EFBIG when size_max would be passed; then appends do nothing */
};

void buf_init(struct buf *b, size_t size_max);
void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory, forgets the error */
int buf_reserve(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *data, size_t size);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_f64(struct buf *b, double v);
void buf_varint(struct buf *b, uint64_t v);    /* LEB128 */
void buf_string(struct buf *b, const char *s); /* varint length, bytes; NULL as "" */

/* The reader of such bytes: past the end, or on a malformed varint, error is set to -EBADMSG and
 * everything reads as zero from then on. */
struct reader {
    const uint8_t *data;
    size_t size, at;
    int error;
};

void reader_init(struct reader *r, const void *data, size_t size);
size_t reader_left(const struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
double reader_f64(struct reader *r);
uint64_t reader_varint(struct reader *r);
/* Points into the data; NULL and -EBADMSG when fewer than size bytes are left. */
const uint8_t *reader_bytes(struct reader *r, size_t size);
/* Allocates; NULL on error. An embedded NUL is an error. */
char *reader_string(struct reader *r, size_t size_max);
