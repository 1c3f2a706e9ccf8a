/* Hand-made ring words in, windows out. */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "bpf/event.h"
#include "capture/assemble.h"
#include "test.h"

#define WORDS 4096

struct rings {
    uint64_t words[2][WORDS];
    struct ring_read read[2];
};

static struct rings *rings_new(void)
{
    struct rings *r = calloc(1, sizeof(*r));
    for (uint16_t i = 0; i < 2; i++)
        r->read[i] = (struct ring_read){
            .words = r->words[i], .mask = WORDS - 1, .cpu = i, .counted = CALLS_UNKNOWN};
    return r;
}

static void put(struct rings *r, int cpu, uint64_t word)
{
    r->words[cpu][r->read[cpu].head++ & (WORDS - 1)] = word;
}

static void put_context(struct rings *r, int cpu, uint64_t ns, uint32_t container, uint32_t tid,
                        uint32_t exec)
{
    put(r, cpu,
        (uint64_t)WORD_CONTEXT << WORD_TYPE_SHIFT | (uint64_t)container << CONTEXT_CONTAINER_SHIFT |
            tid);
    put(r, cpu, (uint64_t)WORD_CONTEXT << WORD_TYPE_SHIFT | ns);
    put(r, cpu,
        (uint64_t)WORD_CONTEXT << WORD_TYPE_SHIFT | 7ull << CONTEXT_GENERATION_SHIFT |
            (uint64_t)exec << CONTEXT_PROGRAM_SHIFT | tid);
}

static void put_call(struct rings *r, int cpu, uint32_t sysno, uint32_t flags, uint32_t hash)
{
    put(r, cpu,
        (uint64_t)WORD_SYSCALL << WORD_TYPE_SHIFT | (uint64_t)sysno << WORD_SYSNO_SHIFT |
            (uint64_t)flags << WORD_FLAGS_SHIFT | hash);
}

static void put_aux(struct rings *r, int cpu, uint32_t kind, uint64_t value)
{
    put(r, cpu, (uint64_t)WORD_AUX << WORD_TYPE_SHIFT | (uint64_t)kind << AUX_KIND_SHIFT | value);
}

static bool wanted(void *user, uint32_t *number)
{
    (void)user;
    return *number != 666;
}

static uint64_t program(void *user, uint32_t container, uint32_t exec, uint32_t tgid)
{
    (void)user, (void)container, (void)tgid;
    return 1000 + exec;
}

static uint64_t start(void *user, uint32_t tgid, uint64_t time_ns)
{
    (void)user, (void)time_ns;
    return 10 * tgid;
}

static uint64_t argument(void *user, uint32_t container, uint32_t hash)
{
    (void)user, (void)container;
    return hash == 5 ? 55 : 0;
}

static const struct names names = {NULL, wanted, program, start, argument};

static struct block *cut(struct assembler *a, struct rings *r, uint64_t t0, uint32_t windows_max)
{
    struct block *b = calloc(1, sizeof(*b));
    assert_int_equal(assembler_cut(a, r->read, 2, t0, windows_max, &names, b), 0);
    return b;
}

static struct assembler *assembler(uint32_t threads_max)
{
    struct assembler *a;
    assert_int_equal(assembler_new(42, threads_max, &a), 0);
    return a;
}

/* A thread that goes from CPU to CPU comes out in the order of its runs' times. */
static void test_merge(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    put_call(r, 0, 1, 0, 0);
    put_call(r, 0, 2, 0, 0);
    put_context(r, 1, 200, 1, 50, 1);
    put_call(r, 1, 3, 0, 0);
    put_context(r, 0, 300, 1, 50, 1);
    put_call(r, 0, 4, 0, 0);
    put_context(r, 1, 400, 1, 50, 1);
    put_call(r, 1, 5, 0, 0);
    struct block *b = cut(a, r, 350, 100);
    assert_int_equal(b->n_windows, 1);
    assert_int_equal(b->windows[0].n_calls, 4);
    for (uint16_t i = 0; i < 4; i++)
        assert_int_equal(b->windows[0].sysno[i], i + 1);
    assert_int_equal(b->windows[0].first_ns, 100);
    assert_int_equal(b->windows[0].last_ns, 300);
    assert_int_equal(b->windows[0].id.position, 3);
    assert_int_equal(b->windows[0].program, 1001);
    assert_int_equal(b->windows[0].start_ns, 500);
    assert_int_equal(b->ledger[0].seen, 4);
    block_free(b);
    b = cut(a, r, 500, 100); /* what was after the cut, with what was before it as context */
    assert_int_equal(b->n_windows, 1);
    assert_int_equal(b->windows[0].n_calls, 1);
    assert_int_equal(b->windows[0].sysno[0], 5);
    assert_int_equal(b->windows[0].n_context, 4);
    assert_int_equal(b->windows[0].context[3], 4);
    assert_int_equal(b->windows[0].id.position, 1ull << 48 | 7);
    block_free(b);
    assembler_free(a);
    free(r);
}

/* A run that goes on after the cut is taken up in its middle. */
static void test_continued(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    put_call(r, 0, 1, 0, 0);
    block_free(cut(a, r, 200, 100));
    put_call(r, 0, 2, 0, 0);
    struct block *b = cut(a, r, 300, 100);
    assert_int_equal(b->n_windows, 1);
    assert_int_equal(b->windows[0].tid, 50);
    assert_int_equal(b->windows[0].n_context, 1);
    assert_int_equal(b->checkpoint[0].position, 5);
    assert_int_equal(CONTEXT_TID(b->checkpoint[0].context[0]), 50);
    block_free(b);
    assembler_free(a);
    free(r);
}

static void test_64_and_exec(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    for (uint32_t i = 0; i < 100; i++)
        put_call(r, 0, 100 + i, 0, 0);
    put_context(r, 0, 110, 1, 50, 2); /* another program in the same thread */
    put_call(r, 0, SYS_execve, 0, 0);
    struct block *b = cut(a, r, 200, 100);
    assert_int_equal(b->n_windows, 3);
    assert_int_equal(b->windows[0].n_calls, 64);
    assert_int_equal(b->windows[1].n_calls, 36);
    assert_int_equal(b->windows[1].n_context, 16);
    assert_int_equal(b->windows[1].context[15], 163);
    assert_int_equal(b->windows[2].program, 1002);
    assert_int_equal(b->windows[2].n_context, 0);
    assert_int_equal(b->windows[2].flags, WINDOW_AFTER_EXEC);
    assert_int_equal(b->n_bins, 1);
    assert_int_equal(b->bins[0].n_counts, 101);
    block_free(b);
    assembler_free(a);
    free(r);
}

/* A tid that comes again, by chance with the same generation: nothing of the old thread is context
 * of the new one, in the same cut or a later one. */
static void test_tid_again(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    for (uint64_t ns = 100; ns < 300; ns += 100) {
        put_context(r, 0, ns, 1, 50, 1);
        put_call(r, 0, 1, 0, 0);
        put_call(r, 0, SYS_exit_group, 0, 0);
    }
    for (int i = 0; i < 2; i++) {
        struct block *b = cut(a, r, 1000, 100);
        assert_int_equal(b->n_windows, i ? 1 : 2);
        for (uint32_t w = 0; w < b->n_windows; w++) {
            assert_int_equal(b->windows[w].n_context, 0);
            assert_int_equal(b->windows[w].n_calls, i ? 1 : 2);
        }
        block_free(b);
        put_context(r, 0, 900, 1, 50, 1);
        put_call(r, 0, 2, 0, 0);
    }
    assembler_free(a);
    free(r);
}

static void test_gap(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    put_call(r, 0, 1, 0, 0);
    put_context(r, 1, 100, 1, 60, 1);
    put_call(r, 1, 1, 0, 0);
    put_aux(r, 0, AUX_GAP_FIRST, 150);
    put_aux(r, 0, AUX_GAP_LAST, 180);
    put_aux(r, 0, AUX_GAP_CONTAINER, 1);
    put_aux(r, 0, AUX_GAP_CALLS, 9);
    put_aux(r, 0, AUX_GAP_CONTAINER, 666);
    put_aux(r, 0, AUX_GAP_CALLS, 5);
    put_context(r, 0, 200, 1, 50, 1);
    put_call(r, 0, 2, WORD_AFTER_GAP, 0);
    put_context(r, 1, 220, 1, 60, 1); /* its calls may be missing too: it may have been on CPU 0 */
    put_call(r, 1, 2, 0, 0);
    struct block *b = cut(a, r, 300, 100);
    assert_int_equal(b->n_windows, 4);
    assert_int_equal(b->windows[0].flags | b->windows[1].flags, 0);
    assert_int_equal(b->windows[2].flags, WINDOW_AFTER_GAP);
    assert_int_equal(b->windows[3].flags, WINDOW_AFTER_GAP);
    assert_int_equal(b->windows[2].n_context, 0);
    assert_int_equal(b->windows[2].flag[0], CALL_AFTER_GAP);
    assert_int_equal(b->n_gaps, 1);
    assert_int_equal(b->gaps[0].calls, 9);
    assert_int_equal(b->n_ledger, 1);
    assert_int_equal(b->ledger[0].seen, 13);
    assert_int_equal(b->ledger[0].delivered, 4);
    assert_int_equal(b->ledger[0].dropped[DROP_RING_FULL], 9);
    block_free(b);
    assembler_free(a);
    free(r);
}

/* Calls that were lost on a CPU without ring may have been any thread's. */
static void test_lost(void **state)
{
    const struct gap gap = {150, 180, 9, CONTAINER_UNKNOWN, UINT16_MAX, DROP_RING_FULL};
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    put_call(r, 0, 1, 0, 0);
    block_free(cut(a, r, 140, 100));
    put_context(r, 0, 200, 1, 50, 1);
    put_call(r, 0, 2, 0, 0);
    struct block *b = calloc(1, sizeof(*b));
    assert_int_equal(assembler_lost(a, &gap, b), 0);
    assert_int_equal(assembler_cut(a, r->read, 2, 300, 100, &names, b), 0);
    assert_int_equal(b->n_windows, 1);
    assert_int_equal(b->windows[0].flags, WINDOW_AFTER_GAP);
    assert_int_equal(b->windows[0].n_context, 0);
    assert_int_equal(b->n_gaps, 1);
    assert_int_equal(b->gaps[0].calls, 9);
    assert_int_equal(b->n_ledger, 2);
    assert_int_equal(b->ledger[0].container, CONTAINER_UNKNOWN);
    assert_int_equal(b->ledger[0].seen, 9);
    assert_int_equal(b->ledger[0].dropped[DROP_RING_FULL], 9);
    block_free(b);
    assembler_free(a);
    free(r);
}

/* A CPU whose last calls were lost an hour ago, and on which nothing was wanted since, costs nobody
 * else anything; and within a run nothing is lost. */
static void test_gap_untold(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    put_call(r, 0, 1, 0, 0);
    block_free(cut(a, r, 140, 100));
    for (uint64_t ns = 200; ns < 900; ns += 100) {
        put_context(r, 0, ns, 1, 50, 1);
        for (uint32_t i = 0; i < 8; i++)
            put_call(r, 0, i, 0, 0);
        if (ns % 200)
            continue;
        assembler_missing(a, 1, 150, 160); /* as the ring's header says at every cut */
        struct block *b = cut(a, r, ns + 50, 100);
        assert_int_equal(b->n_windows, 1);
        assert_int_equal(b->windows[0].flags, ns == 200 ? WINDOW_AFTER_GAP : 0);
        assert_int_equal(b->windows[0].n_calls, ns == 200 ? 8 : 16);
        assert_int_equal(b->windows[0].n_context, ns == 200 ? 0 : ns == 400 ? 8 : 16);
        block_free(b);
    }
    for (uint64_t ns = 1100; ns < 1300; ns += 100) {
        put_context(r, 0, ns, 1, 50, 1);
        for (uint32_t i = 0; i < 8; i++)
            put_call(r, 0, i, 0, 0);
    }
    assembler_missing(a, 1, 1000, 1400); /* it goes on and on */
    struct block *b = cut(a, r, 1300, 100);
    assert_int_equal(b->n_windows, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(b->windows[i].flags, WINDOW_AFTER_GAP);
        assert_int_equal(b->windows[i].n_calls, 8);
    }
    block_free(b);
    assembler_free(a);
    free(r);
}

/* Every loss is between somebody's calls, not the newest alone; and only those of the containers
 * that lost calls are concerned. */
static void test_gaps(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    for (uint32_t tid = 50; tid < 53; tid++) {
        put_context(r, 0, tid, tid < 52 ? 1 : 2, tid, 1);
        put_call(r, 0, 1, 0, 0);
    }
    block_free(cut(a, r, 140, 100));
    put_aux(r, 0, AUX_GAP_FIRST, 150);
    put_aux(r, 0, AUX_GAP_LAST, 200);
    put_aux(r, 0, AUX_GAP_CONTAINER, 1);
    put_aux(r, 0, AUX_GAP_CALLS, 9);
    put_context(r, 0, 210, 1, 50, 1);
    put_call(r, 0, 2, WORD_AFTER_GAP, 0);
    put_context(r, 0, 220, 2, 52, 1);
    put_call(r, 0, 2, 0, 0);
    assembler_missing(a, 1, 300, 310);
    struct block *b = cut(a, r, 400, 100);
    assert_int_equal(b->n_windows, 2);
    assert_int_equal(b->windows[0].flags, WINDOW_AFTER_GAP);
    assert_int_equal(b->windows[0].n_context, 0);
    assert_int_equal(b->windows[1].flags, 0);
    assert_int_equal(b->windows[1].n_context, 1);
    block_free(b);
    put_context(r, 0, 500, 1, 51, 1); /* it was silent over both */
    put_call(r, 0, 2, 0, 0);
    put_context(r, 0, 510, 1, 60, 1); /* nobody lost anything of who comes now */
    put_call(r, 0, 2, 0, 0);
    b = cut(a, r, 600, 100);
    assert_int_equal(b->n_windows, 2);
    assert_int_equal(b->windows[0].flags, WINDOW_AFTER_GAP);
    assert_int_equal(b->windows[1].flags, 0);
    block_free(b);
    assembler_free(a);
    free(r);
}

/* What a cut changed is undone, and comes again the same. */
static void test_roll_back(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    put_call(r, 0, 1, 0, 0);
    block_free(cut(a, r, 200, 100));
    struct ring_read before[2];
    memcpy(before, r->read, sizeof(before));
    put_call(r, 0, 2, 0, 0);
    struct block *b = cut(a, r, 300, 100);
    uint64_t head = r->read[0].head;
    assembler_roll_back(a);
    memcpy(r->read, before, sizeof(before));
    r->read[0].head = head;
    struct block *again = cut(a, r, 300, 100);
    assert_int_equal(b->n_windows, 1);
    assert_int_equal(again->n_windows, 1);
    assert_memory_equal(&b->windows[0], &again->windows[0], sizeof(b->windows[0]));
    block_free(b);
    block_free(again);
    assembler_free(a);
    free(r);
}

static bool ended(void *user, uint32_t tgid, uint64_t start_ns, uint64_t before_ns)
{
    (void)user, (void)start_ns, (void)before_ns;
    return tgid == 70;
}

/* Who exits, and who comes in its place, after the last cut that was kept is found again by the
 * next try as it was. */
static void test_roll_back_of_exits(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    for (uint32_t tid = 50; tid < 52; tid++) {
        put_context(r, 0, 100, 1, tid, 1);
        put_call(r, 0, 1, 0, 0);
    }
    block_free(cut(a, r, 200, 100));
    struct ring_read before[2];
    memcpy(before, r->read, sizeof(before));
    for (uint32_t tid = 50; tid < 52; tid++) {
        put_context(r, 0, 210, 1, tid, 1);
        put_call(r, 0, SYS_exit_group, 0, 0);
    }
    put_context(r, 0, 220, 1, 50, 2);
    put_call(r, 0, 3, 0, 0);
    uint64_t head = r->read[0].head;
    struct block *first = cut(a, r, 300, 100);
    assert_int_equal(first->n_windows, 3);
    for (int try = 0; try < 3; try++) {
        assembler_roll_back(a);
        memcpy(r->read, before, sizeof(before));
        r->read[0].head = head;
        assembler_sweep(a, 200, ended, NULL);
        struct block *b = cut(a, r, 300, 100);
        assert_int_equal(b->n_windows, 3);
        assert_int_equal(b->windows[0].n_context, 1);
        assert_int_equal(b->windows[1].n_context, 1);
        assert_memory_equal(b->windows, first->windows, 3 * sizeof(*b->windows));
        block_free(b);
    }
    block_free(first);
    assembler_free(a);
    free(r);
}

/* Threads that live for a moment make room as soon as their last block is kept. */
static void test_crowd(void **state)
{
    struct assembler *a = assembler(100);
    struct rings *r = rings_new();
    uint64_t ns = 0;
    (void)state;
    put_context(r, 0, ns, 1, 70, 1); /* its process has ended */
    put_call(r, 0, 1, 0, 0);
    for (uint32_t tid = 1000; tid < 2000;) {
        if (assembler_crowded(a))
            assembler_sweep(a, ns, ended, NULL);
        for (int i = 0; i < 25; i++) {
            put_context(r, 0, ++ns, 1, tid++, 1);
            put_call(r, 0, SYS_exit, 0, 0);
        }
        put_context(r, 1, ++ns, 2, 5, 1);
        put_call(r, 1, 1, 0, 0);
        block_free(cut(a, r, ++ns, 100));
        assert_int_equal(assembler_refused(a), 0);
    }
    assembler_sweep(a, ns, ended, NULL);
    assert_int_equal(assembler_threads(a), 1);
    assembler_free(a);
    free(r);
}

static void test_caps(void **state)
{
    struct assembler *a = assembler(2);
    struct rings *r = rings_new();
    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        put_context(r, 0, 100 + i, 1, 50 + i, 1);
        put_call(r, 0, i, 0, 0);
    }
    put_context(r, 0, 150, 666, 90, 1); /* not wanted: not counted */
    put_call(r, 0, 1, 0, 0);
    struct block *b = cut(a, r, 200, 100);
    assert_int_equal(b->n_windows, 2);
    assert_int_equal(b->ledger[0].seen, 5);
    assert_int_equal(b->ledger[0].delivered, 2);
    assert_int_equal(b->ledger[0].dropped[DROP_TABLE_FULL], 3);
    assert_int_equal(assembler_refused(a), 3);
    assert_int_equal(r->read[0].from, r->read[0].head);
    block_free(b);
    assembler_free(a);

    /* A block that is full leaves the rest for the next, gap records too. */
    a = assembler(10);
    r->read[0].from = 0;
    b = cut(a, r, 200, 3);
    assert_int_equal(b->n_windows, 3);
    assert_int_equal(r->read[0].from, 3 * 4 + 3);
    assert_int_equal(b->until_ns, 103); /* when the first that was left began */
    block_free(b);
    b = cut(a, r, 200, 3);
    assert_int_equal(b->n_windows, 2);
    assert_int_equal(b->ledger[0].seen, 2);
    assert_int_equal(b->until_ns, 200);
    block_free(b);
    assembler_free(a);
    free(r);
}

static void test_arguments_and_latency(void **state)
{
    struct assembler *a = assembler(10);
    struct rings *r = rings_new();
    (void)state;
    put_context(r, 0, 100, 1, 50, 1);
    put_call(r, 0, 257, WORD_HAS_ARGUMENT, 5);
    put_aux(r, 0, AUX_LATENCY, 777);
    put_call(r, 0, 257, WORD_HAS_ARGUMENT, 6); /* its text was lost */
    put_call(r, 0, 3, 0, 0);
    struct block *b = cut(a, r, 200, 100);
    assert_int_equal(b->windows[0].argument[0], 55);
    assert_int_equal(b->windows[0].flag[0], CALL_HAS_ARGUMENT);
    assert_int_equal(b->windows[0].argument[1], 0);
    assert_int_equal(b->windows[0].flag[1], CALL_HAS_ARGUMENT | CALL_NO_TEXT);
    assert_int_equal(b->bins[0].counts[1].sysno, 257);
    assert_int_equal(b->bins[0].counts[1].calls, 2);
    assert_int_equal(b->bins[0].counts[1].latency_ns, 777);
    assert_int_equal(b->bins[0].counts[1].latency_calls, 1);
    block_free(b);
    assembler_free(a);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_continued),
        cmocka_unit_test(test_64_and_exec),
        cmocka_unit_test(test_tid_again),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_gap_untold),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_roll_back),
        cmocka_unit_test(test_roll_back_of_exits),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_arguments_and_latency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
