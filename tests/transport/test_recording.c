#include "transport/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "test.h"
#include "transport/blocks.h"
#include "transport/codec.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/vigia-recording-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static uint64_t make(void)
{
    struct recording *r = NULL;
    assert_int_equal(recording_create(path, &r), 0);
    for (uint64_t i = 1; i <= 4; i++) {
        CLEANUP(block_freep) struct block *b = random_block(i, 4);
        b->sequence = 0;
        assert_int_equal(recording_append(r, b), 0);
    }
    uint64_t size = recording_size_bytes(r);
    assert_int_equal(recording_close(r), 0);
    return size;
}

static uint32_t count(uint64_t *corrupt)
{
    struct recording *r = NULL;
    struct block *b = NULL;
    uint32_t n = 0;
    assert_int_equal(recording_open(path, &r), 0);
    for (; recording_next(r, &b) == 0; n++) {
        CLEANUP(block_freep) struct block *want = random_block(b->sequence, 4);
        want->sequence = b->sequence;
        assert_true(block_equal(b, want));
        block_free(b);
    }
    assert_int_equal(recording_at_bytes(r), recording_size_bytes(r));
    *corrupt = recording_corrupt(r);
    recording_close(r);
    return n;
}

static void what_is_recorded_is_replayed(void **state)
{
    (void)state;
    uint64_t corrupt;
    make();
    assert_int_equal(count(&corrupt), 4);
    assert_int_equal(corrupt, 0);
}

static void a_torn_tail_ends_it(void **state)
{
    (void)state;
    uint64_t size = make(), corrupt;
    for (uint64_t cut = 1; cut < 150; cut++) {
        assert_int_equal(truncate(path, (off_t)(size - cut)), 0);
        assert_int_equal(count(&corrupt), 3);
        assert_int_equal(corrupt, 1);
    }
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(count(&corrupt), 0);
    assert_int_equal(corrupt, 0);
}

/* Only the header has a copy in the block. */
static void damage_is_mended_or_skipped(void **state)
{
    (void)state;
    uint64_t size = make(), corrupt, begin = 0, end = 0;
    CLEANUP(closep) int fd = open(path, O_RDWR);
    for (uint64_t at = 0; at < size; at += 13) {
        uint8_t byte;
        while (end <= at) { /* the next block; 16: its size */
            begin = end;
            assert_int_equal(pread(fd, &end, sizeof(end), (off_t)begin + 16), sizeof(end));
            end += begin;
        }
        bool header = at < begin + CODEC_HEADER;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        assert_int_equal(count(&corrupt), header ? 4 : 3);
        assert_int_equal(corrupt, header ? 0 : 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
}

static void a_file_that_is_something_else(void **state)
{
    (void)state;
    uint64_t corrupt;
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "#!/bin/sh\necho VIGIABLK\n", 24), 24);
    assert_int_equal(count(&corrupt), 0);
    assert_int_equal(corrupt, 1);
    struct recording *r = NULL;
    assert_int_equal(recording_open("/nonexistent/x.vgr", &r), -ENOENT);
    assert_int_equal(recording_create("/nonexistent/x.vgr", &r), -ENOENT);
    assert_null(r);
}

/* /dev/full takes nothing: the real error of a full disk. */
static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    struct recording *r = NULL;
    assert_int_equal(recording_create("/dev/full", &r), 0);
    CLEANUP(block_freep) struct block *b = random_block(1, 4);
    assert_int_equal(recording_append(r, b), -ENOSPC);
    assert_int_equal(recording_size_bytes(r), 0);
    recording_close(r);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_recorded_is_replayed), TEST(a_torn_tail_ends_it),
        TEST(damage_is_mended_or_skipped),  TEST(a_file_that_is_something_else),
        TEST(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
