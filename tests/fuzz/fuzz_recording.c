/* Reads anything as a recording and as a spool's segment: blocks that are whole are found behind
 * any rubbish, nothing is read twice, and the spool can be written to afterwards. The first bytes
 * of the input say where rubbish is put between whole blocks. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/transport/blocks.h"
#include "transport/codec.h"
#include "transport/recording.h"
#include "transport/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/vigia-fuzz-XXXXXX";

static void clean(void)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    if (system(command) != 0)
        abort();
}

static void write_segment(const uint8_t *data, size_t size, const char *path)
{
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (uint64_t i = 1; i <= 3; i++) {
        CLEANUP(block_freep) struct block *b = random_block(i, 3);
        CLEANUP(buf_done) struct buf bytes;
        buf_init(&bytes, CODEC_BLOCK_MAX);
        b->sequence = i;
        size_t n = size / 3;
        if (codec_encode(b, &bytes) < 0 || write(fd, bytes.data, bytes.size) < 0 ||
            write(fd, data + (i - 1) * n, n) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[96];
    if (!path[0]) {
        log_set_level(LOG_LEVEL_ERROR);
        if (!mkdtemp(directory))
            abort();
        atexit(clean);
        snprintf(path, sizeof(path), "%s/00000000000000000001.vgr", directory);
    }
    write_segment(data, size, path);
    struct recording *r = NULL;
    uint64_t found = 0;
    if (recording_open(path, &r) < 0)
        abort();
    for (struct block *b = NULL; recording_next(r, &b) == 0; block_free(b))
        found++;
    recording_close(r);
    if (found < 3)
        abort();
    struct spool_options options = {.directory = directory};
    struct spool *s = NULL;
    struct block *b = NULL;
    if (spool_open(&options, &s) < 0)
        abort();
    uint64_t next = 1;
    for (; spool_read(s, next, 0, &b) == 0; block_free(b)) {
        if (b->sequence < next)
            abort();
        next = b->sequence + 1;
        if (next == 0)
            break;
    }
    spool_close(s);
    return 0;
}
