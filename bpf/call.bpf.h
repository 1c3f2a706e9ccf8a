/* The programs that write calls. */
#pragma once

#define RET_NEVER 254
#define RET_ASYNC 255
#define RET_ERROR 256
#define SYSNO_X32 0x40000000
#define SYSNO_COMPAT 1024
#define SYSNO_MAX 1023
#define NR_SIGRETURN 15

static __always_inline u32 log2_of(u64 v)
{
    u32 n = 0;
    if (v >> 32)
        n += 32, v >>= 32;
    if (v >> 16)
        n += 16, v >>= 16;
    if (v >> 8)
        n += 8, v >>= 8;
    if (v >> 4)
        n += 4, v >>= 4;
    if (v >> 2)
        n += 2, v >>= 2;
    return n + (v >> 1);
}

/* As ret_class() of event/syscall.h. */
static __always_inline u64 ret_class_of(long ret)
{
    if (ret >= 0)
        return ret <= 127 ? ret : 128 + log2_of(ret);
    if (ret >= -133)
        return RET_ERROR - ret;
    if (ret >= -4095)
        return ret <= -512 && ret >= -516 ? RET_ERROR + 240 + (-512 - ret) : RET_ERROR + 255;
    return 128 + 63; /* an address in the upper half, not an error */
}

static __always_inline u64 word_of(u32 sysno, u64 ret, u32 flags, u32 hash)
{
    return (u64)WORD_SYSCALL << WORD_TYPE_SHIFT | (u64)sysno << WORD_SYSNO_SHIFT |
           ret << WORD_RET_SHIFT | (u64)flags << WORD_FLAGS_SHIFT | hash;
}

/* Counts the call and writes its words. aux: a further word, or 0. */
static __always_inline void call_write(struct ring_map *m, bool fresh, u32 sysno, u64 ret,
                                       u32 flags, u32 hash, u64 aux, u64 aux2)
{
    struct ring *r = &m->header;
    u64 head = r->head;
    *(volatile u64 *)&r->begun = r->begun + 1;
    r->slots[r->slot & (RING_SLOTS - 1)].seen++;
    if (fresh)
        head = context_write(m, &flags);
    bool room = fresh ? head != 0 : ring_room(r, head, 4);
    if (!room) {
        call_drop(r);
    } else {
        ring_put(m, head++, word_of(sysno, ret, flags, hash));
        if (aux)
            ring_put(m, head++, aux);
        if (aux2)
            ring_put(m, head++, aux2);
        ring_publish(r, head);
    }
    *(volatile u64 *)&r->done = r->begun;
}

/* Declared degradation: the call is counted here and written nowhere. */
static __noinline int call_bin(struct ring *r, u32 sysno, u64 ret)
{
    struct ring_slot *s = &r->slots[r->slot & (RING_SLOTS - 1)];
    *(volatile u64 *)&r->begun = r->begun + 1; /* before the side is looked at */
    struct bin_key key = {s->container, s->program, sysno, *(volatile u32 *)&control.bins_side & 1};
    struct bin_value *v = bpf_map_lookup_elem(&bins, &key), first = {1, ret >> 8};
    s->seen++;
    if (v) {
        v->calls++;
        v->errors += ret >> 8;
    } else if (bpf_map_update_elem(&bins, &key, &first, BPF_ANY)) {
        call_drop(r);
    }
    *(volatile u64 *)&r->done = r->begun;
    return 0;
}

static __always_inline u32 sysno_of(struct task_struct *t, long nr, u64 *ret)
{
    u32 abi = 0;
    if (nr < 0 || (int)nr == -1) {
        *ret = RET_NEVER;
        return NR_SIGRETURN;
    }
    if (t->thread_info.status & TS_COMPAT) {
        abi = 1;
    } else if (nr & SYSNO_X32) {
        abi = 2;
        nr &= ~SYSNO_X32;
    }
    return abi << 10 | (nr > SYSNO_MAX ? SYSNO_MAX : nr);
}

static __noinline u64 latency_word(struct task_struct *t)
{
    u32 key = (u32)t->pid & (ENTRIES - 1);
    struct entry_time *e = bpf_map_lookup_elem(&entries, &key);
    if (!e || !e->ns || e->tid != (u32)t->pid || e->epoch != control.latency_epoch)
        return 0;
    u64 ns = bpf_ktime_get_ns() - e->ns;
    e->ns = 0;
    return AUX(AUX_LATENCY, ns);
}

/* The agent says who it is by a call with a nonce: a pid from its own name space would not do. */
static __noinline int agent_check(struct pt_regs *regs, struct task_struct *t)
{
    if (regs->di != control.self_nonce)
        return 0;
    control.self_tgid = t->tgid;
    control.self_start = BPF_CORE_READ(t, group_leader, start_time);
    control.self_nonce = 0;
    control.generation++;
    return 1;
}

static __always_inline u32 argument_kind(u32 sysno)
{
    u64 i = sysno;
    barrier_value(
        i); /* 6.1 does not see that the upper half of a register is zero: so it is masked */
    i &= 0xfff;
    if (i < ARGUMENT_CALLS)
        return argument_of[i & (ARGUMENT_CALLS - 1)];
    return i >> 9 == SYSNO_COMPAT >> 9 ? argument_of_compat[i & (ARGUMENT_CALLS - 1)] : 0;
}

/* Argument of a call of this ABI: word flags << 32 | hash, or 0. */
static __noinline u64 argument_of_call(struct ring *r, const struct pt_regs *regs, u32 sysno,
                                       u32 kind, u64 ret)
{
    u32 form = kind >> 8 & 0x7f; /* of either ABI */
    if ((form == ARGUMENT_EXEC || form == ARGUMENT_EXECAT) && ret == 0) {
        struct task_state *s = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), NULL, 0);
        return s ? s->exec : 0;
    }
    if ((form == ARGUMENT_CLONE3 || form == ARGUMENT_CLONE) && ret == 0)
        return 0; /* the child comes out of its parent's call: its arguments may be gone by then */
    if (kind >> 8 & ARGUMENT_COMPAT)
        return argument_of_compat_call(regs, kind, r->slots[r->slot & (RING_SLOTS - 1)].container);
    return argument_word(regs, sysno, kind, r->slots[r->slot & (RING_SLOTS - 1)].container);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(vigia_exit, struct pt_regs *regs, long ret)
{
    struct task_struct *t = bpf_get_current_task_btf();
    struct ring_map *m = ring_get();
    if (!m)
        return call_without_ring(t);
    struct ring *r = &m->header;
    bool fresh;
    if (!call_begin(r, t, &fresh)) {
        if (fresh && control.self_nonce)
            agent_check(regs, t);
        return 0;
    }
    u64 class = ret_class_of(ret);
    u32 sysno = sysno_of(t, regs->orig_ax, &class), mode = r->wanted;
    u64 argument = 0, stamp = 0, latency = 0;
    u32 kind = mode & MODE_ARGUMENTS ? argument_kind(sysno) : 0;
    if (kind)
        argument = argument_of_call(r, regs, sysno, kind, class);
    if (!(mode & ~(MODE_WANTED | MODE_ARGUMENTS)) && !fresh) {
        call_write(m, false, sysno, class, argument >> 32, (u32)argument, 0, 0);
        return 0;
    }
    if (fresh && control.self_nonce && agent_check(regs, t))
        return 0;
    if (mode & MODE_BINS)
        return call_bin(r, sysno, class);
    if (mode & MODE_STAMP)
        stamp = AUX(AUX_STAMP, bpf_ktime_get_ns());
    if (mode & MODE_LATENCY)
        latency = latency_word(t);
    call_write(m, fresh, sysno, class, argument >> 32, (u32)argument, stamp, latency);
    return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(vigia_enter, struct pt_regs *regs, long nr)
{
    struct task_struct *t = bpf_get_current_task_btf();
    u32 key = (u32)t->pid & (ENTRIES - 1);
    struct entry_time *e = bpf_map_lookup_elem(&entries, &key);
    if (!e)
        return 0;
    e->tid = t->pid;
    e->epoch = control.latency_epoch;
    e->ns = bpf_ktime_get_ns();
    return 0;
}

/* A call without an exit of its own. */
static __always_inline int call_without_exit(struct task_struct *t, u32 sysno, u64 ret, u32 flags)
{
    struct ring_map *m = ring_get();
    bool fresh;
    if (!m)
        return call_without_ring(t);
    if (!call_begin(&m->header, t, &fresh))
        return 0;
    if (m->header.wanted & MODE_BINS) /* no context was written for this run */
        return call_bin(&m->header, sysno, ret);
    call_write(m, fresh, sysno, ret, flags, 0, 0, 0);
    return 0;
}

SEC("?tp_btf/io_uring_submit_req")
int BPF_PROG(vigia_submit_req, struct io_kiocb *req)
{
    return call_without_exit(bpf_get_current_task_btf(), 3 << 10 | req->opcode, RET_ASYNC,
                             WORD_CLAIMED);
}

SEC("?tp_btf/io_uring_submit_sqe")
int BPF_PROG(vigia_submit_sqe, struct io_kiocb *req)
{
    return call_without_exit(bpf_get_current_task_btf(), 3 << 10 | req->opcode, RET_ASYNC,
                             WORD_CLAIMED);
}

static __noinline int exit_send(struct task_struct *t, struct task_state *s, u32 container)
{
    struct record_process record = {.type = RECORD_EXIT, .container = container};
    process_fill(&record, t);
    record.program = s->program;
    record.exit_code = BPF_CORE_READ(t, signal, group_exit_code);
    if (!record.exit_code)
        record.exit_code = BPF_CORE_READ(t, exit_code);
    return record_send(&record, sizeof(record));
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(vigia_process_exit, struct task_struct *t)
{
    struct task_state *s = bpf_task_storage_get(&tasks, t, NULL, 0);
    if (!s)
        return 0;
    struct pt_regs *regs = (void *)bpf_task_pt_regs(t);
    long nr = regs->orig_ax;
    bool compat = t->thread_info.status & TS_COMPAT;
    /* Whoever was killed comes here with a call that is counted already: only these two never
     * return. */
    if (compat ? nr == 1 || nr == 252 : nr == 60 || nr == 231)
        call_without_exit(t, (compat ? 1 << 10 : 0) | nr, RET_NEVER, 0);
    struct ring_map *m = ring_get();
    if (m)
        m->header.task = 0;
    u32 decision = decision_of(s->container);
    if (!BPF_CORE_READ(t, signal, live.counter) && decision_wanted(decision))
        exit_send(t, s, decision == DECISION_HOST ? 0 : s->container);
    return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(vigia_fork, struct task_struct *parent, struct task_struct *child)
{
    struct task_state *s = bpf_task_storage_get(&tasks, parent, NULL, 0);
    if (!s)
        return 0;
    struct task_state *c = bpf_task_storage_get(&tasks, child, s, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!c)
        return 0;
    c->exec = 0;
    u32 decision = decision_of(c->container);
    if (child->pid != child->tgid || !decision_wanted(decision))
        return 0;
    struct record_process record = {.type = RECORD_FORK};
    process_fill(&record, child);
    record.container = decision == DECISION_HOST ? 0 : c->container;
    record.program = record.parent_program = c->program;
    record.joined = c->joined;
    record_send(&record, sizeof(record));
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(vigia_exec, struct task_struct *t, int old_pid, struct linux_binprm *bprm)
{
    struct ring_map *m = ring_get();
    if (m)
        m->header.task = 0; /* another program: another run */
    u32 now = container_of_task(t);
    bool known = bpf_task_storage_get(&tasks, t, NULL, 0);
    struct task_state *s = state_of(t, now);
    if (!s)
        return 0;
    if (state_settle(t, s, now) || !known)
        s->joined_file = 0; /* what it runs now is what it came for */
    /* runc's init runs itself once more, from a mount of its own, before it enters the container's
     * files; whether it does so before or after it was put into the cgroup is chance. */
    if (s->joined && s->joined_file && s->joined_file == program_inode(t)) {
        s->joined_file = 0;
        return 0;
    }
    s->parent_program = s->program;
    s->program = (u32)__sync_fetch_and_add(&control.next_program, 1) + 1;
    s->sent_epoch = 0;
    u32 decision = decision_of(s->container);
    if (decision_wanted(decision))
        program_send(t, s, decision == DECISION_HOST ? 0 : s->container, PROGRAM_EXEC, old_pid);
    s->joined = JOIN_NONE;
    if (decision_wanted(decision) && control.arguments && !control.level)
        s->exec = argument_of_exec(bprm, decision == DECISION_HOST ? 0 : s->container);
    return 0;
}
