/* What a sample's scores are worth to the alert stage: without what is suppressed or remembered,
 * novelty by kinds, and with more than the threshold asked of containers that have just started. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "event/syscall.h"
#include "soc/engine_internal.h"

#define YOUNG_NS (240 * NS_PER_S) /* after a container's start */
#define DOUBT_MARGIN 1.5

bool suppression_holds(const struct engine *e, const struct engine_suppression *s,
                       const char *workload)
{
    return strcmp(s->workload, workload) == 0 && (!s->expires || s->expires > e->wall_ns / 1e9);
}

static bool suppressed(struct engine *e, const struct profile *p, uint64_t key)
{
    for (uint32_t i = 0; i < e->n_suppressions; i++) {
        const struct engine_suppression *s = &e->suppressions[i];
        if ((!s->key || s->key == key) && suppression_holds(e, s, profile_workload(p))) {
            e->counters.suppressed++;
            return true;
        }
    }
    return false;
}

/* Leaves the evidence that is neither suppressed nor remembered by the process, and the value of
 * the rest. True: something was suppressed. */
static bool filter(struct engine *e, const struct profile *p, struct engine_process *process,
                   struct score *s, uint32_t d, uint64_t now_ns)
{
    uint32_t n = 0;
    double sum = 0;
    bool left_out = false;
    for (uint32_t i = 0; i < s->n; i++) {
        uint64_t key = s->items[i].key;
        bool out = e->n_suppressions && suppressed(e, p, key);
        left_out |= out;
        if (out || (process && memory_seen(process, hash_mix(key, d), now_ns)))
            continue;
        s->items[n] = s->items[i];
        sum += s->items[n++].strangeness;
    }
    s->n = n;
    s->value = n ? sum / MAX(s->per, 1.0) : 0;
    return left_out;
}

/* Does a first sight count? Programs that were hardly learnt have too much that is new; whether
 * there is a futex or a sched_yield is up to the scheduler. */
static int counted_kind(const struct engine *e, const struct profile *p, const struct evidence *x)
{
    if (x->kind == EVIDENCE_PROGRAM || x->kind == EVIDENCE_EDGE)
        return x->kind;
    if ((x->kind == EVIDENCE_PAIR || x->kind == EVIDENCE_ERRNO) &&
        !profile_call_counts(x->sysno, x->error))
        return -1;
    uint64_t calls = profile_program_calls(p, x->program);
    if (x->kind == EVIDENCE_ARGUMENT && argument_class_is_bold(x->detail))
        return calls ? KIND_BOLD : -1;
    return calls >= e->options.profile.novelty_min_calls ? x->kind : -1;
}

/* Novelty: each kind that the process showed within a minute weighs 1 if it may open alone, else a
 * half. 0 when nothing that counts is new in this sample. */
static double novelty_value(const struct engine *e, const struct finding *f, const struct score *s)
{
    const struct profile *p = f->container->profile;
    struct engine_process *process = f->process;
    bool fresh = false;
    for (uint32_t i = 0; i < s->n; i++) {
        int kind = counted_kind(e, p, &s->items[i]);
        if (kind < 0)
            continue;
        process->kind_ns[kind] = f->now_ns;
        if (s->items[i].strangeness >= 1)
            process->whole_ns[kind] = f->now_ns;
        fresh = true;
    }
    double value = 0;
    bool unknown = false; /* to start-up too */
    for (unsigned k = 0; fresh && k < NOVELTY_KINDS; k++) {
        if (!process->kind_ns[k] || process->kind_ns[k] + KIND_NS <= f->now_ns)
            continue;
        bool whole = process->whole_ns[k] && process->whole_ns[k] + KIND_NS > f->now_ns;
        value += whole && profile_kind_opens(p, f->container->phase, k) ? 1 : .5;
        unknown |= whole;
    }
    if (!unknown)
        value = MIN(value, .5);
    return value;
}

/* How many times the threshold order and rates must have. In its first minutes a server does for
 * the first time what it does once (threads, memory, compiled code), and learning has seen few such
 * minutes. For as long again this goes for rates of one second alone. */
static double doubt(const struct engine_container *c, enum channel channel, uint64_t now_ns)
{
    if (channel == CHANNEL_NOVELTY || c->phase != PHASE_STEADY || !c->start_ns)
        return 1;
    bool single = channel == CHANNEL_FREQUENCY && now_ns > c->rates_ns + 3 * NS_PER_S / 2;
    return now_ns < c->start_ns + (single ? 2 : 1) * YOUNG_NS ? DOUBT_MARGIN : 1;
}

void finding_judge(struct engine *e, struct finding *f)
{
    struct engine_container *c = f->container;
    for (uint32_t d = 0; d < profile_detectors(c->profile); d++) {
        struct score *s = &e->view.score[d];
        if (!s->n)
            continue;
        enum channel channel = profile_detector(c->profile, d)->channel;
        f->suppressed |= filter(e, c->profile, f->process, s, d, f->now_ns);
        f->raw[d] = s->value;
        double value = channel == CHANNEL_NOVELTY
                           ? novelty_value(e, f, s)
                           : profile_value(c->profile, c->phase, d, s->value);
        f->rates |= channel == CHANNEL_FREQUENCY && value >= 1;
        value /= doubt(c, channel, f->now_ns);
        f->share[d] = value;
        if (value > f->value[channel])
            f->value[channel] = value, f->detector[channel] = (uint8_t)d;
    }
    for (int ch = 0; ch < CHANNELS; ch++) {
        if (f->value[ch] <= c->peaks.value[ch])
            continue;
        c->peaks.value[ch] = f->value[ch], c->peaks.detector[ch] = f->detector[ch];
        if (f->value[ch] >= PEAK_TOLD)
            finding_why(e, f, ch, c->why[ch]);
    }
}
