/* The spool's files and the writer.
 *
 * A segment is nothing but blocks one after the other, named by the sequence number of its first: a
 * recording in its own right. Nothing beside the blocks has to be right after a power cut: what is
 * known is found again by looking at the segments' names and at the last segment's blocks. */
#include "transport/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "transport/spool_internal.h"

#define SIZE_MAX_DEFAULT (UINT64_C(2) << 30)
#define SEGMENT_MAX_DEFAULT (UINT64_C(64) << 20)
#define SYNC_EVERY_NS NS_PER_S
#define KEPT_ASIDE_MAX 100 /* files in corrupt/, beyond that damage is only counted */
#define SUFFIX ".vgr"

static void unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

#define LOCKED(s)                                                                                  \
    CLEANUP(unlockp) pthread_mutex_t *locked_ = &(s)->lock;                                        \
    pthread_mutex_lock(locked_)

void spool_segment_name(uint64_t first, char ret[SEGMENT_NAME_BYTES])
{
    snprintf(ret, SEGMENT_NAME_BYTES, "%020" PRIu64 SUFFIX, first);
}

int spool_segment_open(const struct spool *s, uint64_t first)
{
    char name[SEGMENT_NAME_BYTES];
    spool_segment_name(first, name);
    int fd = openat(s->directory_fd, name, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

static int compare_segment(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Lists the segments with the sizes of their files. */
static int list(const struct spool *s, struct segment **ret, uint32_t *ret_n)
{
    int fd = openat(s->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory)
        return -errno;
    CLEANUP(freep) struct segment *segments = NULL;
    uint32_t n = 0;
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(directory));) {
        char *end;
        uint64_t first = strtoull(e->d_name, &end, 10);
        struct stat st;
        if (end != e->d_name + 20 || strcmp(end, SUFFIX) != 0 ||
            fstatat(s->directory_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        struct segment *more = realloc(segments, (n + 1) * sizeof(*more));
        if (!more) {
            r = -ENOMEM;
            break;
        }
        segments = more;
        segments[n++] = (struct segment){first, (uint64_t)st.st_size};
    }
    closedir(directory);
    if (r < 0)
        return r;
    if (n)
        qsort(segments, n, sizeof(*segments), compare_segment);
    *ret = TAKE(segments);
    *ret_n = n;
    return 0;
}

static void count_segments(struct spool *s)
{
    s->stats.segments = s->n_segments;
    s->stats.size_bytes = 0;
    for (uint32_t i = 0; i < s->n_segments; i++)
        s->stats.size_bytes += s->segments[i].size;
    s->stats.first_sequence = s->stats.last_sequence ? s->segments[0].first : 0;
}

int spool_refresh(struct spool *s)
{
    struct segment *segments = NULL;
    uint32_t n = 0;
    int r = list(s, &segments, &n);
    if (r < 0)
        return r;
    free(s->segments);
    s->segments = segments;
    s->n_segments = n;
    count_segments(s);
    return 0;
}

/* Goes through the blocks of segment i; where the last ends that is all there is *end. One that is
 * damaged inside counts: its calls are known, the reader keeps it aside and books them. */
static int scan(struct spool *s, uint32_t i, uint64_t *end)
{
    CLEANUP(closep) int fd = spool_segment_open(s, s->segments[i].first);
    if (fd < 0)
        return fd;
    uint64_t size = s->segments[i].size, skip = 0;
    *end = 0;
    for (uint64_t at = 0;; at += skip) {
        struct codec_head head;
        const char *why;
        bool whole;
        int r = spool_block_at(fd, at, size, &s->bytes, &head, &skip, &whole, &why);
        if (r == -ENODATA)
            return 0;
        if (r < 0 && r != -EBADMSG)
            return r;
        if (r == 0 && head.sequence >= s->next_sequence) {
            s->last_first = s->segments[i].first;
            s->last_offset = at;
            s->stats.last_sequence = head.sequence;
        }
        if (whole) {
            s->next_sequence = MAX(s->next_sequence, head.sequence + 1);
            *end = at + skip;
        }
    }
}

/* Finds the last block; the writer cuts off what follows it: it was never acknowledged to anybody,
 * and the rings still hold it or the next checkpoint says that they do not. */
static int recover(struct spool *s)
{
    if (s->n_segments)
        s->next_sequence = s->segments[s->n_segments - 1].first;
    for (uint32_t i = s->n_segments; i-- > 0 && !s->stats.last_sequence;) {
        uint64_t keep = s->next_sequence, end;
        s->next_sequence = s->segments[i].first;
        int r = scan(s, i, &end);
        if (r < 0)
            return r;
        s->next_sequence = MAX(s->next_sequence, keep);
        uint64_t torn = s->segments[i].size - end;
        if (i + 1 < s->n_segments || !torn || s->options.read_only)
            continue;
        char name[SEGMENT_NAME_BYTES];
        spool_segment_name(s->segments[i].first, name);
        CLEANUP(closep) int fd = openat(s->directory_fd, name, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)end) < 0)
            return -errno;
        s->segments[i].size = end;
        s->stats.torn_bytes += torn;
        log_warn("spool %s: cut %" PRIu64 " torn bytes off the end of %s", s->directory, torn,
                 name);
    }
    count_segments(s);
    return 0;
}

static int write_all(int fd, const void *data, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* The UUID is in a file of its own, which appears whole or not at all. */
static int load_uuid(struct spool *s)
{
    CLEANUP(closep) int fd = openat(s->directory_fd, "uuid", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return read(fd, s->uuid, sizeof(s->uuid)) == sizeof(s->uuid) ? 0 : -EBADMSG;
    if (errno != ENOENT || s->options.read_only)
        return -errno;
    if (getrandom(s->uuid, sizeof(s->uuid), 0) != sizeof(s->uuid))
        return -EIO;
    s->uuid[6] = (s->uuid[6] & 0x0f) | 0x40; /* RFC 9562, version 4 */
    s->uuid[8] = (s->uuid[8] & 0x3f) | 0x80;
    fd = openat(s->directory_fd, "uuid.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : write_all(fd, s->uuid, sizeof(s->uuid), 0);
    if (r < 0)
        return r;
    if (fsync(fd) < 0 || renameat(s->directory_fd, "uuid.new", s->directory_fd, "uuid") < 0 ||
        fsync(s->directory_fd) < 0)
        return -errno;
    return 0;
}

static void count_kept_aside(struct spool *s)
{
    int fd = openat(s->directory_fd, "corrupt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory)
        return;
    for (struct dirent *e; (e = readdir(directory));) {
        size_t n = strlen(e->d_name);
        s->stats.blocks_corrupt += n > 7 && strcmp(e->d_name + n - 7, ".reason") == 0;
    }
    closedir(directory);
}

static int open_files(struct spool *s)
{
    if (!s->options.read_only && mkdir(s->directory, 0700) < 0 && errno != EEXIST)
        return -errno;
    s->directory_fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->directory_fd < 0)
        return -errno;
    if (!s->options.read_only && flock(s->directory_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    int r = load_uuid(s);
    if (r == 0)
        r = spool_refresh(s);
    if (r == 0)
        r = recover(s);
    count_kept_aside(s);
    return r;
}

static const char *open_error(int error)
{
    return error == -EBUSY     ? "another agent writes to it: stop that one, or use another --data"
           : error == -ENOENT  ? "there is none, or a directory above it is missing"
           : error == -EBADMSG ? "its file 'uuid' is damaged: move the directory away"
                               : strerror(-error);
}

int spool_open(const struct spool_options *options, struct spool **ret)
{
    CLEANUP(spool_closep) struct spool *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->appended, &attr);
    pthread_condattr_destroy(&attr);
    s->directory_fd = s->fd = s->read_fd = -1;
    buf_init(&s->bytes, CODEC_BLOCK_MAX);
    buf_init(&s->read_bytes, CODEC_BLOCK_MAX);
    s->options = *options;
    uint64_t size_max = options->size_max_bytes ? options->size_max_bytes : SIZE_MAX_DEFAULT;
    uint64_t segment_max =
        options->segment_max_bytes ? options->segment_max_bytes : SEGMENT_MAX_DEFAULT;
    s->options.size_max_bytes = size_max;
    s->options.segment_max_bytes = MIN(segment_max, size_max / 4 + 1);
    s->next_sequence = 1;
    s->directory = strdup(options->directory);
    if (!s->directory)
        return -ENOMEM;
    int r = open_files(s);
    if (r < 0) {
        log_error("cannot open the spool %s: %s", s->directory, open_error(r));
        return r;
    }
    *ret = TAKE(s);
    return 0;
}

static void sync_now(struct spool *s, uint64_t now_ns)
{
    if (s->fd >= 0 && s->unsynced && s->options.sync && fdatasync(s->fd) < 0)
        log_error("spool %s: blocks may not survive a power cut: %s", s->directory,
                  strerror(errno));
    s->unsynced = false;
    s->synced_ns = now_ns;
}

void spool_close(struct spool *s)
{
    sync_now(s, 0);
    if (s->fd >= 0)
        close(s->fd);
    if (s->read_fd >= 0)
        close(s->read_fd);
    if (s->directory_fd >= 0)
        close(s->directory_fd);
    buf_done(&s->bytes);
    buf_done(&s->read_bytes);
    loss_done(&s->loss);
    free(s->segments);
    free(s->directory);
    pthread_cond_destroy(&s->appended);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void spool_uuid(const struct spool *s, uint8_t ret[16])
{
    memcpy(ret, s->uuid, sizeof(s->uuid));
}

/* Counts what goes with the oldest segment before anybody read it. */
static void count_loss(struct spool *s)
{
    const struct segment *oldest = &s->segments[0];
    CLEANUP(closep) int fd = spool_segment_open(s, oldest->first);
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, CODEC_BLOCK_MAX);
    uint64_t reached = MAX(s->stats.acknowledged, s->read_sequence);
    uint64_t sequence = oldest->first - 1, since_ns = 0; /* of the last block that could be told */
    for (uint64_t at = 0, skip = 0; fd >= 0; at += skip) {
        struct codec_head head;
        const char *why;
        bool whole;
        int r = spool_block_at(fd, at, oldest->size, &bytes, &head, &skip, &whole, &why);
        if (r < 0 && r != -EBADMSG)
            return;
        if (r < 0 && !whole && sequence >= reached) { /* else the reader has met and told it */
            spool_lose_unknown(&s->loss, oldest->first, at, skip, since_ns);
            s->stats.blocks_lost++;
        }
        if (r < 0 && !whole)
            continue;
        sequence = head.sequence;
        since_ns = head.until_ns;
        if (head.sequence <= reached)
            continue;
        CLEANUP(block_freep) struct block *b = NULL;
        if (codec_salvage(bytes.data, bytes.size, &b) == 0)
            loss_add(&s->loss, b, head.seen, DROP_SPOOL_FULL);
        s->stats.blocks_lost++;
    }
}

/* Removes the oldest segment; never the one that is written to. Under the lock. */
static int drop_oldest(struct spool *s)
{
    if (s->n_segments < 2)
        return -ENOENT;
    bool lost = s->segments[1].first - 1 > s->stats.acknowledged;
    if (lost)
        count_loss(s);
    char name[SEGMENT_NAME_BYTES];
    spool_segment_name(s->segments[0].first, name);
    if (unlinkat(s->directory_fd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    memmove(s->segments, s->segments + 1, --s->n_segments * sizeof(*s->segments));
    count_segments(s);
    return 0;
}

/* Opens the last segment to write to, or a new one when it is full. Under the lock. */
static int writable(struct spool *s, size_t size)
{
    struct segment *last = s->n_segments ? &s->segments[s->n_segments - 1] : NULL;
    bool fresh = !last || (last->size && last->size + size > s->options.segment_max_bytes);
    if (!fresh && s->fd >= 0)
        return 0;
    char name[SEGMENT_NAME_BYTES];
    spool_segment_name(fresh ? s->next_sequence : last->first, name);
    int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_CREAT : 0);
    CLEANUP(closep) int fd = openat(s->directory_fd, name, flags, 0600);
    if (fd < 0)
        return -errno;
    if (fresh) {
        struct segment *more = realloc(s->segments, (s->n_segments + 1) * sizeof(*more));
        if (!more)
            return -ENOMEM;
        s->segments = more;
        s->segments[s->n_segments++] = (struct segment){.first = s->next_sequence};
        if (s->options.sync)
            fsync(s->directory_fd);
    }
    sync_now(s, clock_mono_ns());
    if (s->fd >= 0)
        close(s->fd);
    s->fd = TAKE_FD(fd);
    return 0;
}

static int write_block(struct spool *s)
{
    int r = writable(s, s->bytes.size);
    if (r < 0)
        return r;
    struct segment *last = &s->segments[s->n_segments - 1];
    r = write_all(s->fd, s->bytes.data, s->bytes.size, last->size);
    /* What stays behind if even this fails lies beyond last->size: not read, and written over. */
    if (r < 0 && ftruncate(s->fd, (off_t)last->size) < 0)
        log_error("spool %s: cannot cut a torn block off: %s", s->directory, strerror(errno));
    return r;
}

static void appended(struct spool *s, struct block *b)
{
    struct segment *last = &s->segments[s->n_segments - 1];
    s->last_first = last->first;
    s->last_offset = last->size;
    last->size += s->bytes.size;
    s->stats.last_sequence = b->sequence = s->next_sequence++;
    memcpy(b->spool, s->uuid, sizeof(b->spool));
    s->stats.bytes_written += s->bytes.size;
    s->unsynced = true;
    loss_done(&s->loss);
    count_segments(s);
    pthread_cond_broadcast(&s->appended);
}

/* The bytes of b as the next block, with the losses that it carries. */
static int encode(struct spool *s, const struct block *b)
{
    struct block copy;
    int r = loss_join(&s->loss, b, &copy);
    if (r < 0)
        return r;
    CLEANUP(freep) struct gap *gaps = copy.gaps;
    CLEANUP(freep) struct ledger_count *ledger = copy.ledger;
    CLEANUP(freep) struct blind *blinds = copy.blinds;
    memcpy(copy.spool, s->uuid, sizeof(copy.spool));
    copy.sequence = s->next_sequence;
    buf_clear(&s->bytes);
    return codec_encode(&copy, &s->bytes);
}

int spool_append(struct spool *s, struct block *b)
{
    LOCKED(s);
    int r = encode(s, b);
    while (r == 0 && s->n_segments > 1 &&
           s->stats.size_bytes + s->bytes.size > s->options.size_max_bytes) {
        if (drop_oldest(s) < 0)
            break;
        r = encode(s, b); /* it may carry a loss now */
    }
    if (r < 0) {
        log_error("cannot encode a block for the spool: %s", strerror(-r));
        return r;
    }
    r = write_block(s);
    /* What the store has is no loss: a full disk may have its room. */
    while (r == -ENOSPC && s->n_segments > 1 && s->segments[1].first - 1 <= s->stats.acknowledged &&
           drop_oldest(s) == 0)
        r = write_block(s);
    if (r < 0) {
        if (!s->stats.degraded)
            log_error("spool %s: cannot write: %s; trying again", s->directory, strerror(-r));
        s->stats.write_errors++;
        s->stats.degraded = true;
        return r;
    }
    if (s->stats.degraded)
        log_info("spool %s: writing again", s->directory);
    s->stats.degraded = false;
    appended(s, b);
    uint64_t now_ns = clock_mono_ns();
    if (now_ns - s->synced_ns >= SYNC_EVERY_NS)
        sync_now(s, now_ns);
    return 0;
}

void spool_acknowledge(struct spool *s, uint64_t sequence)
{
    LOCKED(s);
    s->stats.acknowledged = MAX(s->stats.acknowledged, sequence);
    /* A torn tail may have had it: its number is used all the same, the store would skip a second.
     */
    s->next_sequence = MAX(s->next_sequence, sequence + 1);
}

void spool_get_stats(struct spool *s, struct spool_stats *ret)
{
    LOCKED(s);
    if (s->options.read_only)
        spool_refresh(s);
    *ret = s->stats;
}

static int keep_file(int directory, const char *name, const void *data, size_t size)
{
    CLEANUP(closep)
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : write_all(fd, data, size, 0);
}

int spool_lose_unknown(struct loss *l, uint64_t first, uint64_t offset, uint64_t bytes,
                       uint64_t since_ns)
{
    char place[160];
    snprintf(place, sizeof(place),
             "calls lost, not known how many: %" PRIu64 " unreadable bytes at %" PRIu64
             " of segment %" PRIu64 " of the spool",
             bytes, offset, first);
    return loss_add_unknown(l, since_ns, place);
}

void spool_keep_aside(struct spool *s, uint64_t first, uint64_t offset, const struct buf *bytes,
                      const char *why, uint64_t calls)
{
    if (s->options.read_only)
        return;
    char name[64];
    mkdirat(s->directory_fd, "corrupt", 0700);
    CLEANUP(closep) int fd = openat(s->directory_fd, "corrupt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(buf_done) struct buf reason;
    buf_init(&reason, 4096);
    buf_printf(&reason, "%s: %zu bytes at %" PRIu64 " of segment %" PRIu64 ", ", why, bytes->size,
               offset, first);
    if (calls == CALLS_UNKNOWN)
        buf_printf(&reason, "number of calls not known\n");
    else
        buf_printf(&reason, "%" PRIu64 " calls\n", calls);
    snprintf(name, sizeof(name), "%020" PRIu64 "-%" PRIu64 ".reason", first, offset);
    LOCKED(s);
    int r = -ENOSPC;
    if (s->stats.blocks_corrupt < KEPT_ASIDE_MAX && fd >= 0)
        r = keep_file(fd, name, reason.data, reason.size);
    if (r == -EEXIST) /* met before */
        return;
    s->stats.blocks_corrupt++;
    log_warn("spool %s: skipped a corrupt block (%s); kept in corrupt/%s", s->directory, why, name);
    strcpy(strrchr(name, '.'), ".vgr");
    if (r == 0)
        keep_file(fd, name, bytes->data, bytes->size);
}
