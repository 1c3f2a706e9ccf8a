#include "base/buf.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t size_max)
{
    *b = (struct buf){.size_max = size_max};
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    b->error = 0;
}

int buf_reserve(struct buf *b, size_t more)
{
    if (b->error)
        return b->error;
    if (more > b->size_max - b->size)
        return b->error = -EFBIG;
    if (b->size + more <= b->capacity)
        return 0;
    size_t capacity = b->capacity ? b->capacity : 64;
    while (capacity < b->size + more)
        capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (!data)
        return b->error = -ENOMEM;
    b->data = data;
    b->capacity = capacity;
    return 0;
}

void buf_append(struct buf *b, const void *data, size_t size)
{
    if (size == 0 || buf_reserve(b, size) < 0)
        return;
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0 && buf_reserve(b, (size_t)n + 1) == 0) {
        vsnprintf((char *)b->data + b->size, (size_t)n + 1, fmt, again);
        b->size += (size_t)n;
    }
    va_end(again);
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_append(b, &v, sizeof(v));
}

void buf_u16(struct buf *b, uint16_t v)
{
    v = htole16(v);
    buf_append(b, &v, sizeof(v));
}

void buf_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    buf_append(b, &v, sizeof(v));
}

void buf_u64(struct buf *b, uint64_t v)
{
    v = htole64(v);
    buf_append(b, &v, sizeof(v));
}

void buf_f64(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    buf_u64(b, bits);
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t out[10];
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    buf_append(b, out, n);
}

void buf_string(struct buf *b, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    buf_varint(b, n);
    buf_append(b, s, n);
}

void reader_init(struct reader *r, const void *data, size_t size)
{
    *r = (struct reader){.data = data, .size = size};
}

size_t reader_left(const struct reader *r)
{
    return r->size - r->at;
}

const uint8_t *reader_bytes(struct reader *r, size_t size)
{
    if (r->error || size > reader_left(r)) {
        r->error = -EBADMSG;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += size;
    return p;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 1);
    return p ? *p : 0;
}

uint16_t reader_u16(struct reader *r)
{
    uint16_t v = 0;
    const uint8_t *p = reader_bytes(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

uint32_t reader_u32(struct reader *r)
{
    uint32_t v = 0;
    const uint8_t *p = reader_bytes(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

uint64_t reader_u64(struct reader *r)
{
    uint64_t v = 0;
    const uint8_t *p = reader_bytes(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

double reader_f64(struct reader *r)
{
    uint64_t bits = reader_u64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

uint64_t reader_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return r->error ? 0 : v;
    }
    r->error = -EBADMSG;
    return 0;
}

char *reader_string(struct reader *r, size_t size_max)
{
    uint64_t n = reader_varint(r);
    if (n > size_max) {
        r->error = -EBADMSG;
        return NULL;
    }
    const uint8_t *p = reader_bytes(r, n);
    if (!p)
        return NULL;
    if (memchr(p, 0, n)) {
        r->error = -EBADMSG;
        return NULL;
    }
    char *s = strndup((const char *)p, n);
    if (!s)
        r->error = -ENOMEM;
    return s;
}
