/* kill -9 at random moments, fifty times: what a commit acknowledged is there, once, and what the
 * store acknowledges of the spool is what is there. */
#include "samples.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 50

/* Commits blocks from the acknowledged sequence on, and tells the pipe each one that returned. */
static void commit_for_ever(const char *path, int pipe_fd)
{
    struct store *s = NULL;
    if (store_open(NULL, &(struct store_options){.path = path}, &s) < 0)
        _exit(3);
    uint64_t sequence = 0;
    if (store_acknowledged(s, spool_a, &sequence) < 0)
        _exit(4);
    for (;;) {
        sequence++;
        char key[32];
        snprintf(key, sizeof(key), "%08u", (unsigned)sequence);
        json_auto_t *body = json_pack("{s:I}", "sequence", (json_int_t)sequence);
        struct store_document d = {.kind = STORE_ALERT, .key = key, .time = T0, .body = body};
        struct bin bin;
        struct bin_count counts[2];
        struct store_bin b = sample_bin(&bin, counts, 3, T0 + (double)(sequence / 4));
        struct window w = sample_window(3, sequence * 65, MONO0 + sequence, 64);
        struct store_window kept = {&w, T0, STORE_SAMPLE, "w"};
        struct store_batch batch = {&d, NULL, &kept, &b, 1, 0, 1, 1, spool_a, sequence};
        if (store_commit(s, &batch) < 0)
            _exit(5);
        if (sequence % 7 == 0) { /* also while it forgets and rolls up */
            struct store_retention keep = {
                .windows_age_s = 1e9, .bins_second_age_s = 1, .size_max_bytes = 64 << 20};
            if (store_purge(s, &keep, T0 + (double)(sequence / 4), NULL) < 0)
                _exit(6);
        }
        if (write(pipe_fd, &sequence, sizeof(sequence)) != sizeof(sequence))
            _exit(7);
    }
}

static uint64_t last_told(int fd)
{
    uint64_t sequence = 0, next;
    while (read(fd, &next, sizeof(next)) == sizeof(next))
        sequence = next;
    return sequence;
}

static uint64_t check(const char *path, uint64_t told)
{
    struct store *s = NULL;
    assert_int_equal(store_open(NULL, &(struct store_options){.path = path}, &s), 0);
    uint64_t acknowledged = 0, documents = 0, calls = 0;
    assert_int_equal(store_acknowledged(s, spool_a, &acknowledged), 0);
    /* One commit may have returned whose number did not reach the pipe. */
    assert_true(acknowledged >= told);
    assert_int_equal(store_find(s, &(struct store_query){.kind = STORE_ALERT}, NULL, &documents),
                     0);
    assert_int_equal(documents, acknowledged);
    CLEANUP(store_rows_done) struct store_rows series = {0};
    assert_int_equal(store_series(s, &(struct store_selection){.step_s = 3600}, &series), 0);
    for (uint32_t i = 0; i < series.n; i++)
        calls += series.points[i].calls;
    assert_int_equal(calls, acknowledged * 100);
    struct store_stats stats;
    assert_int_equal(store_get_stats(s, &stats), 0);
    assert_int_equal(stats.windows, acknowledged);
    store_close(s);
    return acknowledged;
}

static void test_kill_9_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    uint64_t last = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(fds[0]);
            commit_for_ever(place.path, fds[1]);
        }
        close(fds[1]);
        usleep(1000 + (useconds_t)(rand_r(&seed) % 50000));
        kill(pid, SIGKILL);
        int status = 0;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status)); /* it did not end by itself with an error */
        uint64_t told = last_told(fds[0]);
        close(fds[0]);
        assert_true(told == 0 || told > last);
        last = check(place.path, told ? told : last);
    }
    print_message("%u commits survived %d kills\n", (unsigned)last, ROUNDS);
    assert_true(last > 0);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill_9_loses_nothing_acknowledged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
