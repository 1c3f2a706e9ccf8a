/* The frame of a block: header, sections, packing, checks. docs/FORMAT.md is the reference. */
#include "transport/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/crc.h"
#include "transport/codec_internal.h"

#define MAGIC "VIGIABLK"
#define MAJOR 1
#define MINOR 1
#define SECTION_HEADER 16
/* The copy of the header is without the magic: a search for the next block must not find it. */
#define MAGIC_BYTES 8
#define COPY_BYTES (CODEC_HEADER - MAGIC_BYTES)
_Static_assert(CODEC_COPY == SECTION_HEADER + COPY_BYTES, "what stands at the end of a block");
#define SECTIONS_MAX 64 /* in one block, unknown ones included */
#define ZSTD_LEVEL 3

/* Types of sections, in the order in which they are written. */
enum section {
    SECTION_BLOCK = 1,
    SECTION_IDS,
    SECTION_WINDOWS,
    SECTION_CALLS,
    SECTION_RETS,
    SECTION_ARGUMENTS,
    SECTION_BINS,
    SECTION_TEXTS,
    SECTION_PROCESSES,
    SECTION_CONTAINERS,
    SECTION_LOSSES,
    SECTION_LEDGER,
    SECTION_CHECKPOINT,
    SECTION_THREADS,
    SECTION_HEADER_COPY, /* always the last */
    SECTIONS,
};

static const char *const section_names[SECTIONS] = {
    [SECTION_BLOCK] = "block",
    [SECTION_IDS] = "ids",
    [SECTION_WINDOWS] = "windows",
    [SECTION_CALLS] = "calls",
    [SECTION_RETS] = "rets",
    [SECTION_ARGUMENTS] = "arguments",
    [SECTION_BINS] = "bins",
    [SECTION_TEXTS] = "texts",
    [SECTION_PROCESSES] = "processes",
    [SECTION_CONTAINERS] = "containers",
    [SECTION_LOSSES] = "losses",
    [SECTION_LEDGER] = "ledger",
    [SECTION_CHECKPOINT] = "checkpoint",
    [SECTION_THREADS] = "threads",
    [SECTION_HEADER_COPY] = "copy of the header",
};

/* Sections of rows; the windows' four stand apart. In this order when reading. */
static const struct {
    enum section section;
    void (*io)(struct codec_io *io, struct block *b);
} row_sections[] = {
    {SECTION_BLOCK, codec_block_rows},      {SECTION_BINS, codec_bins},
    {SECTION_TEXTS, codec_texts},           {SECTION_PROCESSES, codec_processes},
    {SECTION_CONTAINERS, codec_containers}, {SECTION_LOSSES, codec_losses},
    {SECTION_LEDGER, codec_ledger},         {SECTION_CHECKPOINT, codec_checkpoint},
    {SECTION_THREADS, codec_threads},
};

enum packing { PACKING_NONE, PACKING_ZSTD };

/* Appends data packed if that is smaller; returns the packing. */
static enum packing pack(const struct buf *data, struct buf *ret)
{
    size_t bound = ZSTD_compressBound(data->size);
    if (data->size > 0 && buf_reserve(ret, bound) == 0) {
        size_t n = ZSTD_compress(ret->data + ret->size, bound, data->data, data->size, ZSTD_LEVEL);
        if (!ZSTD_isError(n) && n < data->size) {
            ret->size += n;
            return PACKING_ZSTD;
        }
    }
    buf_append(ret, data->data, data->size);
    return PACKING_NONE;
}

/* Unpacks into a buffer of exactly unpacked bytes; the caller has checked that against a cap. */
static int unpack(enum packing packing, const uint8_t *data, size_t size, size_t unpacked,
                  struct buf *ret)
{
    if (packing == PACKING_NONE && size != unpacked)
        return -EBADMSG;
    int r = buf_reserve(ret, unpacked ? unpacked : 1);
    if (r < 0)
        return r;
    if (packing == PACKING_NONE)
        memcpy(ret->data, data, size);
    else if (packing != PACKING_ZSTD ||
             ZSTD_decompress(ret->data, unpacked, data, size) != unpacked)
        return -EBADMSG;
    ret->size = unpacked;
    return 0;
}

static void put32(uint8_t *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof(v));
}

/* The header of the section whose data, packed, are the size bytes behind at. */
static void fill_section(uint8_t *at, enum section section, enum packing packing, size_t size,
                         size_t unpacked)
{
    put32(at + 4, (uint32_t)section | (uint32_t)packing << 16);
    put32(at + 8, (uint32_t)size);
    put32(at + 12, (uint32_t)unpacked);
    put32(at, crc32c(at + 4, SECTION_HEADER - 4 + size));
}

static void write_section(struct buf *out, enum section section, const struct buf *data)
{
    size_t begin = out->size;
    uint8_t header[SECTION_HEADER] = {0};
    buf_append(out, header, sizeof(header));
    enum packing packing = pack(data, out);
    if (!out->error)
        fill_section(out->data + begin, section, packing, out->size - begin - SECTION_HEADER,
                     data->size);
}

struct sections {
    struct buf data[SECTIONS];
};

static void sections_done(struct sections *s)
{
    for (int i = 0; i < SECTIONS; i++)
        buf_done(&s->data[i]);
}

static bool rows_empty(enum section section, const struct block *b)
{
    switch (section) {
    case SECTION_BINS:
        return !b->n_bins;
    case SECTION_TEXTS:
        return !b->n_texts;
    case SECTION_PROCESSES:
        return !b->n_processes;
    case SECTION_CONTAINERS:
        return !b->n_containers;
    case SECTION_LOSSES:
        return !b->n_gaps && !b->n_blinds;
    case SECTION_LEDGER:
        return !b->n_ledger;
    case SECTION_CHECKPOINT:
        return !b->n_checkpoint;
    case SECTION_THREADS:
        return !b->n_threads;
    default:
        return false;
    }
}

static int fill_sections(const struct block *b, struct sections *s, struct dict *ids)
{
    int r = 0;
    for (int i = 0; i < SECTIONS; i++)
        buf_init(&s->data[i], CODEC_UNPACKED_MAX);
    struct buf *const parts[PARTS] = {&s->data[SECTION_WINDOWS], &s->data[SECTION_CALLS],
                                      &s->data[SECTION_RETS], &s->data[SECTION_ARGUMENTS]};
    if (b->n_windows)
        r = codec_windows_encode(b->windows, b->n_windows, ids, parts);
    struct block copy = *b; /* rows are only read, but the row functions serve both directions */
    for (size_t i = 0; i < ARRAY_SIZE(row_sections) && r == 0; i++) {
        struct codec_io io = {.out = &s->data[row_sections[i].section], .ids = ids};
        if (!rows_empty(row_sections[i].section, b))
            row_sections[i].io(&io, &copy);
        r = codec_error(&io);
    }
    if (r == 0 && ids->n) {
        struct codec_io io = {.out = &s->data[SECTION_IDS], .ids = ids};
        codec_ids(&io);
        r = codec_error(&io);
    }
    return r;
}

uint64_t codec_calls(const struct block *b)
{
    uint64_t calls = 0;
    for (uint32_t i = 0; i < b->n_windows; i++)
        calls += b->windows[i].n_calls;
    return calls;
}

static uint64_t seen(const struct block *b)
{
    uint64_t calls = 0;
    for (uint32_t i = 0; i < b->n_ledger; i++)
        calls += b->ledger[i].seen;
    return calls;
}

static void fill_header(const struct block *b, uint8_t *at, size_t size, size_t unpacked,
                        uint32_t sections)
{
    memset(at, 0, CODEC_HEADER);
    memcpy(at, MAGIC, 8);
    put32(at + 8, MAJOR | MINOR << 16);
    put32(at + 12, sections);
    put64(at + 16, size);
    put64(at + 24, unpacked);
    memcpy(at + 32, b->spool, sizeof(b->spool));
    put64(at + 48, b->sequence);
    put64(at + 56, b->capture);
    put64(at + 64, b->from_ns);
    put64(at + 72, b->until_ns);
    put64(at + 80, codec_calls(b));
    put32(at + 88, b->snapshot ? CODEC_SNAPSHOT : 0);
    put64(at + 96, seen(b));
    put32(at + CODEC_HEADER - 4, crc32c(at, CODEC_HEADER - 4));
}

int codec_encode(const struct block *b, struct buf *ret)
{
    CLEANUP(sections_done) struct sections s = {0};
    CLEANUP(dict_done) struct dict ids = {0};
    int r = fill_sections(b, &s, &ids);
    if (r < 0)
        return r;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, CODEC_BLOCK_MAX + ZSTD_COMPRESSBOUND(CODEC_UNPACKED_MAX));
    uint8_t header[CODEC_HEADER] = {0};
    buf_append(&out, header, sizeof(header));
    size_t unpacked = 0;
    uint32_t sections = 0;
    for (int i = 1; i < SECTIONS; i++) {
        if (!s.data[i].size)
            continue;
        write_section(&out, (enum section)i, &s.data[i]);
        unpacked += s.data[i].size;
        sections++;
    }
    uint8_t copy[CODEC_COPY] = {0}; /* never packed, so that it is found from the end */
    buf_append(&out, copy, sizeof(copy));
    if (out.error)
        return out.error;
    unpacked += COPY_BYTES;
    if (out.size > CODEC_BLOCK_MAX || unpacked > CODEC_UNPACKED_MAX)
        return -EFBIG;
    fill_header(b, out.data, out.size, unpacked, sections + 1);
    uint8_t *at = out.data + out.size - CODEC_COPY;
    memcpy(at + SECTION_HEADER, out.data + MAGIC_BYTES, COPY_BYTES);
    fill_section(at, SECTION_HEADER_COPY, PACKING_NONE, COPY_BYTES, COPY_BYTES);
    buf_append(ret, out.data, out.size);
    return ret->error;
}

int codec_header(const void *data, struct codec_head *ret)
{
    struct reader r;
    reader_init(&r, data, CODEC_HEADER);
    if (memcmp(reader_bytes(&r, 8), MAGIC, 8) != 0)
        return -EBADMSG;
    struct codec_head head = {.major = reader_u16(&r), .minor = reader_u16(&r)};
    head.sections = reader_u32(&r);
    head.size = reader_u64(&r);
    head.unpacked = reader_u64(&r);
    memcpy(head.spool, reader_bytes(&r, 16), 16);
    head.sequence = reader_u64(&r);
    head.capture = reader_u64(&r);
    head.from_ns = reader_u64(&r);
    head.until_ns = reader_u64(&r);
    head.calls = reader_u64(&r);
    head.flags = reader_u32(&r);
    r.at = 96;
    head.seen = reader_u64(&r); /* 0 before 1.1 */
    head.seen = MAX(head.seen, head.calls);
    r.at = CODEC_HEADER - 4;
    if (reader_u32(&r) != crc32c(data, CODEC_HEADER - 4) || head.size < CODEC_HEADER ||
        head.size > CODEC_BLOCK_MAX)
        return -EBADMSG;
    *ret = head;
    return 0;
}

int codec_size(const void *header, size_t *ret)
{
    struct codec_head head;
    int r = codec_header(header, &head);
    if (r == 0)
        *ret = head.size;
    return r;
}

struct section_head {
    const uint8_t *packed;
    uint32_t size, unpacked;
    uint16_t type, packing;
    bool intact;
};

static int next_section(struct reader *r, struct section_head *ret)
{
    const uint8_t *begin = r->data + r->at;
    uint32_t crc = reader_u32(r);
    ret->type = reader_u16(r);
    ret->packing = reader_u16(r);
    ret->size = reader_u32(r);
    ret->unpacked = reader_u32(r);
    ret->packed = reader_bytes(r, ret->size);
    if (!ret->packed)
        return -EBADMSG;
    ret->intact = crc == crc32c(begin + 4, SECTION_HEADER - 4 + (size_t)ret->size);
    return 0;
}

int codec_header_copy(const void *end, uint8_t ret[CODEC_HEADER])
{
    struct reader r;
    struct section_head section;
    struct codec_head ignored;
    uint8_t header[CODEC_HEADER] = MAGIC;
    reader_init(&r, end, CODEC_COPY);
    if (next_section(&r, &section) < 0 || !section.intact || section.type != SECTION_HEADER_COPY ||
        section.size != COPY_BYTES)
        return -EBADMSG;
    memcpy(header + MAGIC_BYTES, section.packed, COPY_BYTES);
    int error = codec_header(header, &ignored);
    if (error == 0)
        memcpy(ret, header, CODEC_HEADER);
    return error;
}

/* Checks all sections and, with s, unpacks those we know. */
static int read_sections(const uint8_t *data, const struct codec_head *head, struct sections *s,
                         const char **why)
{
    struct reader r;
    reader_init(&r, data, head->size);
    r.at = CODEC_HEADER;
    uint64_t left = head->unpacked;
    *why = "header";
    if (head->unpacked > CODEC_UNPACKED_MAX || head->sections > SECTIONS_MAX)
        return -EBADMSG;
    for (uint32_t i = 0; i < head->sections; i++) {
        *why = "section header";
        struct section_head section;
        if (next_section(&r, &section) < 0 || section.unpacked > left)
            return -EBADMSG;
        bool known = section.type > 0 && section.type < SECTIONS;
        *why = known ? section_names[section.type] : "section of a newer version";
        if (!section.intact)
            return -EBADMSG;
        left -= section.unpacked;
        if (!known || !s)
            continue;
        struct buf *out = &s->data[section.type];
        if (out->data)
            return -EBADMSG; /* twice */
        int error = unpack(section.packing, section.packed, section.size, section.unpacked, out);
        if (error < 0)
            return error;
    }
    *why = "header";
    return reader_left(&r) || left ? -EBADMSG : 0;
}

static int read_windows(struct sections *s, struct dict *ids, struct block *b, const char **why)
{
    struct reader readers[PARTS], *parts[PARTS];
    for (int i = 0; i < PARTS; i++) {
        struct buf *data = &s->data[SECTION_WINDOWS + i];
        if (!data->data) {
            *why = section_names[SECTION_WINDOWS + i];
            return -EBADMSG;
        }
        reader_init(&readers[i], data->data, data->size);
        parts[i] = &readers[i];
    }
    int r = codec_windows_decode(parts, ids, &b->windows, &b->n_windows);
    for (int i = 0; i < PARTS && r < 0; i++) {
        if (readers[i].error)
            *why = section_names[SECTION_WINDOWS + i];
    }
    return r;
}

static int read_rows(struct sections *s, struct dict *ids, struct block *b, const char **why)
{
    for (size_t i = 0; i < ARRAY_SIZE(row_sections); i++) {
        enum section section = row_sections[i].section;
        if (!s->data[section].data)
            continue;
        struct reader reader;
        reader_init(&reader, s->data[section].data, s->data[section].size);
        struct codec_io io = {.in = &reader, .ids = ids};
        row_sections[i].io(&io, b);
        if (reader.error) {
            *why = section_names[section];
            return reader.error;
        }
    }
    return 0;
}

int codec_verify(const void *data, size_t size, const char **why)
{
    struct codec_head head;
    *why = "header";
    if (size < CODEC_HEADER || codec_header(data, &head) < 0 || head.size != size)
        return -EBADMSG;
    return read_sections(data, &head, NULL, why);
}

static void from_header(const struct codec_head *head, struct block *b)
{
    memcpy(b->spool, head->spool, sizeof(b->spool));
    b->sequence = head->sequence;
    b->capture = head->capture;
    b->from_ns = head->from_ns;
    b->until_ns = head->until_ns;
}

int codec_salvage(const void *data, size_t size, struct block **ret)
{
    struct codec_head head;
    if (size < CODEC_HEADER || codec_header(data, &head) < 0)
        return -EBADMSG;
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    from_header(&head, b);
    CLEANUP(buf_done) struct buf rows;
    buf_init(&rows, CODEC_UNPACKED_MAX);
    struct reader r;
    reader_init(&r, data, size);
    r.at = CODEC_HEADER;
    struct section_head section;
    while (reader_left(&r) && next_section(&r, &section) == 0) {
        if (!section.intact || section.type != SECTION_LEDGER || rows.data)
            continue;
        if (section.unpacked > CODEC_UNPACKED_MAX ||
            unpack(section.packing, section.packed, section.size, section.unpacked, &rows) < 0)
            break;
        struct reader in;
        reader_init(&in, rows.data, rows.size);
        struct codec_io io = {.in = &in};
        codec_ledger(&io, b);
        if (in.error)
            b->n_ledger = 0;
    }
    *ret = TAKE(b);
    return 0;
}

int codec_decode(const void *data, size_t size, struct block **ret, const char **why)
{
    const char *unused;
    why = why ? why : &unused;
    *why = "header";
    struct codec_head head;
    if (size < CODEC_HEADER || codec_header(data, &head) < 0 || head.size != size)
        return -EBADMSG;
    if (head.major > MAJOR) {
        *why = "newer major version of the format";
        return -EPROTONOSUPPORT;
    }
    CLEANUP(sections_done) struct sections s;
    for (int i = 0; i < SECTIONS; i++)
        buf_init(&s.data[i], CODEC_UNPACKED_MAX);
    int r = read_sections(data, &head, &s, why);
    if (r < 0)
        return r;
    CLEANUP(block_freep) struct block *b = calloc(1, sizeof(*b));
    CLEANUP(dict_done) struct dict ids = {0};
    if (!b)
        return -ENOMEM;
    from_header(&head, b);
    if (s.data[SECTION_IDS].data) {
        struct reader reader;
        reader_init(&reader, s.data[SECTION_IDS].data, s.data[SECTION_IDS].size);
        struct codec_io io = {.in = &reader, .ids = &ids};
        codec_ids(&io);
        *why = section_names[SECTION_IDS];
        if (reader.error)
            return reader.error;
    }
    r = s.data[SECTION_WINDOWS].data ? read_windows(&s, &ids, b, why) : 0;
    if (r == 0)
        r = read_rows(&s, &ids, b, why);
    if (r < 0)
        return r;
    *why = "calls";
    if (codec_calls(b) != head.calls)
        return -EBADMSG;
    *ret = TAKE(b);
    return 0;
}

/* Windows alone: CRC of what follows, version and packing, unpacked size, then ids and the four
 * parts one after the other, packed together. */
#define WINDOWS_VERSION 1

int codec_encode_windows(const struct window *windows, size_t n, struct buf *ret)
{
    CLEANUP(sections_done) struct sections s;
    CLEANUP(dict_done) struct dict ids = {0};
    for (int i = 0; i < SECTIONS; i++)
        buf_init(&s.data[i], CODEC_UNPACKED_MAX);
    struct buf *const parts[PARTS] = {&s.data[0], &s.data[1], &s.data[2], &s.data[3]};
    int r = codec_windows_encode(windows, n, &ids, parts);
    if (r < 0)
        return r;
    CLEANUP(buf_done) struct buf body;
    CLEANUP(buf_done) struct buf packed;
    buf_init(&body, CODEC_UNPACKED_MAX);
    buf_init(&packed, ZSTD_COMPRESSBOUND(CODEC_UNPACKED_MAX));
    struct codec_io io = {.out = &body, .ids = &ids};
    codec_ids(&io);
    for (int i = 0; i < PARTS; i++)
        buf_append(&body, parts[i]->data, parts[i]->size);
    buf_u8(&packed, WINDOWS_VERSION);
    buf_varint(&packed, body.size);
    enum packing packing = pack(&body, &packed);
    if (body.error || packed.error)
        return body.error ? body.error : packed.error;
    packed.data[0] |= (uint8_t)(packing << 4);
    buf_u32(ret, crc32c(packed.data, packed.size));
    buf_append(ret, packed.data, packed.size);
    return ret->error;
}

int codec_decode_windows(const void *data, size_t size, struct window **ret, size_t *ret_n)
{
    struct reader r;
    reader_init(&r, data, size);
    uint32_t crc = reader_u32(&r);
    if (r.error || crc != crc32c(r.data + r.at, reader_left(&r)))
        return -EBADMSG;
    uint8_t version = reader_u8(&r);
    if ((version & 15) > WINDOWS_VERSION)
        return -EPROTONOSUPPORT;
    uint64_t unpacked = reader_varint(&r);
    if (r.error || unpacked > CODEC_UNPACKED_MAX)
        return -EBADMSG;
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, CODEC_UNPACKED_MAX);
    int error = unpack(version >> 4, r.data + r.at, reader_left(&r), unpacked, &body);
    if (error < 0)
        return error;
    CLEANUP(dict_done) struct dict ids = {0};
    struct reader in;
    reader_init(&in, body.data, body.size);
    struct codec_io io = {.in = &in, .ids = &ids};
    codec_ids(&io);
    struct reader *const parts[PARTS] = {&in, &in, &in, &in};
    uint32_t n = 0;
    error = in.error ? in.error : codec_windows_decode(parts, &ids, ret, &n);
    if (error == 0)
        *ret_n = n;
    return error;
}
