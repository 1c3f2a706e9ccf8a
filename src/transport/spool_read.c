/* The spool's reader: finds blocks again, over damaged ones. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "transport/spool_internal.h"

#define POLL_MS 100 /* how often a read-only spool looks for what the other process wrote */
#define SEARCH_BYTES 65536

static int read_all(int fd, void *data, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        done += (size_t)n;
    }
    return 0;
}

/* Bytes from offset to the next block header that passes its check, or to the end. */
static uint64_t search(int fd, uint64_t offset, uint64_t size)
{
    static const char magic[8] = "VIGIABLK";
    uint8_t chunk[SEARCH_BYTES];
    for (uint64_t at = offset + 1; at + CODEC_HEADER <= size;) {
        size_t n = MIN(sizeof(chunk), size - at);
        if (read_all(fd, chunk, n, at) < 0)
            break;
        for (const uint8_t *p = chunk; (p = memmem(p, n - (size_t)(p - chunk), magic, 8)); p++) {
            uint8_t header[CODEC_HEADER];
            size_t ignored;
            uint64_t here = at + (uint64_t)(p - chunk);
            if (read_all(fd, header, sizeof(header), here) == 0 &&
                codec_size(header, &ignored) == 0)
                return here - offset;
        }
        at += n > sizeof(magic) ? n - sizeof(magic) + 1 : n;
    }
    return size - offset;
}

/* Makes a block whole whose header is damaged, with the copy at its end. The *skip bytes up to the
 * next good header may be several such blocks: gone through from the last to the first. -EBADMSG
 * with *skip cut to the bytes before the first that can be told. */
static int mend(int fd, uint64_t offset, struct buf *ret, struct codec_head *head, uint64_t *skip)
{
    for (;; *skip -= head->size) {
        uint8_t end[CODEC_COPY], header[CODEC_HEADER];
        if (*skip < CODEC_HEADER + CODEC_COPY ||
            read_all(fd, end, sizeof(end), offset + *skip - sizeof(end)) < 0)
            return -EBADMSG;
        if (codec_header_copy(end, header) < 0 || codec_header(header, head) < 0 ||
            head->size > *skip)
            return -EBADMSG;
        if (head->size < *skip)
            continue;
        buf_clear(ret);
        int r = buf_reserve(ret, head->size);
        if (r == 0)
            r = read_all(fd, ret->data, head->size, offset);
        if (r < 0)
            return r;
        memcpy(ret->data, header, sizeof(header));
        ret->size = head->size;
        return 0;
    }
}

int spool_block_at(int fd, uint64_t offset, uint64_t size, struct buf *ret, struct codec_head *head,
                   uint64_t *skip, bool *whole, const char **why)
{
    *whole = false;
    *why = "header";
    if (offset >= size)
        return -ENODATA;
    uint8_t header[CODEC_HEADER];
    int r = size - offset < CODEC_HEADER ? -EBADMSG : read_all(fd, header, sizeof(header), offset);
    if (r == 0)
        r = codec_header(header, head);
    if (r == 0 && head->size > size - offset)
        r = -EBADMSG;
    if (r == 0) {
        buf_clear(ret);
        r = buf_reserve(ret, head->size);
        if (r == 0)
            r = read_all(fd, ret->data, head->size, offset);
        if (r < 0)
            return r;
        ret->size = head->size;
        *skip = head->size;
        *whole = true;
        r = codec_verify(ret->data, ret->size, why);
        if (r == 0)
            *why = NULL;
        return r;
    }
    if (r != -EBADMSG)
        return r;
    *skip = search(fd, offset, size);
    r = mend(fd, offset, ret, head, skip);
    *whole = r == 0;
    if (r == 0)
        r = codec_verify(ret->data, ret->size, why);
    if (r == 0)
        *why = "header";
    if (*whole || r != -EBADMSG)
        return r;
    buf_clear(ret);
    if (buf_reserve(ret, MIN(*skip, CODEC_BLOCK_MAX)) == 0 &&
        read_all(fd, ret->data, MIN(*skip, CODEC_BLOCK_MAX), offset) == 0)
        ret->size = MIN(*skip, CODEC_BLOCK_MAX);
    return -EBADMSG;
}

static void unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

#define LOCKED(s)                                                                                  \
    CLEANUP(unlockp) pthread_mutex_t *locked_ = &(s)->lock;                                        \
    pthread_mutex_lock(locked_)

static void let_go(struct spool *s)
{
    if (s->read_fd >= 0)
        close(s->read_fd);
    s->read_fd = -1;
}

/* Opens the segment that holds sequence, or the first one behind it. */
static int seek(struct spool *s, uint64_t sequence)
{
    uint32_t i = 0;
    while (i + 1 < s->n_segments && s->segments[i + 1].first <= sequence)
        i++;
    if (s->n_segments == 0)
        return -ENODATA;
    let_go(s);
    int fd = spool_segment_open(s, s->segments[i].first);
    if (fd < 0)
        return fd == -ENOENT ? -ENODATA : fd; /* gone meanwhile: look again */
    s->read_fd = fd;
    s->read_first = s->segments[i].first;
    s->read_at = 0;
    return 0;
}

/* Size of what may be read in the segment at hand. When that is gone, what was not read in it is
 * counted as lost, so it must not be read any more: false. */
static bool readable(const struct spool *s, uint64_t *size, bool *last)
{
    for (uint32_t i = 0; i < s->n_segments; i++) {
        if (s->segments[i].first == s->read_first) {
            *last = i + 1 == s->n_segments;
            *size = s->segments[i].size;
            return true;
        }
    }
    return false;
}

/* Waits for something to read behind the cursor; -ENODATA when there is nothing by until_ns. */
static int wait_readable(struct spool *s, uint64_t sequence, uint64_t until_ns, uint64_t *size,
                         bool *tail)
{
    LOCKED(s);
    for (;;) {
        if (s->options.read_only)
            spool_refresh(s);
        bool last = true;
        *size = 0;
        if (s->read_fd >= 0 && !readable(s, size, &last))
            let_go(s);
        if (s->read_fd < 0 && seek(s, sequence) == 0)
            readable(s, size, &last);
        *tail = last;
        if (s->read_fd >= 0 && s->read_at < *size)
            return 0;
        if (s->read_fd >= 0 && !last) { /* the segment's end: on to the next */
            uint64_t next = 0;
            for (uint32_t i = s->n_segments; i-- > 0;)
                next = s->segments[i].first > s->read_first ? s->segments[i].first : next;
            if (seek(s, next) == 0)
                continue;
        }
        uint64_t now_ns = clock_mono_ns();
        if (now_ns >= until_ns)
            return -ENODATA;
        uint64_t wake_ns =
            s->options.read_only ? MIN(until_ns, now_ns + POLL_MS * NS_PER_MS) : until_ns;
        struct timespec t = {(time_t)(wake_ns / NS_PER_S), (long)(wake_ns % NS_PER_S)};
        pthread_cond_timedwait(&s->appended, &s->lock, &t);
    }
}

/* Adds to b what was found to be corrupt directly before it. */
static int carry(struct loss *loss, struct block *b)
{
    if (!loss->n && !loss->n_blinds)
        return 0;
    struct block joined;
    int r = loss_join(loss, b, &joined);
    if (r < 0)
        return r;
    free(b->gaps);
    free(b->ledger);
    free(b->blinds);
    *b = joined;
    loss->n_blinds = 0; /* their texts are b's now */
    return 0;
}

static int lose(struct spool *s, struct loss *loss, const struct codec_head *head, bool whole,
                uint64_t skip, const char *why)
{
    CLEANUP(block_freep) struct block *b = NULL;
    int r = whole ? codec_salvage(s->read_bytes.data, s->read_bytes.size, &b) : 0;
    if (r == 0 && whole)
        r = loss_add(loss, b, head->seen, DROP_CORRUPT);
    else if (r == 0)
        r = spool_lose_unknown(loss, s->read_first, s->read_at, skip, s->read_until_ns);
    if (r == 0)
        spool_keep_aside(s, s->read_first, s->read_at, &s->read_bytes, why,
                         whole ? head->seen : CALLS_UNKNOWN);
    return r;
}

static void tell_mended(const struct spool *s, const char *what)
{
    char name[SEGMENT_NAME_BYTES];
    spool_segment_name(s->read_first, name);
    if (!s->options.read_only)
        log_warn("spool %s: the %s of the block at %" PRIu64 " of %s is damaged; taken from its "
                 "copy, nothing is lost",
                 s->directory, what, s->read_at, name);
}

/* The block at the cursor if it is the wanted one or behind it: -EAGAIN when it was not. */
static int take(struct spool *s, uint64_t sequence, uint64_t size, bool tail, struct loss *loss,
                struct block **ret)
{
    struct codec_head head;
    const char *why;
    uint64_t skip = 0;
    bool whole;
    int r =
        spool_block_at(s->read_fd, s->read_at, size, &s->read_bytes, &head, &skip, &whole, &why);
    if (r == -EBADMSG && !whole && tail && s->options.read_only && s->read_at + skip >= size)
        return -ENODATA; /* just being written by the other process */
    if (r < 0 && r != -EBADMSG)
        return r;
    bool wanted = whole ? head.sequence >= sequence : true;
    if (whole)
        s->read_until_ns = head.until_ns;
    if (whole && head.sequence <= sequence)
        loss_done(loss); /* what cannot be told before it was not asked for */
    if (r == 0 && wanted && why)
        tell_mended(s, why);
    if (r == 0 && wanted)
        r = codec_decode(s->read_bytes.data, s->read_bytes.size, ret, &why);
    if (r == -EPROTONOSUPPORT) {
        log_error("spool %s: a block is of a newer version: update vigia", s->directory);
        return r;
    }
    bool bad = r == -EBADMSG;
    if (bad)
        r = wanted ? lose(s, loss, &head, whole, skip, why) : 0;
    if (r < 0)
        return r;
    s->read_at += skip;
    return !bad && wanted ? 0 : -EAGAIN;
}

/* From here on the block counts as read. false: its segment went meanwhile, and it as lost. */
static bool hand_out(struct spool *s, const struct block *b)
{
    LOCKED(s);
    if (!s->n_segments || b->sequence < s->segments[0].first)
        return false;
    s->read_sequence = b->sequence;
    return true;
}

int spool_read(struct spool *s, uint64_t sequence, int timeout_ms, struct block **ret)
{
    uint64_t until_ns =
        timeout_ms < 0 ? UINT64_MAX / 2 : clock_mono_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    if (sequence != s->read_sequence + 1)
        let_go(s); /* not the next one: look it up */
    CLEANUP(loss_done) struct loss loss = {0};
    for (;;) {
        uint64_t size = 0;
        bool tail = false;
        CLEANUP(block_freep) struct block *b = NULL;
        int r = wait_readable(s, sequence, until_ns, &size, &tail);
        if (r == 0)
            r = take(s, sequence, size, tail, &loss, &b);
        if (r == -EAGAIN)
            continue;
        if (r == -ENODATA && clock_mono_ns() < until_ns) {
            usleep(POLL_MS * 1000);
            continue;
        }
        if (r == 0)
            r = carry(&loss, b);
        if (r < 0) {
            if (loss.n || loss.n_blinds) /* goes with the block still to come: find it again then */
                let_go(s);
            return r == -ENODATA ? -ETIMEDOUT : r;
        }
        if (hand_out(s, b)) {
            *ret = TAKE(b);
            return 0;
        }
        loss_done(&loss); /* part of what was counted when the segment went */
    }
}

int spool_last(struct spool *s, struct block **ret)
{
    LOCKED(s);
    if (!s->stats.last_sequence)
        return -ENOENT;
    CLEANUP(closep) int fd = spool_segment_open(s, s->last_first);
    if (fd < 0)
        return fd;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, CODEC_BLOCK_MAX);
    struct codec_head head;
    const char *why;
    uint64_t skip, size = (uint64_t)st.st_size;
    bool whole;
    int r = spool_block_at(fd, s->last_offset, size, &bytes, &head, &skip, &whole, &why);
    return r < 0 ? r : codec_decode(bytes.data, bytes.size, ret, &why);
}
