/* What goes wrong around a database file: each case says which file and what to do, and leaves a
 * file that it cannot use byte for byte as it is. */
#include "samples.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mount.h>

#include "base/hash.h"

static struct place place;

static int setup(void **state)
{
    (void)state;
    place_make(&place);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    place_remove(&place);
    return 0;
}

static int try_open(bool read_only, struct store **ret)
{
    struct store_options options = {.path = place.path, .read_only = read_only, .busy_ms = 50};
    return store_open(NULL, &options, ret);
}

static int put_user(struct store *s, const char *name, size_t padding)
{
    json_auto_t *body = json_object();
    CLEANUP(freep) char *text = malloc(padding + 1);
    memset(text, 'x', padding);
    text[padding] = '\0';
    json_object_set_new(body, "text", json_string(text));
    struct store_document d = {.kind = STORE_USER, .key = name, .time = T0, .body = body};
    return store_put(s, &d);
}

static void make_database(unsigned users)
{
    struct store *s = NULL;
    assert_int_equal(try_open(false, &s), 0);
    for (unsigned i = 0; i < users; i++) {
        char name[32];
        snprintf(name, sizeof(name), "user %u", i);
        assert_int_equal(put_user(s, name, 3000), 0);
    }
    store_close(s);
}

static uint64_t hash_of_file(const char *path)
{
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    static char data[8 << 20];
    size_t n = fread(data, 1, sizeof(data), f);
    return hash_bytes(data, n);
}

/* Runs the open with standard error in a file; the message must name the database and a remedy. */
static void expect_refused(bool read_only, int error, const char *remedy)
{
    char path[128], log[4096] = "";
    snprintf(path, sizeof(path), "%s/log", place.directory);
    uint64_t before = hash_of_file(place.path);
    int saved = dup(2), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 2);
    struct store *s = NULL;
    int r = try_open(read_only, &s);
    dup2(saved, 2);
    close(saved);
    assert_true(pread(fd, log, sizeof(log) - 1, 0) > 0);
    close(fd);
    assert_int_equal(r, error);
    assert_null(s);
    assert_non_null(strstr(log, place.path));
    assert_non_null(strstr(log, remedy));
    assert_true(hash_of_file(place.path) == before);
}

static void patch(off_t at, const void *data, size_t size)
{
    int fd = open(place.path, O_WRONLY);
    assert_int_equal(pwrite(fd, data, size, at), size);
    close(fd);
}

static void sql(const char *text)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(place.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_newer_version_is_left_alone(void **state)
{
    (void)state;
    make_database(1);
    sql("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)");
    expect_refused(false, -EPROTONOSUPPORT, "newer vigia");
    expect_refused(true, -EPROTONOSUPPORT, "newer vigia");
}

static void test_what_is_no_database_of_ours(void **state)
{
    (void)state;
    char directory[128];
    snprintf(directory, sizeof(directory), "%s/data", place.directory);
    mkdir(directory, 0700);
    sql("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    expect_refused(false, -EBADMSG, "another --data");
    sql("PRAGMA application_id = 7");
    expect_refused(true, -EBADMSG, "another --data");
    unlink(place.path);
    CLEANUP(fclosep) FILE *f = fopen(place.path, "we");
    fputs("alerts: none\n", f);
    fflush(f);
    expect_refused(false, -EBADMSG, "move it away");
}

static void test_damaged_pages(void **state)
{
    (void)state;
    make_database(100);
    char junk[4096];
    memset(junk, 0xa5, sizeof(junk));
    struct stat st;
    stat(place.path, &st);
    /* Any page: its damage is found when it is opened to write, before anything is written. */
    unsigned found = 0;
    for (off_t at = 4096; at + 4096 <= st.st_size; at += 9 * 4096) {
        char saved[4096];
        int fd = open(place.path, O_RDONLY);
        assert_int_equal(pread(fd, saved, sizeof(saved), at), sizeof(saved));
        close(fd);
        patch(at, junk, sizeof(junk));
        expect_refused(false, -EBADMSG, "damaged");
        patch(at, saved, sizeof(saved));
        found++;
    }
    assert_true(found > 5);
    assert_int_equal(truncate(place.path, st.st_size / 2), 0);
    expect_refused(false, -EBADMSG, "damaged");
}

static void test_locked(void **state)
{
    (void)state;
    struct store *s = NULL;
    assert_int_equal(try_open(false, &s), 0);
    assert_int_equal(put_user(s, "ana", 1), 0);
    sqlite3 *other = NULL;
    sqlite3_open(place.path, &other);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put_user(s, "rui", 1), -EBUSY);
    /* Reading goes on meanwhile, also for who comes new. */
    struct store *reader = NULL;
    assert_int_equal(try_open(true, &reader), 0);
    assert_int_equal(store_get(reader, STORE_USER, "ana", NULL, NULL, NULL), 0);
    assert_int_equal(store_get(s, STORE_USER, "rui", NULL, NULL, NULL), -ENOENT);
    store_close(reader);
    sqlite3_close(other);
    assert_int_equal(put_user(s, "rui", 1), 0);
    store_close(s);
}

/* The same batch goes in once there is room again; what was acknowledged before is all there. */
static void test_full_disk(void **state)
{
    (void)state;
    char directory[128], ballast[160];
    snprintf(directory, sizeof(directory), "%s/data", place.directory);
    snprintf(ballast, sizeof(ballast), "%s/ballast", directory);
    mkdir(directory, 0700);
    if (mount("vigia-test", directory, "tmpfs", 0, "size=2m") < 0) {
        print_message("cannot mount a tmpfs here: %s\n", strerror(errno));
        skip();
    }
    struct store *s = NULL;
    int opened = try_open(false, &s);
    int fd = open(ballast, O_WRONLY | O_CREAT, 0600);
    int kept = posix_fallocate(fd, 0, 1 << 20);
    close(fd);
    unsigned n = 0;
    int r = 0;
    char name[32];
    while (r == 0 && n < 10000) {
        snprintf(name, sizeof(name), "user %u", n);
        r = put_user(s, name, 3000);
        n += r == 0;
    }
    int again = put_user(s, name, 3000);
    unlink(ballast);
    int with_room = put_user(s, name, 3000);
    unsigned missing = 0;
    for (unsigned i = 0; i <= n; i++) {
        snprintf(name, sizeof(name), "user %u", i);
        missing += store_get(s, STORE_USER, name, NULL, NULL, NULL) < 0;
    }
    store_close(s);
    umount2(directory, MNT_DETACH);
    assert_int_equal(opened, 0);
    assert_int_equal(kept, 0);
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(again, -ENOSPC);
    assert_int_equal(with_room, 0);
    assert_true(n > 10);
    assert_int_equal(missing, 0);
}

static void test_files_are_private(void **state)
{
    (void)state;
    make_database(1);
    struct stat st;
    assert_int_equal(stat(place.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* Opening the same file again must not cost this process its locks: another process, closing what
 * it takes for the last connection, would delete the WAL under us and what we write after would be
 * lost. */
static void test_other_process_leaves_the_wal(void **state)
{
    (void)state;
    struct store *writer, *reader;
    char command[256], wal[128];
    struct stat st;
    assert_int_equal(try_open(false, &writer), 0);
    assert_int_equal(put_user(writer, "before", 10), 0);
    assert_int_equal(try_open(true, &reader), 0);
    snprintf(
        command, sizeof(command),
        "sqlite3 %s \"INSERT INTO documents (kind, key, time, body) SELECT kind, 'other', time,"
        " body FROM documents WHERE key = 'before'\"",
        place.path);
    assert_int_equal(system(command), 0);
    snprintf(wal, sizeof(wal), "%s-wal", place.path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(store_get(reader, STORE_USER, "other", NULL, NULL, NULL), 0);
    assert_int_equal(put_user(writer, "after", 10), 0);
    assert_int_equal(store_get(reader, STORE_USER, "after", NULL, NULL, NULL), 0);
    snprintf(command, sizeof(command),
             "test \"$(sqlite3 %s \"SELECT count(*) FROM documents\")\" = 3", place.path);
    assert_int_equal(system(command), 0);
    store_close(reader);
    store_close(writer);
}

/* Lists of alerts, their counts and totals do not depend on the size of the alerts: they would not
 * notice that one is damaged. */
static void test_lists_leave_whole_alerts_alone(void **state)
{
    (void)state;
    struct store *s = NULL;
    json_auto_t *body =
        json_pack("{s:s, s:b, s:f, s:[]}", "state", "new", "held", 0, "score", 60.0, "sequences");
    struct store_document d = {.kind = STORE_ALERT, .key = "a1", .time = T0, .body = body};
    assert_int_equal(try_open(false, &s), 0);
    assert_int_equal(store_put(s, &d), 0);
    store_close(s);
    sql("DROP TRIGGER brief_changed; UPDATE documents SET body = 'damaged'");
    struct store_query q = {.kind = STORE_ALERT,
                            .where = {{"held", "false"}, {"state", "new"}},
                            .sort = "score",
                            .limit = 1,
                            .brief = true};
    json_auto_t *list = NULL;
    uint64_t total = 0;
    CLEANUP(store_rows_done) struct store_rows counts = {0};
    assert_int_equal(try_open(true, &s), 0);
    assert_int_equal(store_find(s, &q, &list, &total), 0);
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(total, 1);
    assert_int_equal(store_counts(s, &q, "held", &counts), 0);
    assert_int_equal(counts.n, 1);
    assert_int_equal(store_get(s, STORE_ALERT, "a1", NULL, NULL, NULL), -EBADMSG);
    store_close(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_newer_version_is_left_alone),
        T(test_what_is_no_database_of_ours),
        T(test_damaged_pages),
        T(test_locked),
        T(test_full_disk),
        T(test_files_are_private),
        T(test_other_process_leaves_the_wal),
        T(test_lists_leave_whole_alerts_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
