/* A CPU's ring: runs, words, drops. Preemption is off in all callers, so there is one writer. */
#pragma once

#define TS_COMPAT 2
#define GAP_WORDS (2 + 2 * RING_DROPS)

enum run_mode {
    MODE_WANTED = 1 << 0,
    MODE_ARGUMENTS = 1 << 1,
    MODE_STAMP = 1 << 2,
    MODE_LATENCY = 1 << 3,
    MODE_BINS = 1 << 4,
};

static __always_inline struct ring_map *ring_get(void)
{
    u32 cpu = bpf_get_smp_processor_id(), zero = 0;
    void *inner = bpf_map_lookup_elem(&rings, &cpu);
    return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

static __always_inline void ring_put(struct ring_map *m, u64 at, u64 word)
{
    m->words[at & (ring_words - 1)] = word;
}

static __always_inline void ring_publish(struct ring *r, u64 head)
{
#ifdef __TARGET_ARCH_x86
    /* Stores are not reordered with stores here: the words are there before the head says so. */
    asm volatile("" ::: "memory");
    *(volatile u64 *)&r->head = head;
#else
    __sync_lock_test_and_set(&r->head, head);
#endif
}

static __noinline void slot_flush(struct ring_slot *s)
{
    if (!s->seen)
        return;
    struct seen_key key = {bpf_get_smp_processor_id(), s->container};
    u64 *count = bpf_map_lookup_elem(&seen, &key), first = s->seen;
    if (count)
        *count += s->seen; /* only this CPU writes this key */
    else if (bpf_map_update_elem(&seen, &key, &first, BPF_NOEXIST))
        __sync_fetch_and_add(&control.lost_seen, first);
    s->seen = 0;
}

static __always_inline u8 generation_of(u64 start, u64 exec_id)
{
    return (u8)((start * 0x9e3779b97f4a7c15ull >> 56) + exec_id);
}

static __noinline int slot_fill(struct ring_slot *s, struct task_struct *t)
{
    slot_flush(s);
    s->task = (u64)t;
    s->start = t->start_time;
    s->exec_id = t->self_exec_id;
    s->generation = (u32)control.generation;
    s->tid = t->pid;
    s->tgid = t->tgid;
    s->thread_generation = generation_of(s->start, s->exec_id);
    s->flags = s->wanted = 0;
    s->container = s->program = 0;
    if (task_is_agent(t))
        return 0;
    u32 now = container_of_task(t);
    struct task_state *state = state_of(t, now);
    u32 number = now;
    if (state) {
        state_settle(t, state, now);
        number = state->container;
        if (number != now)
            s->flags = CONTEXT_MOVED;
        s->program = state->program;
    }
    u32 decision = decision_of(number);
    s->container = decision == DECISION_HOST ? 0 : number;
    s->wanted = decision_wanted(decision);
    if (s->wanted && state && state->sent_epoch != control.epoch)
        program_send(t, state, s->container, PROGRAM_FOUND, 0);
    return 0;
}

/* A new run: finds the task's slot and sets the run's key. Returns whether its calls are wanted. */
static __noinline int run_begin(struct ring *r, struct task_struct *t, u64 jiffy)
{
    u32 i = (u32)t->pid & (RING_SLOTS - 1);
    struct ring_slot *s = &r->slots[i];
    if (s->task != (u64)t || s->start != t->start_time || s->exec_id != t->self_exec_id ||
        s->generation != (u32)control.generation)
        slot_fill(s, t);
    r->task = (u64)t;
    r->pid = t->pid;
    r->jiffy = jiffy;
    r->migrations = t->se.nr_migrations;
    r->generation = (u32)control.generation;
    r->slot = i;
    u32 mode = s->wanted ? MODE_WANTED : 0;
    if (control.level == 0 && control.arguments)
        mode |= MODE_ARGUMENTS;
    if (control.level >= 2)
        mode |= MODE_BINS;
    if (control.stamp)
        mode |= MODE_STAMP;
    if (control.latency)
        mode |= MODE_LATENCY;
    r->wanted = s->wanted ? mode : 0;
    return r->wanted;
}

/* 1: the call is to be recorded; *fresh: it begins a run. */
static __always_inline int call_begin(struct ring *r, struct task_struct *t, bool *fresh)
{
    u64 jiffy = bpf_jiffies64();
    *fresh = false;
    if (r->task != (u64)t || r->jiffy != jiffy || r->migrations != t->se.nr_migrations ||
        r->pid != (u32)t->pid || r->generation != (u32)control.generation) {
        *fresh = true;
        run_begin(r, t, jiffy);
    }
    return r->wanted;
}

static __noinline int call_drop(struct ring *r)
{
    u32 container = r->slots[r->slot & (RING_SLOTS - 1)].container;
    r->gap_last = bpf_ktime_get_ns();
    if (!r->gap_first)
        r->gap_first = r->gap_last;
    r->dropped++;
    r->task = 0; /* the next call must bring its context */
    for (u32 i = 0; i < RING_DROPS - 1; i++) {
        struct ring_drop *d = &r->drops[i];
        if (d->used && d->container != container)
            continue;
        d->container = container;
        d->used = 1;
        d->calls++;
        return 0;
    }
    r->drops[RING_DROPS - 1].used = 1;
    r->drops[RING_DROPS - 1].container = CONTAINER_UNKNOWN;
    r->drops[RING_DROPS - 1].calls++;
    return 0;
}

#define AUX(kind, value)                                                                           \
    ((u64)WORD_AUX << WORD_TYPE_SHIFT | (u64)(kind) << AUX_KIND_SHIFT | AUX_VALUE(value))

/* Where calls were lost: when, and how many of which container. Returns the new head. User space
 * looks at the header, then at the head: it finds them in the one or behind the other. Not static:
 * the verifier sees its loop once, not on each way there. */
__noinline u64 gap_write(u64 head)
{
    struct ring_map *m = ring_get();
    if (!m)
        return head;
    struct ring *r = &m->header;
    ring_put(m, head++, AUX(AUX_GAP_FIRST, r->gap_first));
    ring_put(m, head++, AUX(AUX_GAP_LAST, r->gap_last));
    for (u32 i = 0; i < RING_DROPS; i++) {
        struct ring_drop *d = &r->drops[i];
        if (!d->used)
            continue;
        ring_put(m, head++, AUX(AUX_GAP_CONTAINER, (u64)d->container));
        ring_put(m, head++, AUX(AUX_GAP_CALLS, d->calls));
    }
    ring_publish(r, head);
    for (u32 i = 0; i < RING_DROPS; i++) {
        *(volatile u32 *)&r->drops[i].used = 0;
        r->drops[i].calls = 0;
    }
    *(volatile u64 *)&r->gap_first = 0;
    return head;
}

/* Wakes the agent once when the ring is half full. */
static __noinline int ring_check_half(struct ring *r, u64 head)
{
    r->tail_seen = *(volatile u64 *)&r->tail;
    if (head - r->tail_seen > ring_words / 2 && r->woken != r->tail_seen + 1) {
        u64 wake = RECORD_WAKE;
        r->woken = r->tail_seen + 1;
        bpf_ringbuf_output(&records, &wake, sizeof(wake), BPF_RB_FORCE_WAKEUP);
    }
    return 0;
}

static __always_inline bool ring_room(struct ring *r, u64 head, u64 words)
{
    if (head + words - r->tail_seen <= ring_words)
        return true;
    r->tail_seen = *(volatile u64 *)&r->tail;
    return head + words - r->tail_seen <= ring_words;
}

/* Context of a new run, after a gap record where calls were lost. Returns the new head, or 0: no
 * room. *flags gets WORD_AFTER_GAP. */
static __noinline u64 context_write(struct ring_map *m, u32 *flags)
{
    struct ring *r = &m->header;
    u64 head = r->head;
    struct ring_slot *s = &r->slots[r->slot & (RING_SLOTS - 1)];
    ring_check_half(r, head);
    if (r->gap_first) {
        /* Only once there is room to speak of: else gap record follows gap record. */
        if (!ring_room(r, head, GAP_WORDS + ring_words / 8))
            return 0;
        head = gap_write(head);
        *flags |= WORD_AFTER_GAP;
    } else if (!ring_room(r, head, 8)) {
        return 0;
    }
    ring_put(m, head,
             (u64)WORD_CONTEXT << WORD_TYPE_SHIFT |
                 (u64)(control.level & 7) << CONTEXT_LEVEL_SHIFT |
                 (u64)(s->flags & 3) << CONTEXT_FLAGS_SHIFT |
                 (u64)s->container << CONTEXT_CONTAINER_SHIFT | (s->tid & 0x3fffff));
    ring_put(m, head + 1, (u64)WORD_CONTEXT << WORD_TYPE_SHIFT | CONTEXT_TIME(bpf_ktime_get_ns()));
    ring_put(m, head + 2,
             (u64)WORD_CONTEXT << WORD_TYPE_SHIFT |
                 (u64)s->thread_generation << CONTEXT_GENERATION_SHIFT |
                 (u64)s->program << CONTEXT_PROGRAM_SHIFT | (s->tgid & 0x3fffff));
    return head + CONTEXT_WORDS;
}
