/* What a content keeps of a window: its calls, errors and argument classes, through bytes too. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "detect/contents.h"

static const uint16_t numbers[] = {0, 1, 0xef, 0xf0, 0xff, 0x100, 257, 1023, 1024, 4095};
#define N_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

/* Full: every call takes two bytes, has an error and a class. */
static struct sample make(struct window *w, uint64_t *class, unsigned n_context, unsigned n_calls,
                          bool full)
{
    memset(w, 0, sizeof(*w));
    w->program = 77, w->flags = WINDOW_AFTER_EXEC;
    w->n_context = (uint8_t)n_context, w->n_calls = (uint8_t)n_calls;
    for (unsigned i = 0; i < n_context; i++)
        w->context[i] = full ? 4095 : numbers[(i + 3) % N_NUMBERS];
    for (unsigned i = 0; i < n_calls; i++) {
        w->sysno[i] = full ? 4095 : numbers[i % N_NUMBERS];
        w->ret[i] = full || i % 5 == 2 ? ret_class(-ENOENT) : ret_class(i);
        class[i] = full || i % 7 == 3 ? UINT64_MAX - i : 0;
    }
    return (struct sample){.kind = SAMPLE_WINDOW, .window = w, .argument_class = class};
}

static void assert_kept(const struct content *c, const struct sample *s)
{
    struct content_room room;
    struct sample t = content_sample(c, &room);
    const struct window *a = s->window, *b = t.window;
    assert_int_equal(b->program, a->program);
    assert_int_equal(b->flags, a->flags);
    assert_int_equal(b->n_context, a->n_context);
    assert_int_equal(b->n_calls, a->n_calls);
    assert_memory_equal(b->context, a->context, a->n_context * sizeof(*a->context));
    assert_memory_equal(b->sysno, a->sysno, a->n_calls * sizeof(*a->sysno));
    assert_memory_equal(t.argument_class, s->argument_class, a->n_calls * sizeof(uint64_t));
    for (unsigned i = 0; i < a->n_calls; i++)
        assert_int_equal(b->ret[i], ret_is_error(a->ret[i]) ? a->ret[i] : 0);
    assert_int_equal(content_hash(&t), content_hash(s));
}

static void test_windows_are_kept(void **state)
{
    (void)state;
    static const unsigned shapes[][3] = {{0, 1, 0}, {3, 20, 0}, {16, 64, 0}, {16, 64, 1}};
    struct contents c = {.n_max = 100}, loaded = {.n_max = 100};
    struct window w[4];
    uint64_t class[4][WINDOW_CALLS_MAX];
    struct sample s[4];
    struct content *item;
    for (int i = 0; i < 4; i++) {
        s[i] = make(&w[i], class[i], shapes[i][0], shapes[i][1], shapes[i][2]);
        assert_int_equal(contents_add(&c, content_hash(&s[i]), &s[i], &item), 0);
        item->count[0] = 1;
        assert_kept(item, &s[i]);
    }
    const struct process exec = {.program = 5, .parent_program = 6, .event = PROCESS_EXEC};
    const struct sample x = {.kind = SAMPLE_EXEC, .exec = &exec};
    assert_int_equal(contents_add(&c, content_hash(&x), &x, &item), 0);

    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    struct state out = {.out = &bytes};
    contents_state(&c, &out);
    struct reader r;
    reader_init(&r, bytes.data, bytes.size);
    struct state in = {.in = &r};
    contents_state(&loaded, &in);
    assert_int_equal(state_error(&in), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(loaded.n, c.n);
    for (int i = 0; i < 4; i++)
        assert_kept(contents_find(&loaded, content_hash(&s[i])), &s[i]);
    assert_int_equal(contents_find(&loaded, content_hash(&x))->parent, 6);
    buf_done(&bytes);
    contents_done(&c), contents_done(&loaded);
}

/* Bytes of a content that do not say what its counts say are refused. */
static void test_damage_is_refused(void **state)
{
    (void)state;
    struct contents c = {.n_max = 10};
    struct window w;
    uint64_t class[WINDOW_CALLS_MAX];
    struct sample s = make(&w, class, 2, 10, false);
    struct content *item;
    assert_int_equal(contents_add(&c, 1, &s, &item), 0);
    const struct content good = *item;
    for (int i = 0; i < 6; i++) {
        *item = good;
        uint8_t *errors =
            item->packed + item->packed_size - 3 * item->n_errors - 9 * item->n_classes;
        uint8_t was = *errors;
        item->n_calls += i == 0;
        item->n_errors += i == 1;
        item->n_classes -= i == 2;
        item->n_calls = i == 3 ? 0 : item->n_calls;
        item->n_context = i == 4 ? WINDOW_CONTEXT_MAX + 1 : item->n_context;
        *errors = i == 5 ? 10 : was; /* of a call that is not there */
        struct buf bytes;
        buf_init(&bytes, 1 << 20);
        struct state out = {.out = &bytes};
        contents_state(&c, &out);
        struct reader r;
        reader_init(&r, bytes.data, bytes.size);
        struct state in = {.in = &r};
        struct contents loaded = {.n_max = 10};
        contents_state(&loaded, &in);
        assert_int_equal(state_error(&in), -EBADMSG);
        contents_done(&loaded);
        buf_done(&bytes);
        *errors = was;
    }
    contents_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_are_kept),
        cmocka_unit_test(test_damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
