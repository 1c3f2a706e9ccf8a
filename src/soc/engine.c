/* One block through the engine: tables first, then execs, windows, bins in event time; what is not
 * known goes to the alert stage; last, what only the passing of time brings. */
#include "soc/engine.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "soc/engine_internal.h"

#define BIN_COUNTS_MAX 65536
#define STARTUP_PAIRS_MAX 16384
#define FORGET_BLOCKS 64 /* now and then is enough for what costs more */

void engine_options_default(struct engine_options *ret)
{
    *ret = (struct engine_options){
        .containers_max = 16384,
        .processes_max = 65536,
        .texts_max = 262144,
        .profiles_max = 1024,
        .alerts_max = 1024,
        .extend_s = 60,
        .quiet_s = 300,
        .alert_max_s = 3600,
    };
    profile_options_default(&ret->profile);
}

DEFINE_CLEANUP(engine_free, struct engine *)

int engine_new(const struct engine_options *options, struct engine **ret)
{
    CLEANUP(engine_freep) struct engine *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->options = *options;
    e->profiles = calloc(options->profiles_max, sizeof(*e->profiles));
    e->profile_told = calloc(options->profiles_max, sizeof(*e->profile_told));
    e->alerts = calloc(options->alerts_max, sizeof(*e->alerts));
    if (!e->profiles || !e->profile_told || !e->alerts)
        return -ENOMEM;
    *ret = TAKE(e);
    return 0;
}

void engine_free(struct engine *e)
{
    outputs_clear(e);
    for (uint32_t i = 0; i < e->n_containers; i++)
        container_free(e->containers[i]);
    for (uint32_t i = 0; i < e->n_processes; i++)
        process_done(&e->processes[i]);
    for (uint32_t i = 0; i < e->n_texts; i++)
        free(e->texts[i].text);
    for (uint32_t i = 0; i < e->n_profiles; i++)
        profile_free(e->profiles[i]);
    for (uint32_t i = 0; i < e->n_alerts; i++)
        alert_state_free(e->alerts[i]);
    while (e->n_suppressions)
        engine_unsuppress(e, e->suppressions[0].id);
    index_done(&e->container_index);
    index_done(&e->process_index);
    index_done(&e->text_index);
    free(e->containers), free(e->processes), free(e->texts), free(e->profiles);
    free(e->profile_told), free(e->alerts), free(e->suppressions);
    free(e->out_alerts), free(e->out_scores), free(e->out_keeps), free(e->out_profiles);
    free(e->out_windows);
    free(e);
}

uint64_t engine_time(const struct engine *e, uint64_t mono_ns)
{
    return mono_ns + e->capture->offset_ns;
}

double engine_wall(const struct engine *e, uint64_t mono_ns)
{
    return (double)(int64_t)(mono_ns + e->block->wall_ns - e->block->mono_ns) / 1e9;
}

/* A node has one capture at a time: with a new one the containers of those before it are over. */
static void captures_end(struct engine *e, const struct engine_capture *begins)
{
    for (uint32_t i = 0; i < e->n_containers; i++) {
        struct engine_container *c = e->containers[i];
        for (uint32_t k = 0; k < e->n_captures && !c->gone_ns; k++) {
            const struct engine_capture *of = &e->captures[k];
            if (of == begins || of->capture != c->capture || strcmp(of->node, begins->node) != 0)
                continue;
            c->info.state = CONTAINER_GONE;
            c->gone_ns = MAX(e->now_ns, 1u);
        }
    }
}

/* Engine time of a new capture's monotonic time 0: the wall clock's lead, but never before what was
 * seen already. A clock that was set back in between would else stop time until it is there again.
 */
static uint64_t capture_offset(const struct engine *e, const struct block *b)
{
    uint64_t took_ns = b->mono_ns - b->from_ns;
    uint64_t begins_ns = b->wall_ns - MIN(took_ns, b->wall_ns);
    return MAX(begins_ns, e->now_ns) - b->from_ns;
}

/* More captures than the table has: the one not heard of for longest makes room. */
static struct engine_capture *capture_get(struct engine *e, const struct block *b)
{
    struct engine_capture *c = e->captures, *oldest = c;
    for (uint32_t i = 0; i < e->n_captures; i++, c++) {
        if (c->capture == b->capture)
            return c;
        oldest = c->until_ns < oldest->until_ns ? c : oldest;
    }
    c = e->n_captures < CAPTURES_MAX ? &e->captures[e->n_captures++] : oldest;
    *c = (struct engine_capture){.capture = b->capture, .offset_ns = capture_offset(e, b)};
    memcpy(c->node, b->node, sizeof(c->node));
    c->node[sizeof(c->node) - 1] = 0;
    captures_end(e, c);
    return c;
}

/* The runtime's own process before its first exec in the container: what it starts is judged and
 * learnt; its calls are the runtime's, not the workload's, and which of them are seen is chance.
 * The windows come after the execs of their block: so the program tells. */
static bool is_joined(const struct engine_process *p, uint64_t program)
{
    return p->joined_program && p->joined_program == program;
}

static struct profile_place place_of(const struct engine *e, const struct engine_container *c,
                                     uint64_t mono_ns)
{
    return (struct profile_place){.now_ns = engine_time(e, mono_ns),
                                  .container = c->key,
                                  .phase = c->phase,
                                  .start = c->start};
}

/* A window or exec through profile and alert stage. */
static void see(struct engine *e, struct engine_container *c, struct engine_process *p,
                const struct sample *s, uint64_t mono_ns)
{
    struct profile_place at = place_of(e, c, mono_ns);
    profile_see(c->profile, &at, s, &e->view);
    const struct window *w = s->window;
    bool judged = !e->view.known && profile_ready(c->profile, PHASE_STEADY) &&
                  (profile_ready(c->profile, c->phase) || c->phase == PHASE_STARTUP);
    bool part = false, left_out = false;
    if (judged) {
        struct finding f = {.container = c,
                            .process = p,
                            .sample = s,
                            .window = w,
                            .exec = s->exec,
                            .now_ns = at.now_ns,
                            .mono_ns = mono_ns};
        finding_judge(e, &f);
        part = alert_stage(e, &f);
        left_out = f.suppressed;
    }
    if (w && part)
        keep_anomalous(e, c, p, w);
    else if (w)
        keep_other(e, c, p, w);
    /* What is only not to be told now must not become normal by that. */
    if (!part && !left_out && !e->view.known && !e->view.learning)
        profile_pend(c->profile, &at, s, e->view.hash);
}

/* Keeps what a container does until its workload is known. */
static void wait_for_workload(struct engine *e, struct engine_container *c, const struct window *w,
                              const struct process *x)
{
    if (c->n_waiting == WAITING_MAX || !engine_room(e, (void **)&c->waiting, c->n_waiting,
                                                    &c->waiting_capacity, sizeof(*c->waiting))) {
        e->counters.unknown_container++;
        return;
    }
    struct waiting *item = &c->waiting[c->n_waiting++];
    *item = (struct waiting){0};
    if (w) {
        item->window = *w;
        return;
    }
    item->exec = *x;
    item->exec.path = item->exec.arguments = NULL;
}

static void take_exec(struct engine *e, struct engine_container *c, struct engine_process *p,
                      const struct process *x)
{
    p->program = x->program;
    p->flags = x->flags;
    bool untold = x->event == PROCESS_FOUND && (!x->path || !*x->path);
    if (!untold || !p->arguments) {
        free(p->arguments);
        p->arguments = strdup(x->arguments ? x->arguments : "");
    }
    e->counters.execs++;
    if (!c || x->event != PROCESS_EXEC)
        return;
    if (!c->profile) {
        wait_for_workload(e, c, NULL, x);
        return;
    }
    struct sample s = {.kind = SAMPLE_EXEC, .exec = x};
    see(e, c, p, &s, x->time_ns);
}

static void note_joined(struct engine_container *c, struct engine_process *p,
                        const struct process *x)
{
    if (!(x->flags & PROGRAM_JOINED) || !x->program)
        return;
    p->joined_program = x->program;
    if (c)
        c->joined_program = x->program;
}

static void take_process(struct engine *e, const struct process *x)
{
    uint64_t now_ns = engine_time(e, x->time_ns);
    struct engine_container *c = container_find(e, e->capture->capture, x->container);
    struct engine_process *p = process_get(e, x->container, x->tgid, x->start_ns, now_ns);
    if (!p)
        return;
    p->last_ns = MAX(p->last_ns, now_ns);
    if (x->event == PROCESS_EXIT) {
        p->exit_ns = now_ns;
        return;
    }
    if (x->parent_tgid) {
        p->parent_tgid = x->parent_tgid;
        p->parent_start_ns = x->parent_start_ns;
    }
    struct engine_process *parent = process_parent(e, p);
    if (parent && parent->container == p->container && !p->alert)
        p->alert = parent->alert;
    if (x->event == PROCESS_FORK) {
        note_joined(c, p, x);
        p->program = x->program ? x->program : parent ? parent->program : 0;
        p->flags = x->flags;
        if (parent && parent->arguments && !p->arguments)
            p->arguments = strdup(parent->arguments);
        return;
    }
    note_joined(c, p, x);
    take_exec(e, c, p, x);
    struct alert_state *a = alert_open_by_hash(e, p->alert);
    if (a)
        alert_add_process(e, a, p, false);
}

static void see_window(struct engine *e, struct engine_container *c, const struct window *w)
{
    uint64_t now_ns = engine_time(e, w->last_ns);
    struct engine_process *p = process_get(e, w->container, w->tgid, w->start_ns, now_ns);
    if (!p)
        return;
    p->last_ns = MAX(p->last_ns, now_ns);
    p->program = p->program ? p->program : w->program;
    if (is_joined(p, w->program))
        return;
    text_use(e, w->program);
    uint64_t class[WINDOW_CALLS_MAX];
    for (unsigned i = 0; i < w->n_calls; i++) {
        const struct engine_text *t =
            w->argument[i] && !(w->flag[i] & CALL_NO_TEXT) ? text_use(e, w->argument[i]) : NULL;
        class[i] = t ? argument_class_key(t->class_key, w->program) : 0;
    }
    struct sample s = {.kind = SAMPLE_WINDOW, .window = w, .argument_class = class};
    see(e, c, p, &s, w->last_ns);
}

static void take_window(struct engine *e, const struct window *w)
{
    e->counters.windows++;
    e->counters.calls += w->n_calls;
    struct engine_container *c = container_find(e, e->capture->capture, w->container);
    if (!c || w->n_calls == 0 || w->n_calls > WINDOW_CALLS_MAX ||
        w->n_context > WINDOW_CONTEXT_MAX) {
        e->counters.unknown_container++;
        return;
    }
    if (!c->profile) {
        wait_for_workload(e, c, w, NULL);
        return;
    }
    see_window(e, c, w);
}

/* The workload is known now: what it did is seen in its order. */
static void take_waiting(struct engine *e, struct engine_container *c)
{
    uint32_t n = c->n_waiting;
    c->n_waiting = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct waiting *item = &c->waiting[i];
        if (item->window.n_calls) {
            see_window(e, c, &item->window);
            continue;
        }
        struct engine_process *p =
            process_get(e, c->info.number, item->exec.tgid, item->exec.start_ns,
                        engine_time(e, item->exec.time_ns));
        struct sample s = {.kind = SAMPLE_EXEC, .exec = &item->exec};
        if (p)
            see(e, c, p, &s, item->exec.time_ns);
    }
    free(c->waiting);
    c->waiting = NULL;
    c->waiting_capacity = 0;
}

static void end_startup(struct engine_container *c, uint64_t now_ns)
{
    c->phase = PHASE_STEADY;
    index_done(&c->pairs);
    profile_start_done(c->profile, c->start, now_ns);
}

/* Start-up ends when nothing new comes any more, at the latest after startup_max_s. */
static void follow_startup(struct engine *e, struct engine_container *c, uint64_t now_ns)
{
    if (c->phase != PHASE_STARTUP)
        return;
    for (uint32_t i = 0; i < c->bin.n_counts && c->pairs.n < STARTUP_PAIRS_MAX; i++) {
        uint64_t pair = hash_mix(c->bin.counts[i].program, c->bin.counts[i].sysno);
        if (index_get(&c->pairs, pair) != INDEX_NONE)
            continue;
        c->pair_ns = now_ns;
        if (index_put(&c->pairs, pair, 1) < 0)
            e->failed = true;
    }
    const struct profile_options *o = &e->options.profile;
    if (now_ns >= c->start_ns + (uint64_t)(o->startup_max_s * 1e9) ||
        now_ns >= c->pair_ns + (uint64_t)(o->startup_quiet_s * 1e9))
        end_startup(c, now_ns);
}

/* A second of a container is over: frequencies, activity, scores. */
static void close_second(struct engine *e, struct engine_container *c)
{
    uint64_t mono_ns = (c->second + 1) * NS_PER_S - 1;
    struct profile_place at = place_of(e, c, mono_ns);
    uint32_t active = 0;
    for (uint32_t i = 0; i < c->bin.n_counts; i++) {
        if (!syscall_is_wait(c->bin.counts[i].sysno))
            active += c->bin.counts[i].calls;
    }
    c->bin.second = c->second;
    c->bin.container = c->info.number;
    profile_second(c->profile, &at, &c->bin, active, e->view.score);
    if (profile_ready(c->profile, c->phase)) {
        struct finding f = {.container = c, .now_ns = at.now_ns, .mono_ns = mono_ns};
        finding_judge(e, &f);
        c->rates_ns = f.rates ? f.now_ns : c->rates_ns;
        alert_stage(e, &f);
    }
    follow_startup(e, c, at.now_ns);
    tell_scores(e, c);
    c->bin.n_counts = 0;
    c->second = 0;
}

static void add_count(struct engine *e, struct engine_container *c, const struct bin_count *x)
{
    struct bin *b = &c->bin;
    uint32_t low = 0, high = b->n_counts;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        const struct bin_count *y = &b->counts[mid];
        if (y->program < x->program || (y->program == x->program && y->sysno < x->sysno))
            low = mid + 1;
        else
            high = mid;
    }
    struct bin_count *y = b->counts ? &b->counts[low] : NULL;
    if (low < b->n_counts && y->program == x->program && y->sysno == x->sysno) {
        y->latency_ns += x->latency_ns, y->latency_calls += x->latency_calls;
        y->calls += x->calls, y->errors += x->errors;
        return;
    }
    if (b->n_counts == BIN_COUNTS_MAX ||
        !engine_room(e, (void **)&b->counts, b->n_counts, &c->bin_capacity, sizeof(*b->counts)))
        return;
    memmove(&b->counts[low + 1], &b->counts[low], (b->n_counts - low) * sizeof(*b->counts));
    b->counts[low] = *x;
    b->n_counts++;
}

static void take_bin(struct engine *e, const struct bin *b)
{
    e->counters.bins++;
    struct engine_container *c = container_find(e, e->capture->capture, b->container);
    if (!c || !c->profile)
        return;
    if (c->second && b->second > c->second)
        close_second(e, c);
    if (!c->second)
        c->second = b->second;
    c->bin.level = b->level;
    for (uint32_t i = 0; i < b->n_counts; i++) {
        if (!c->joined_program || b->counts[i].program != c->joined_program)
            add_count(e, c, &b->counts[i]);
    }
}

/* A container is over: what is open of it closes. */
static void take_gone(struct engine *e, struct engine_container *c, uint64_t now_ns)
{
    if (c->second)
        close_second(e, c);
    if (c->phase == PHASE_STARTUP && c->profile)
        end_startup(c, now_ns);
    c->gone_ns = now_ns;
}

/* One profile at a time is calibrated: the others wait for their turn. */
static void tick_profiles(struct engine *e)
{
    bool busy = false;
    for (uint32_t i = 0; i < e->n_profiles; i++) {
        profile_tick(e->profiles[i], e->now_ns);
        busy |= profile_calibrating(e->profiles[i]);
    }
    for (uint32_t i = 0; i < e->n_profiles && !busy; i++)
        busy = profile_calibrate_next(e->profiles[i], e->now_ns);
}

static void pass_time(struct engine *e, const struct block *b)
{
    for (uint32_t i = 0; i < e->n_containers; i++) {
        struct engine_container *c = e->containers[i];
        if (c->capture != b->capture || !c->profile)
            continue;
        if (c->second && b->until_ns >= (c->second + 1) * NS_PER_S)
            close_second(e, c);
        if (c->info.state == CONTAINER_GONE && !c->gone_ns)
            take_gone(e, c, engine_time(e, b->until_ns));
        else if (!c->second && c->phase == PHASE_STARTUP)
            follow_startup(e, c, engine_time(e, b->until_ns));
    }
    for (uint32_t i = 0; i < b->n_processes; i++) {
        if (b->processes[i].event != PROCESS_EXIT)
            continue;
        struct engine_process *p =
            process_find(e, b->capture, b->processes[i].tgid, b->processes[i].start_ns);
        if (p)
            process_forget(p);
    }
    alert_stage_time(e);
    containers_forget(e);
    if (e->counters.blocks % FORGET_BLOCKS == 0) {
        profiles_forget(e);
        containers_retry(e);
    }
    tick_profiles(e);
}

int engine_block(struct engine *e, const struct block *b, struct engine_output *ret)
{
    outputs_clear(e);
    e->block = b;
    e->wall_ns = b->wall_ns;
    e->capture = capture_get(e, b);
    e->capture->until_ns = engine_time(e, b->until_ns);
    e->now_ns = MAX(e->now_ns, e->capture->until_ns);
    e->counters.blocks++;
    for (uint32_t i = 0; i < b->n_containers; i++) {
        if (containers_take(e, &b->containers[i]) < 0)
            e->failed = true;
    }
    for (uint32_t i = 0; i < b->n_texts; i++) {
        if (texts_take(e, &b->texts[i]) < 0)
            e->failed = true;
    }
    for (uint32_t i = 0; i < b->n_containers; i++) {
        struct engine_container *c = container_find(e, b->capture, b->containers[i].number);
        if (c && c->profile && c->n_waiting)
            take_waiting(e, c);
    }
    for (uint32_t i = 0; i < b->n_processes; i++)
        take_process(e, &b->processes[i]);
    for (uint32_t i = 0; i < b->n_windows; i++)
        take_window(e, &b->windows[i]);
    for (uint32_t i = 0; i < b->n_bins; i++)
        take_bin(e, &b->bins[i]);
    pass_time(e, b);
    outputs_collect(e, ret);
    return e->failed ? -ENOMEM : 0;
}
