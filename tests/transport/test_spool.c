#include "transport/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "test.h"
#include "transport/blocks.h"
#include "transport/broker.h"
#include "transport/codec.h"
#include "transport/ledger.h"

static char directory[64];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/vigia-spool-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static struct spool *open_spool(uint64_t size_max, uint64_t segment_max, bool read_only)
{
    struct spool_options options = {.directory = directory,
                                    .size_max_bytes = size_max,
                                    .segment_max_bytes = segment_max,
                                    .sync = false,
                                    .read_only = read_only};
    struct spool *s = NULL;
    assert_int_equal(spool_open(&options, &s), 0);
    return s;
}

static void shorten(char *s)
{
    if (strlen(s) > 12)
        s[12] = '\0';
}

/* A small block whose ledger agrees with its windows, all of container 3. */
static struct block *make_block(uint64_t seed)
{
    struct block *b = random_block(seed, 4);
    for (uint32_t i = 0; i < b->n_processes; i++) {
        shorten(b->processes[i].path);
        shorten(b->processes[i].arguments);
    }
    for (uint32_t i = 0; i < b->n_texts; i++)
        shorten(b->texts[i].text);
    for (uint32_t i = 0; i < b->n_containers; i++) {
        struct container *c = &b->containers[i];
        char *strings[] = {c->id,  c->runtime, c->name,    c->image,    c->version, c->namespace_,
                           c->pod, c->owner,   c->command, c->workload, c->reason};
        for (size_t k = 0; k < ARRAY_SIZE(strings); k++)
            shorten(strings[k]);
    }
    b->capture = 77;
    uint64_t calls = codec_calls(b);
    free(b->ledger);
    b->ledger = calloc(1, sizeof(*b->ledger));
    b->n_ledger = 1;
    b->ledger[0] = (struct ledger_count){.container = 3, .seen = calls + 5, .delivered = calls};
    b->ledger[0].dropped[DROP_RING_FULL] = 5;
    return b;
}

static void append(struct spool *s, uint64_t seed)
{
    CLEANUP(block_freep) struct block *b = make_block(seed);
    assert_int_equal(spool_append(s, b), 0);
}

static void expect(struct spool *s, uint64_t sequence, uint64_t seed)
{
    CLEANUP(block_freep) struct block *b = NULL, *want = make_block(seed);
    assert_int_equal(spool_read(s, sequence, 0, &b), 0);
    assert_int_equal(b->sequence, sequence);
    want->sequence = sequence;
    spool_uuid(s, want->spool);
    assert_true(block_equal(b, want));
}

static void segment_path(uint64_t first, char ret[160])
{
    snprintf(ret, 160, "%s/%020lu.vgr", directory, (unsigned long)first);
}

static uint32_t files_in(const char *name)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    DIR *d = opendir(path);
    uint32_t n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void empty_corrupt(void)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/corrupt", directory);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    }
    closedir(d);
}

static void blocks_come_back_in_order(void **state)
{
    (void)state;
    struct spool *s = open_spool(0, 4096, false);
    for (uint64_t i = 1; i <= 40; i++)
        append(s, i);
    for (uint64_t i = 1; i <= 40; i++)
        expect(s, i, i);
    expect(s, 7, 7); /* again, from the middle */
    expect(s, 8, 8);
    struct block *none = NULL;
    assert_int_equal(spool_read(s, 41, 0, &none), -ETIMEDOUT);
    struct spool_stats stats;
    spool_get_stats(s, &stats);
    assert_true(stats.segments > 3 && stats.last_sequence == 40 && stats.first_sequence == 1);
    spool_close(s);
    s = open_spool(0, 4096, false);
    CLEANUP(block_freep) struct block *last = NULL;
    assert_int_equal(spool_last(s, &last), 0);
    assert_int_equal(last->sequence, 40);
    append(s, 41);
    expect(s, 40, 40);
    expect(s, 41, 41);
    spool_close(s);
}

/* A spool of n blocks in one segment; where each ends: ends[1...n]. Its file. */
static int fill(uint64_t n, uint64_t *ends)
{
    struct spool *s = open_spool(0, 0, false);
    ends[0] = 0;
    for (uint64_t i = 1; i <= n; i++) {
        append(s, i);
        struct spool_stats stats;
        spool_get_stats(s, &stats);
        ends[i] = stats.size_bytes;
    }
    spool_close(s);
    char path[160];
    segment_path(1, path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void flip(int fd, uint64_t at)
{
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= (uint8_t)(1 << at % 8);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void wipe(int fd, uint64_t at, uint64_t end)
{
    static const uint8_t zeros[65536];
    assert_int_equal(pwrite(fd, zeros, end - at, (off_t)at), end - at);
}

static struct ledger_count counts_of(const struct block *b)
{
    struct ledger ledger;
    ledger_init(&ledger);
    assert_int_equal(ledger_add(&ledger, b), 0);
    struct ledger_count total = ledger_total(&ledger);
    ledger_done(&ledger);
    return total;
}

/* Block lost was there, but damaged; the next one of the spool brings what is known of it. */
static void expect_booked(struct spool *s, uint64_t lost, uint64_t seed)
{
    CLEANUP(block_freep) struct block *b = NULL, *was = make_block(lost), *is = make_block(seed);
    assert_int_equal(spool_read(s, lost, 0, &b), 0);
    assert_int_equal(b->sequence, lost + 1);
    struct ledger_count total = counts_of(b);
    assert_true(ledger_balanced(&total));
    assert_int_equal(total.seen, was->ledger[0].seen + is->ledger[0].seen);
    assert_int_equal(total.delivered, codec_calls(is));
}

/* The power goes at every byte of the last segment: all blocks that were whole come back, none
 * other, and the spool goes on with the number after them. Of one whose data never came although
 * its header did, the calls are booked. */
static void power_cut_at_every_byte(void **state)
{
    (void)state;
    uint64_t ends[4];
    CLEANUP(closep) int fd = fill(3, ends);
    CLEANUP(freep) uint8_t *bytes = malloc(ends[3]);
    assert_int_equal(read(fd, bytes, ends[3]), ends[3]);
    for (uint64_t cut = 0; cut <= ends[3]; cut++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, cut, 0), cut);
        /* half of the times the file has its length, but the data never came */
        if (cut % 2)
            assert_int_equal(ftruncate(fd, (off_t)ends[3]), 0);
        uint64_t whole = 0;
        while (whole < 3 && ends[whole + 1] <= cut)
            whole++;
        struct spool_stats stats;
        struct spool *s = open_spool(0, 0, false);
        spool_get_stats(s, &stats);
        /* zeros that were zeros in the data as well are the data */
        if (stats.last_sequence != whole)
            assert_true(cut % 2 && stats.last_sequence > whole);
        whole = stats.last_sequence;
        uint64_t lost = whole < 3 && cut % 2 && stats.size_bytes == ends[whole + 1];
        assert_int_equal(stats.size_bytes, ends[whole + lost]);
        if (whole < 3 && cut % 2 && cut >= ends[whole] + CODEC_HEADER)
            assert_true(lost);
        append(s, 9);
        for (uint64_t i = cut % 16 ? whole : 1; i && i <= whole; i++)
            expect(s, i, i);
        if (lost)
            expect_booked(s, whole + 1, 9);
        else
            expect(s, whole + 1, 9);
        spool_get_stats(s, &stats);
        assert_int_equal(stats.blocks_corrupt, lost);
        spool_close(s);
        if (lost)
            empty_corrupt();
    }
}

/* Damage to the last block is no torn tail: its calls are booked like those of any other. */
static void damage_to_the_last_block_is_booked(void **state)
{
    (void)state;
    uint64_t ends[4];
    CLEANUP(closep) int fd = fill(3, ends);
    for (uint64_t at = ends[2] + CODEC_HEADER; at < ends[3]; at += 7) {
        flip(fd, at);
        struct spool *s = open_spool(0, 0, false);
        struct spool_stats stats;
        spool_get_stats(s, &stats);
        assert_int_equal(stats.last_sequence, 2);
        assert_int_equal(stats.torn_bytes, 0);
        append(s, 9);
        expect(s, 2, 2);
        expect_booked(s, 3, 9);
        assert_int_equal(files_in("corrupt"), 2);
        spool_close(s);
        empty_corrupt();
        flip(fd, at);
        assert_int_equal(ftruncate(fd, (off_t)ends[3]), 0);
    }
}

/* A damaged byte behind the header costs the block it is in, all that the kernel saw in it is
 * counted, and no other block is lost or changed. */
static void damage_costs_one_block(void **state)
{
    (void)state;
    uint64_t ends[4];
    CLEANUP(closep) int fd = fill(3, ends);
    CLEANUP(block_freep) struct block *second = make_block(2), *third = make_block(3);
    for (uint64_t at = ends[1] + CODEC_HEADER; at < ends[2]; at++) {
        flip(fd, at);
        struct spool *s = open_spool(0, 0, false);
        expect(s, 1, 1);
        CLEANUP(block_freep) struct block *b = NULL;
        assert_int_equal(spool_read(s, 2, 0, &b), 0);
        assert_int_equal(b->sequence, 3);
        struct ledger_count total = counts_of(b);
        assert_true(ledger_balanced(&total));
        assert_int_equal(total.seen, second->ledger[0].seen + third->ledger[0].seen);
        assert_int_equal(total.delivered, codec_calls(third));
        /* without its ledger, what the kernel had dropped is dropped with the rest */
        bool lost = total.dropped[DROP_RING_FULL] == 5;
        assert_int_equal(total.dropped[DROP_CORRUPT], codec_calls(second) + (lost ? 5 : 0));
        assert_int_equal(files_in("corrupt"), 2); /* the bytes, and the reason */
        empty_corrupt();
        flip(fd, at);
        spool_close(s);
    }
}

/* The header stands in the block a second time: damage to it alone costs nothing, wherever it is,
 * in one block, in neighbours, in the last one. */
static void a_damaged_header_costs_nothing(void **state)
{
    (void)state;
    uint64_t ends[5];
    CLEANUP(closep) int fd = fill(4, ends);
    for (uint64_t at = 0; at <= CODEC_HEADER; at++) {
        for (uint64_t i = 1; i <= 4; i++) {
            if (at == CODEC_HEADER)
                wipe(fd, ends[i - 1], ends[i - 1] + CODEC_HEADER);
            else if (i != 1 + at % 4) /* three of them */
                flip(fd, ends[i - 1] + at);
        }
        struct spool *s = open_spool(0, 0, false);
        struct spool_stats stats;
        spool_get_stats(s, &stats);
        assert_int_equal(stats.last_sequence, 4);
        for (uint64_t i = 1; i <= 4; i++)
            expect(s, i, i);
        spool_get_stats(s, &stats);
        assert_int_equal(stats.blocks_corrupt, 0);
        CLEANUP(block_freep) struct block *last = NULL;
        assert_int_equal(spool_last(s, &last), 0);
        assert_int_equal(last->sequence, 4);
        spool_close(s);
        for (uint64_t i = 1; i <= 4 && at < CODEC_HEADER; i++) {
            if (i != 1 + at % 4)
                flip(fd, ends[i - 1] + at);
        }
    }
}

/* Header and contents: what was seen is known from the copy. */
static void a_damaged_header_and_more(void **state)
{
    (void)state;
    uint64_t ends[4];
    CLEANUP(closep) int fd = fill(3, ends);
    wipe(fd, ends[1], ends[2] - CODEC_COPY);
    struct spool *s = open_spool(0, 0, false);
    expect(s, 1, 1);
    CLEANUP(block_freep) struct block *b = NULL, *second = make_block(2);
    assert_int_equal(spool_read(s, 2, 0, &b), 0);
    assert_int_equal(b->sequence, 3);
    assert_int_equal(b->n_ledger, 2);
    assert_int_equal(b->ledger[1].seen, second->ledger[0].seen);
    assert_int_equal(b->ledger[1].dropped[DROP_CORRUPT], second->ledger[0].seen);
    struct gap *gap = &b->gaps[b->n_gaps - 1];
    assert_true(gap->calls == second->ledger[0].seen && gap->reason == DROP_CORRUPT &&
                gap->first_ns == second->from_ns && gap->last_ns == second->until_ns);
    spool_close(s);
}

/* Header and copy: nobody knows how many calls, so that time is blind, with the place; told once.
 */
static void what_cannot_be_known_is_blind(void **state)
{
    (void)state;
    uint64_t ends[5];
    CLEANUP(closep) int fd = fill(4, ends);
    flip(fd, ends[1] + 50);
    flip(fd, ends[2] - 50);
    struct spool *s = open_spool(0, 0, false);
    CLEANUP(block_freep) struct block *first = make_block(1), *third = make_block(3);
    expect(s, 1, 1);
    for (int i = 0; i < 2; i++) { /* the same again, by another reader */
        CLEANUP(block_freep) struct block *b = NULL;
        assert_int_equal(spool_read(s, 2, 0, &b), 0);
        assert_int_equal(b->sequence, 3);
        assert_int_equal(b->n_blinds, third->n_blinds + 1);
        struct blind *blind = &b->blinds[third->n_blinds];
        char place[64];
        snprintf(place, sizeof(place), "%lu unreadable bytes at %lu of segment 1 ",
                 (unsigned long)(ends[2] - ends[1]), (unsigned long)ends[1]);
        assert_non_null(strstr(blind->reason, place));
        assert_int_equal(blind->last_ns, third->from_ns);
        assert_int_equal(blind->first_ns, MIN(first->until_ns, third->from_ns));
        struct ledger_count total = counts_of(b);
        assert_true(ledger_balanced(&total) && total.seen == third->ledger[0].seen);
        assert_int_equal(files_in("corrupt"), 2);
    }
    expect(s, 3, 3); /* who has block 2 behind him is not told */
    expect(s, 4, 4);
    spool_close(s);
}

/* The same when the segment goes before it is read. */
static void what_goes_unread_and_unknown_is_blind(void **state)
{
    (void)state;
    uint64_t ends[4];
    CLEANUP(closep) int fd = fill(3, ends);
    flip(fd, ends[1] + 50);
    flip(fd, ends[2] - 50);
    struct spool *s = open_spool(20000, 1, false);
    uint64_t seen = 0, found = 0, delivered = 0;
    for (uint64_t i = 1; i <= 3; i++) {
        CLEANUP(block_freep) struct block *b = make_block(i);
        seen += i == 2 ? 0 : b->ledger[0].seen;
    }
    struct spool_stats stats = {0};
    uint64_t n = 4;
    for (; stats.first_sequence <= 1; n++) {
        CLEANUP(block_freep) struct block *b = make_block(n);
        seen += b->ledger[0].seen;
        assert_int_equal(spool_append(s, b), 0);
        spool_get_stats(s, &stats);
    }
    struct ledger ledger;
    ledger_init(&ledger);
    for (uint64_t next = 1; next < n;) {
        CLEANUP(block_freep) struct block *b = NULL;
        assert_int_equal(spool_read(s, next, 0, &b), 0);
        next = b->sequence + 1;
        delivered += codec_calls(b);
        for (uint32_t i = 0; i < b->n_blinds; i++)
            found += strstr(b->blinds[i].reason, "unreadable bytes") != NULL;
        assert_int_equal(ledger_add(&ledger, b), 0);
    }
    assert_int_equal(found, 1);
    struct ledger_count total = ledger_total(&ledger);
    assert_true(ledger_balanced(&total) && total.seen == seen && total.delivered == delivered);
    ledger_done(&ledger);
    spool_close(s);
}

static void the_bound_holds_and_loss_is_counted(void **state)
{
    (void)state;
    struct spool *s = open_spool(20000, 4096, false);
    uint64_t seen = 0, stored = 0;
    struct spool_stats stats;
    for (uint64_t i = 1; i <= 200; i++) {
        CLEANUP(block_freep) struct block *b = make_block(i);
        seen += b->ledger[0].seen;
        assert_int_equal(spool_append(s, b), 0);
        spool_get_stats(s, &stats);
        assert_true(stats.size_bytes <= 20000 + 4096);
        if (i == 50)
            spool_acknowledge(s, 10); /* nothing has been read: 11... are lost when they go */
    }
    assert_true(stats.blocks_lost > 100);
    struct ledger ledger;
    ledger_init(&ledger);
    for (uint64_t next = 1; next <= 200;) {
        CLEANUP(block_freep) struct block *b = NULL;
        assert_int_equal(spool_read(s, next, 0, &b), 0);
        next = b->sequence + 1;
        stored += codec_calls(b);
        assert_int_equal(ledger_add(&ledger, b), 0);
    }
    /* the losses of the blocks lost travel in blocks, some of which were lost themselves */
    struct ledger_count total = ledger_total(&ledger);
    assert_true(ledger_balanced(&total));
    assert_int_equal(total.delivered, stored);
    assert_int_equal(total.seen, seen);
    ledger_done(&ledger);
    spool_close(s);
}

struct flood {
    struct spool *spool;
    uint64_t seen;
};

static void *write_flood(void *data)
{
    struct flood *f = data;
    for (uint64_t i = 1; i <= 3000; i++) {
        CLEANUP(block_freep) struct block *b = make_block(i % 50);
        f->seen += b->ledger[0].seen;
        assert_int_equal(spool_append(f->spool, b), 0);
    }
    return NULL;
}

/* A reader that is overtaken by the bound gets each call once: in a window or in a loss. */
static void overtaken_while_reading(void **state)
{
    (void)state;
    struct flood f = {open_spool(20000, 4096, false), 0};
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_flood, &f), 0);
    struct ledger ledger;
    ledger_init(&ledger);
    uint64_t stored = 0, blocks = 0;
    for (uint64_t next = 1; next <= 3000; blocks++) {
        CLEANUP(block_freep) struct block *b = NULL;
        assert_int_equal(spool_read(f.spool, next, 60000, &b), 0);
        assert_true(b->sequence >= next);
        next = b->sequence + 1;
        stored += codec_calls(b);
        assert_int_equal(ledger_add(&ledger, b), 0);
        spool_acknowledge(f.spool, b->sequence);
        if (blocks % 10 == 0)
            usleep(500);
    }
    pthread_join(writer, NULL);
    struct ledger_count total = ledger_total(&ledger);
    assert_int_equal(total.delivered, stored);
    assert_int_equal(total.seen, f.seen);
    assert_true(ledger_balanced(&total));
    ledger_done(&ledger);
    spool_close(f.spool);
}

static void what_is_acknowledged_is_no_loss(void **state)
{
    (void)state;
    struct spool *s = open_spool(20000, 4096, false);
    for (uint64_t i = 1; i <= 100; i++) {
        append(s, i);
        spool_acknowledge(s, i);
    }
    struct spool_stats stats;
    spool_get_stats(s, &stats);
    assert_true(stats.first_sequence > 1 && stats.blocks_lost == 0);
    spool_close(s);
}

/* A full disk for real: a small tmpfs. */
static void full_disk(void **state)
{
    (void)state;
    if (mount("vigia-test", directory, "tmpfs", 0, "size=64k") < 0)
        skip();
    struct spool *s = open_spool(1 << 20, 16384, false);
    uint64_t n = 0;
    int r = 0;
    struct spool_stats stats;
    for (; r == 0 && n < 1000; n += r == 0) {
        CLEANUP(block_freep) struct block *b = make_block(n + 1);
        r = spool_append(s, b);
        assert_true(r == 0 || b->sequence != n + 1); /* no number used up */
    }
    assert_int_equal(r, -ENOSPC);
    for (int i = 0; i < 5; i++) {
        CLEANUP(block_freep) struct block *b = make_block(n + 1);
        assert_int_equal(spool_append(s, b), -ENOSPC);
    }
    spool_get_stats(s, &stats);
    assert_true(stats.degraded && stats.write_errors == 6 && stats.last_sequence == n);
    for (uint64_t i = 1; i <= n; i++)
        expect(s, i, i);
    /* the store has the first half: its segments make room, by themselves */
    spool_acknowledge(s, n / 2);
    append(s, n + 1);
    spool_get_stats(s, &stats);
    assert_true(!stats.degraded && stats.last_sequence == n + 1 && stats.blocks_lost == 0);
    expect(s, n + 1, n + 1);
    spool_close(s);
    s = open_spool(1 << 20, 16384, false);
    spool_get_stats(s, &stats);
    assert_true(stats.last_sequence == n + 1);
    append(s, n + 2);
    expect(s, n + 2, n + 2);
    spool_close(s);
    assert_int_equal(umount(directory), 0);
}

static void one_writer_and_readers_that_change_nothing(void **state)
{
    (void)state;
    struct spool *s = open_spool(0, 4096, false), *second = NULL;
    struct spool_options options = {.directory = directory};
    assert_int_equal(spool_open(&options, &second), -EBUSY);
    for (uint64_t i = 1; i <= 10; i++)
        append(s, i);
    uint32_t files = files_in(".");
    struct spool *reader = open_spool(0, 4096, true);
    for (uint64_t i = 1; i <= 10; i++)
        expect(reader, i, i);
    for (uint64_t i = 11; i <= 30; i++) {
        append(s, i);
        expect(reader, i, i);
    }
    /* half a block at the end, as while the other writes: not there yet, and left alone */
    struct spool_stats stats;
    spool_get_stats(s, &stats);
    char path[160];
    for (uint64_t first = 30; first; first--) {
        segment_path(first, path);
        if (access(path, F_OK) == 0)
            break;
    }
    CLEANUP(closep) int fd = open(path, O_RDWR | O_APPEND);
    uint8_t half[200] = "VIGIABLK";
    assert_int_equal(write(fd, half, sizeof(half)), sizeof(half));
    struct block *none = NULL;
    assert_int_equal(spool_read(reader, 31, 50, &none), -ETIMEDOUT);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    off_t size = st.st_size;
    spool_close(reader);
    reader = open_spool(0, 0, true);
    spool_get_stats(reader, &stats);
    assert_int_equal(stats.last_sequence, 30);
    spool_close(reader);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, size);
    assert_true(files_in(".") >= files && files_in("corrupt") == 0);
    spool_close(s);
}

static void *write_many(void *data)
{
    for (uint64_t i = 1; i <= 300; i++)
        append(data, i);
    return NULL;
}

static void a_reader_waits_for_the_writer(void **state)
{
    (void)state;
    struct spool *s = open_spool(0, 8192, false);
    const struct broker_ops *ops = broker_find("local");
    struct broker *broker = NULL;
    struct broker_options options = {.spool = s};
    assert_int_equal(ops->open(&options, &broker), 0);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_many, s), 0);
    for (uint64_t i = 1; i <= 300; i++) {
        CLEANUP(block_freep) struct block *b = NULL;
        assert_int_equal(ops->next(broker, 60000, &b), 0);
        assert_int_equal(b->sequence, i);
        assert_int_equal(ops->acknowledge(broker, b), 0);
    }
    pthread_join(writer, NULL);
    ops->close(broker);
    spool_close(s);
}

int main(void)
{
    log_set_level(LOG_LEVEL_NONE); /* what is repaired is said thousands of times here */
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(blocks_come_back_in_order),
        TEST(power_cut_at_every_byte),
        TEST(damage_to_the_last_block_is_booked),
        TEST(damage_costs_one_block),
        TEST(a_damaged_header_costs_nothing),
        TEST(a_damaged_header_and_more),
        TEST(what_cannot_be_known_is_blind),
        TEST(what_goes_unread_and_unknown_is_blind),
        TEST(the_bound_holds_and_loss_is_counted),
        TEST(overtaken_while_reading),
        TEST(what_is_acknowledged_is_no_loss),
        TEST(full_disk),
        TEST(one_writer_and_readers_that_change_nothing),
        TEST(a_reader_waits_for_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
