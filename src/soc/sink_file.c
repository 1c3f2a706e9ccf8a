/* JSON lines appended to a file. It is opened for each delivery, so that it may be rotated by
 * renaming; a line counts as delivered once it is on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "soc/json.h"
#include "soc/sink.h"

static int file_check(const struct sink_options *o, char ret_reason[SINK_REASON])
{
    if (o->path && o->path[0] == '/')
        return 0;
    snprintf(ret_reason, SINK_REASON, "path: must be given, and begin with /");
    return -EINVAL;
}

static int file_open(const struct sink_options *o, void **ret)
{
    *ret = (void *)o;
    return 0;
}

static void file_close(void *sink)
{
    (void)sink;
}

/* Half a line would spoil the file for its reader: on a full disk it is cut off again. */
static int append_line(int fd, const char *line, size_t size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    ssize_t written = write(fd, line, size);
    if (written == (ssize_t)size)
        return S_ISREG(st.st_mode) && fdatasync(fd) < 0 ? -errno : 0;
    int r = written < 0 ? -errno : -ENOSPC;
    if (written > 0 && ftruncate(fd, st.st_size) < 0)
        return -errno;
    return r;
}

static void file_send(void *sink, const struct sink_delivery *delivery, struct sink_result *ret)
{
    const struct sink_options *o = sink;
    CLEANUP(freep) char *body = sink_body(delivery);
    CLEANUP(freep) char *line = NULL;
    *ret = (struct sink_result){.outcome = SINK_RETRY};
    int size = body ? asprintf(&line, "%s\n", body) : -1;
    if (size < 0) {
        line = NULL;
        snprintf(ret->reason, sizeof(ret->reason), "no memory");
        return;
    }
    CLEANUP(closep)
    int fd = open(o->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    int r = fd < 0 ? -errno : append_line(fd, line, (size_t)size);
    if (r == 0)
        ret->outcome = SINK_SENT;
    else
        snprintf(ret->reason, sizeof(ret->reason), "write %s: %s", o->path, strerror(-r));
}

const struct sink_ops sink_file = {
    .name = "file",
    .check = file_check,
    .open = file_open,
    .close = file_close,
    .send = file_send,
};
