/* What was never seen in normal time: a program, one program starting another, a syscall of a
 * program, an error of a (program, syscall), an argument class of a program. Nearly free, and on
 * real servers the strongest detector with the fewest false alerts (docs/DETECTORS.md). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/detector.h"
#include "detect/tally.h"

#define NOVELTY_KEYS_MAX (1u << 20)
#define NOVELTY_PROGRAMS_MAX (1u << 16)

struct novelty {
    struct tally programs; /* program -> calls learnt of it (saturating) */
    struct tally seen;     /* key of (kind, ...) -> times */
};

static uint64_t key_program(uint64_t program)
{
    return hash_mix(EVIDENCE_PROGRAM, program);
}

static uint64_t key_edge(uint64_t parent, uint64_t program)
{
    return hash_mix(hash_mix(EVIDENCE_EDGE, parent), program);
}

static uint64_t key_pair(uint64_t program, uint16_t sysno)
{
    return hash_mix(hash_mix(EVIDENCE_PAIR, program), sysno);
}

static uint64_t key_errno(uint64_t program, uint16_t sysno, uint16_t ret)
{
    return hash_mix(hash_mix(EVIDENCE_ERRNO, program), (uint64_t)sysno << 16 | ret);
}

static uint64_t key_argument(uint64_t program, uint64_t class)
{
    return hash_mix(hash_mix(EVIDENCE_ARGUMENT, program), class);
}

/* Interrupted and restarted calls tell when a signal came, not what the program does. */
static bool errno_counts(uint16_t ret)
{
    int error = ret_is_error(ret) ? ret_errno(ret) : 0;
    return error != 0 && error < 512 && error != EINTR;
}

static uint64_t argument_class(const struct sample *s, unsigned i)
{
    bool text = s->argument_class && !(s->window->flag[i] & CALL_NO_TEXT);
    return text ? s->argument_class[i] : 0;
}

static void destroy(void *model)
{
    struct novelty *m = model;
    tally_done(&m->programs);
    tally_done(&m->seen);
    free(m);
}

DEFINE_CLEANUP(destroy, void *)

static int create(void **ret)
{
    CLEANUP(destroyp) void *model = calloc(1, sizeof(struct novelty));
    struct novelty *m = model;
    if (!m)
        return -ENOMEM;
    int err = tally_init(&m->programs, NOVELTY_PROGRAMS_MAX);
    if (err == 0)
        err = tally_init(&m->seen, NOVELTY_KEYS_MAX);
    if (err < 0)
        return err;
    *ret = TAKE(model);
    return 0;
}

static void keep_first(int *first, int err)
{
    *first = *first ? *first : err;
}

static int learn_window(struct novelty *m, const struct sample *s, uint32_t weight)
{
    const struct window *w = s->window;
    uint64_t calls = MIN((uint64_t)w->n_calls * weight, UINT32_MAX);
    int err = tally_add(&m->programs, w->program, (uint32_t)calls);
    keep_first(&err, tally_add(&m->seen, key_program(w->program), weight));
    for (unsigned i = 0; i < w->n_calls; i++) {
        keep_first(&err, tally_add(&m->seen, key_pair(w->program, w->sysno[i]), weight));
        if (errno_counts(w->ret[i]))
            keep_first(&err,
                       tally_add(&m->seen, key_errno(w->program, w->sysno[i], w->ret[i]), weight));
        uint64_t class = argument_class(s, i);
        if (class)
            keep_first(&err, tally_add(&m->seen, key_argument(w->program, class), weight));
    }
    return err;
}

static int learn(void *model, const struct sample *s, uint32_t weight)
{
    struct novelty *m = model;
    if (s->kind == SAMPLE_WINDOW)
        return learn_window(m, s, weight);
    if (s->kind != SAMPLE_EXEC)
        return 0;
    const struct process *p = s->exec;
    int err = tally_add(&m->seen, key_program(p->program), weight);
    keep_first(&err, tally_add(&m->seen, key_edge(p->parent_program, p->program), weight));
    return err;
}

/* One item a key; a full score keeps the first ones: all are equally strange. */
static void add_item(struct score *ret, struct evidence e)
{
    for (uint32_t i = 0; i < ret->n; i++) {
        if (ret->items[i].key == e.key)
            return;
    }
    e.strangeness = 1;
    if (ret->n < EVIDENCE_MAX)
        ret->items[ret->n++] = e;
    ret->value = ret->n;
}

static void score_call(const struct novelty *m, const struct sample *s, unsigned i, bool known,
                       struct score *ret)
{
    const struct window *w = s->window;
    struct evidence e = {
        .program = w->program, .first = (int8_t)i, .last = (int8_t)i, .sysno = w->sysno[i]};
    uint64_t class = argument_class(s, i);
    if (class && !tally_get(&m->seen, e.key = key_argument(w->program, class))) {
        e.kind = EVIDENCE_ARGUMENT;
        e.detail = class;
        add_item(ret, e);
        e.detail = 0;
    }
    /* All pairs of a program never seen are new, and an error of a new pair is: said already. */
    if (!known)
        return;
    if (!tally_get(&m->seen, e.key = key_pair(w->program, w->sysno[i]))) {
        e.kind = EVIDENCE_PAIR;
        add_item(ret, e);
    } else if (errno_counts(w->ret[i]) &&
               !tally_get(&m->seen, e.key = key_errno(w->program, w->sysno[i], w->ret[i]))) {
        e.kind = EVIDENCE_ERRNO;
        e.error = w->ret[i];
        add_item(ret, e);
    }
}

static void score(const void *model, const struct sample *s, struct score *ret)
{
    const struct novelty *m = model;
    ret->value = 0, ret->per = 1, ret->n = 0;
    if (s->kind == SAMPLE_BIN)
        return;
    struct evidence e = {.kind = EVIDENCE_PROGRAM};
    e.program = s->kind == SAMPLE_WINDOW ? s->window->program : s->exec->program;
    e.key = key_program(e.program);
    bool known = tally_get(&m->seen, e.key);
    if (!known)
        add_item(ret, e);
    if (s->kind == SAMPLE_WINDOW) {
        for (unsigned i = 0; i < s->window->n_calls; i++)
            score_call(m, s, i, known, ret);
        return;
    }
    e.kind = EVIDENCE_EDGE;
    e.detail = s->exec->parent_program;
    e.key = key_edge(e.detail, e.program);
    if (!tally_get(&m->seen, e.key))
        add_item(ret, e);
}

uint64_t novelty_program_calls(const void *model, uint64_t program)
{
    return tally_get(&((const struct novelty *)model)->programs, program);
}

static void save(const void *model, struct buf *ret)
{
    const struct novelty *m = model;
    tally_save(&m->programs, ret);
    tally_save(&m->seen, ret);
}

static int load(const void *data, size_t size, void **ret)
{
    CLEANUP(destroyp) void *model = NULL;
    int err = create(&model);
    if (err < 0)
        return err;
    struct novelty *m = model;
    struct reader r;
    reader_init(&r, data, size);
    err = tally_load(&m->programs, &r);
    if (err == 0)
        err = tally_load(&m->seen, &r);
    if (err < 0)
        return err;
    if (reader_left(&r))
        return -EBADMSG;
    *ret = TAKE(model);
    return 0;
}

static int merge(void *model, const void *other)
{
    struct novelty *m = model;
    const struct novelty *o = other;
    int err = tally_merge(&m->programs, &o->programs);
    keep_first(&err, tally_merge(&m->seen, &o->seen));
    return err;
}

const struct detector detector_novelty = {
    .name = "novelty",
    .channel = CHANNEL_NOVELTY,
    .samples = 1 << SAMPLE_WINDOW | 1 << SAMPLE_EXEC,
    .score_max = INFINITY,
    .create = create,
    .destroy = destroy,
    .learn = learn,
    .score = score,
    .save = save,
    .load = load,
    .merge = merge,
};
