#include "transport/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "transport/codec.h"
#include "transport/spool_internal.h"

#define CORRUPT_NAMED 10 /* further ones are only counted */

struct recording {
    char *path;
    int fd;
    uint64_t size, at, corrupt, sequence;
    struct buf bytes;
    bool writing;
};

static void recording_free(struct recording *r)
{
    if (r->fd >= 0)
        close(r->fd);
    buf_done(&r->bytes);
    free(r->path);
    free(r);
}
DEFINE_CLEANUP(recording_free, struct recording *)

static int recording_new(const char *path, int flags, struct recording **ret)
{
    CLEANUP(recording_freep) struct recording *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->fd = -1;
    buf_init(&r->bytes, CODEC_BLOCK_MAX);
    r->path = strdup(path);
    if (!r->path)
        return -ENOMEM;
    r->fd = open(path, flags | O_CLOEXEC, 0600);
    struct stat st;
    if (r->fd < 0 || fstat(r->fd, &st) < 0) {
        int error = -errno;
        log_error("cannot open the recording %s: %s", path, strerror(errno));
        return error;
    }
    if (S_ISDIR(st.st_mode)) {
        log_error("%s is a directory: name a recording in it (*.vgr)", path);
        return -EISDIR;
    }
    r->size = (uint64_t)st.st_size;
    *ret = TAKE(r);
    return 0;
}

int recording_create(const char *path, struct recording **ret)
{
    struct recording *r = NULL;
    int error = recording_new(path, O_RDWR | O_CREAT | O_TRUNC, &r);
    if (error < 0)
        return error;
    r->size = 0;
    r->writing = true;
    *ret = r;
    return 0;
}

int recording_append(struct recording *r, const struct block *b)
{
    /* Blocks that never were in a spool get numbers of this file. */
    struct block copy = *b;
    if (copy.sequence == 0)
        copy.sequence = r->sequence + 1;
    buf_clear(&r->bytes);
    int error = codec_encode(&copy, &r->bytes);
    for (size_t done = 0; error == 0 && done < r->bytes.size;) {
        ssize_t n =
            pwrite(r->fd, r->bytes.data + done, r->bytes.size - done, (off_t)(r->size + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            error = n < 0 ? -errno : -EIO;
        else
            done += (size_t)n;
    }
    if (error < 0) {
        log_error("cannot write to the recording %s: %s", r->path, strerror(-error));
        if (ftruncate(r->fd, (off_t)r->size) < 0)
            log_error("cannot cut the recording %s: %s", r->path, strerror(errno));
        return error;
    }
    r->size += r->bytes.size;
    r->sequence = copy.sequence;
    return 0;
}

int recording_open(const char *path, struct recording **ret)
{
    struct recording *r = NULL;
    int error = recording_new(path, O_RDONLY, &r);
    if (error < 0)
        return error;
    uint8_t header[CODEC_HEADER];
    size_t ignored;
    if (r->size && (pread(r->fd, header, sizeof(header), 0) != sizeof(header) ||
                    memcmp(header, "VIGIABLK", 8) != 0))
        log_warn("%s does not begin like a recording (`vigia record` makes them); looking for "
                 "blocks in it",
                 path);
    else if (r->size && codec_size(header, &ignored) < 0)
        log_warn("%s: the first block is damaged", path);
    *ret = r;
    return 0;
}

int recording_next(struct recording *r, struct block **ret)
{
    for (;;) {
        struct codec_head head;
        const char *why;
        uint64_t skip = 0;
        bool whole;
        int error = spool_block_at(r->fd, r->at, r->size, &r->bytes, &head, &skip, &whole, &why);
        if (error == 0)
            error = codec_decode(r->bytes.data, r->bytes.size, ret, &why);
        if (error == -EPROTONOSUPPORT)
            log_error("%s is of a newer version of the format: update vigia", r->path);
        if (error < 0 && error != -EBADMSG)
            return error;
        r->at += skip;
        if (error == 0)
            return 0;
        if (r->corrupt++ < CORRUPT_NAMED)
            log_warn("%s: damaged %s: %" PRIu64 " bytes at %" PRIu64 " are skipped", r->path, why,
                     skip, r->at - skip);
    }
}

uint64_t recording_size_bytes(const struct recording *r)
{
    return r->size;
}

uint64_t recording_at_bytes(const struct recording *r)
{
    return r->at;
}

uint64_t recording_corrupt(const struct recording *r)
{
    return r->corrupt;
}

int recording_close(struct recording *r)
{
    int error = r->writing && fsync(r->fd) < 0 && errno != EINVAL ? -errno : 0;
    if (error < 0)
        log_error("cannot write the recording %s: %s", r->path, strerror(-error));
    recording_free(r);
    return error;
}
