/* A profile is calibrated beside the pipeline: what calibration reads is copied (the profile's own
 * bytes), a thread works the limits out, and the profile takes them over at a time fixed beforehand
 * in the time of the blocks. So neither the thread's speed nor a restart shows in any result: the
 * bytes are saved with the profile, and what loads them works out the same limits again. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "detect/profile_internal.h"

#define INPUT_MAX (UINT64_C(1) << 30)
/* The time until it is taken over: five times what it took where it was measured. */
#define LEAST_NS NS_PER_S
#define CONTENT_NS 100000u

struct calibration {
    uint8_t phases; /* bit per phase */
    uint64_t adopt_ns;
    struct profile_options options;
    struct buf input;
    pthread_t thread;
    bool started;
    /* What the thread found out; to be read when it has ended. */
    bool done;
    struct limits limits[PHASES];
    uint64_t programs, pairs; /* by so much the counts of the profile were wrong */
};

DEFINE_CLEANUP(profile_free, struct profile *)

static int work(struct calibration *c)
{
    CLEANUP(profile_freep) struct profile *p = NULL;
    struct reader r;
    reader_init(&r, c->input.data, c->input.size);
    int err = c->input.error ? c->input.error : profile_load_core(&r, &c->options, &p);
    if (err < 0)
        return err;
    c->programs = p->programs, c->pairs = p->pairs;
    for (int phase = 0; phase < PHASES; phase++) {
        if (c->phases & 1u << phase && (err = profile_calibrate(p, phase)) < 0)
            return err;
        c->limits[phase] = p->limits[phase];
    }
    c->programs = p->programs - c->programs, c->pairs = p->pairs - c->pairs;
    c->done = true;
    return 0;
}

static void *run(void *arg)
{
    work(arg);
    malloc_trim(0); /* the models of the folds were as large as the profile */
    return NULL;
}

static void start(struct calibration *c)
{
    c->started = pthread_create(&c->thread, NULL, run, c) == 0;
    if (c->started)
        pthread_setname_np(c->thread, "calibration");
}

static void wait_for(struct calibration *c)
{
    if (c->started)
        pthread_join(c->thread, NULL);
    else
        run(c);
    c->started = false;
}

void calibration_free(struct calibration *c)
{
    if (c->started)
        pthread_join(c->thread, NULL);
    buf_done(&c->input);
    free(c);
}

static bool runs(const struct profile *p, enum phase phase)
{
    return p->calibration && p->calibration->phases & 1u << phase;
}

static void request(struct profile *p, enum phase phase)
{
    if (!p->limits[phase].ready && !runs(p, phase))
        p->calibrate |= (uint8_t)(1u << phase);
}

void calibration_request(struct profile *p)
{
    request(p, PHASE_STEADY);
    if (p->starts_done >= p->options.ready_starts)
        request(p, PHASE_STARTUP);
}

void calibration_again(struct profile *p)
{
    for (int phase = 0; phase < PHASES; phase++) {
        profile_prepare(p, phase);
        if (p->limits[phase].ready)
            p->calibrate |= (uint8_t)(1u << phase);
    }
}

bool calibration_due(const struct profile *p, enum phase phase)
{
    return runs(p, phase) || p->calibrate & 1u << phase;
}

bool profile_calibrating(const struct profile *p)
{
    return p->calibration;
}

bool profile_calibrate_next(struct profile *p, uint64_t now_ns)
{
    if (!p->calibrate || p->calibration)
        return p->calibration;
    struct calibration *c = calloc(1, sizeof(*c));
    if (!c)
        return false; /* tried again with the next block */
    c->options = p->options;
    c->adopt_ns = now_ns + LEAST_NS + (uint64_t)p->contents.n * CONTENT_NS;
    c->phases = p->calibrate;
    buf_init(&c->input, INPUT_MAX);
    profile_save_core(p, &c->input);
    p->calibrate = 0;
    p->calibration = c;
    start(c);
    return true;
}

static void adopt(struct profile *p, const struct calibration *c, uint64_t now_ns)
{
    for (int phase = 0; phase < PHASES; phase++) {
        if (!(c->phases & 1u << phase))
            continue;
        if (!p->limits[phase].ready) {
            p->ready_ns[phase] = now_ns;
            profile_prepare(p, phase);
        }
        p->limits[phase] = c->limits[phase];
    }
    if (p->state == PROFILE_LEARNING && p->limits[PHASE_STEADY].ready)
        p->state = PROFILE_READY;
    p->programs += c->programs, p->pairs += c->pairs;
    p->version++;
    p->changes++;
    calibration_request(p); /* a start may have ended meanwhile */
}

void calibration_follow(struct profile *p, uint64_t now_ns)
{
    if (!p->calibration || now_ns < p->calibration->adopt_ns)
        return;
    struct calibration *c = TAKE(p->calibration);
    wait_for(c);
    if (c->done)
        adopt(p, c, now_ns);
    else
        p->calibrate |= c->phases; /* no memory: once more */
    calibration_free(c);
}

double calibration_left_s(const struct profile *p)
{
    uint64_t ns = p->calibration ? p->calibration->adopt_ns : 0;
    return ns > p->now_ns ? (double)(ns - p->now_ns) / 1e9 : 1;
}

static int load(struct profile *p, struct state *s)
{
    struct calibration *c = p->calibration = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->options = p->options;
    buf_init(&c->input, INPUT_MAX);
    state_u8(s, &c->phases), state_u64(s, &c->adopt_ns);
    uint64_t size = reader_u64(s->in);
    const void *input = reader_bytes(s->in, size);
    if (state_error(s) || c->phases >= 1u << PHASES)
        return -EBADMSG;
    buf_append(&c->input, input, size);
    start(c);
    return c->input.error;
}

void calibration_state(struct profile *p, struct state *s)
{
    bool running = p->calibration;
    state_u8(s, &p->calibrate);
    state_bool(s, &running);
    if (state_error(s) == 0 && p->calibrate >= 1u << PHASES)
        state_fail(s, -EBADMSG);
    if (!state_saving(s)) {
        int err = running && state_error(s) == 0 ? load(p, s) : 0;
        if (err < 0)
            state_fail(s, err);
        return;
    }
    struct calibration *c = p->calibration;
    if (!running)
        return;
    state_u8(s, &c->phases), state_u64(s, &c->adopt_ns);
    buf_u64(s->out, c->input.size);
    buf_append(s->out, c->input.data, c->input.size);
}
