/* Whose calls: a task's container, program and the records that name them. */
#pragma once

#define CGROUP_LEVELS 12
#define OVERLAYFS_MAGIC 0x794c7630

/* Device of the host's root file system. Set before loading. */
const volatile u32 root_device;

static __always_inline u32 container_of_cgroup(struct cgroup *c, u64 v1)
{
    /* Up the tree, since cgroups below those that were there before us have no number of their own.
     */
    for (int i = 0; i < CGROUP_LEVELS && c; i++) {
        u64 id = BPF_CORE_READ(c, kn, id) | v1;
        u32 *number = bpf_map_lookup_elem(&cgroups, &id);
        if (number)
            return *number;
        c = BPF_CORE_READ(c, self.parent, cgroup);
    }
    return CONTAINER_UNKNOWN;
}

static __always_inline u32 decision_get(u32 number)
{
    u32 *decision = bpf_map_lookup_elem(&decisions, &number);
    return decision ? *decision : DECISION_PENDING;
}

static __noinline u32 container_of_task(struct task_struct *t)
{
    struct css_set *set = BPF_CORE_READ(t, cgroups);
    u32 number = container_of_cgroup(BPF_CORE_READ(set, dfl_cgrp), 0);
    if (!control.hierarchy_v1)
        return number;
    /* In v2 it may have been left in the service that started it. */
    if (number != CONTAINER_UNKNOWN && decision_get(number) != DECISION_HOST)
        return number;
    int at = control.memory_v1 ? bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)
                               : bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
    struct cgroup_subsys_state *css = NULL;
    bpf_probe_read_kernel(&css, sizeof(css), (void *)&set->subsys + (u64)at * sizeof(void *));
    u32 v1 = container_of_cgroup(BPF_CORE_READ(css, cgroup), CGROUP_V1);
    return v1 != CONTAINER_UNKNOWN ? v1 : number;
}

static __always_inline u32 decision_of(u32 number)
{
    if (number == CONTAINER_UNKNOWN)
        return DECISION_HOST;
    struct container_entry *e = bpf_map_lookup_elem(&containers, &number);
    if (!e)
        return DECISION_PENDING;
    e->populated = 1;
    return decision_get(number);
}

static __always_inline bool decision_wanted(u32 decision)
{
    return decision == DECISION_HOST ? control.host : decision != DECISION_UNWANTED;
}

static __always_inline struct path path_up(struct path at, bool *top)
{
    struct dentry *parent = BPF_CORE_READ(at.dentry, d_parent);
    if (at.dentry == BPF_CORE_READ(at.mnt, mnt_root) || parent == at.dentry) {
        struct mount *m = (void *)at.mnt - bpf_core_field_offset(struct mount, mnt);
        struct mount *up = BPF_CORE_READ(m, mnt_parent);
        if (up == m || !up) {
            *top = true;
            return at;
        }
        at.dentry = BPF_CORE_READ(m, mnt_mountpoint);
        at.mnt = (void *)up + bpf_core_field_offset(struct mount, mnt);
        return at;
    }
    at.dentry = parent;
    return at;
}

#define PATH_WHOLE (1u << 31)

/* Puts the parts of a path inside the task's root, leaf first, into the text's base or the
 * program's data of scratch 0. Returns the bytes used; with PATH_WHOLE if they are all there is, up
 * to the root of the task or, where the path lies outside of it, of all mounts. Not static, so that
 * the verifier sees the loop once and not on each way to it. */
__noinline u32 path_parts(u64 mount, u64 entry, u32 of_text)
{
    struct scratch *buffer = scratch_get(0);
    struct task_struct *t = bpf_get_current_task_btf();
    if (!buffer)
        return 0;
    char *data = of_text ? buffer->text.base : buffer->program.data;
    struct path at = {(void *)mount, (void *)entry}, root = BPF_CORE_READ(t, fs, root);
    u32 used = 0;
    bool top = false;
    for (int i = 0; i < PATH_PARTS + 8; i++) {
        if (at.dentry == root.dentry && at.mnt == root.mnt)
            return used | PATH_WHOLE;
        struct dentry *d = at.dentry;
        bool mounted = d == BPF_CORE_READ(at.mnt, mnt_root);
        at = path_up(at, &top);
        if (mounted && !top)
            continue; /* the root of a mount has no name: its mount point has */
        if (used > PATH_BYTES - 256)
            break;
        long n = bpf_probe_read_kernel_str(data + used, 256, BPF_CORE_READ(d, d_name.name));
        if (n > 0 && n <= 256)
            used += n;
        barrier_value(used);
        if (top)
            return used | PATH_WHOLE;
    }
    return used;
}

/* Is the file in the upper layer of a container's overlay mount, so written after its start? The
 * host may have an overlay for its own root, on which a container without one lies.
 *
 * struct ovl_inode is a module's, and no BTF may tell it: since 4.13 it has the dentry of the upper
 * layer directly behind the inode, NULL where the file is in the layers below alone. Nothing that a
 * container can name, mount or change its root to matters for this. */
static __always_inline bool in_upper_layer(struct file *f)
{
    struct inode *inode = BPF_CORE_READ(f, f_path.dentry, d_inode);
    struct super_block *sb = BPF_CORE_READ(inode, i_sb);
    struct dentry *upper = NULL;
    if (BPF_CORE_READ(sb, s_magic) != OVERLAYFS_MAGIC || BPF_CORE_READ(sb, s_dev) == root_device)
        return false;
    bpf_probe_read_kernel(&upper, sizeof(upper), (char *)inode + bpf_core_type_size(struct inode));
    return upper && BPF_CORE_READ(upper, d_inode);
}

/* Tells whether an exec runs the same file again; 0 where there is none. */
static __always_inline u32 program_inode(struct task_struct *t)
{
    return (u32)BPF_CORE_READ(t, mm, exe_file, f_path.dentry, d_inode, i_ino);
}

static __always_inline void process_fill(struct record_process *p, struct task_struct *t)
{
    p->time = bpf_ktime_get_ns();
    p->start = BPF_CORE_READ(t, group_leader, start_time);
    p->tgid = BPF_CORE_READ(t, tgid);
    p->tid = BPF_CORE_READ(t, pid);
    p->parent_start = BPF_CORE_READ(t, real_parent, group_leader, start_time);
    p->parent_tgid = BPF_CORE_READ(t, real_parent, tgid);
    p->exit_code = 0;
    p->deleted = p->upper = p->joined = 0;
    p->path_length = p->arguments_length = 0;
}

/* Names the current task's exec number. f: its executable; old_tid: before the exec. */
static __noinline int program_send(struct task_struct *t, struct task_state *s, u32 container,
                                   u32 event, u32 old_tid)
{
    struct scratch *buffer = scratch_get(0);
    if (!buffer || !s)
        return 0;
    struct record_program *r = &buffer->program;
    struct mm_struct *mm = BPF_CORE_READ(t, mm);
    struct file *f = BPF_CORE_READ(mm, exe_file);
    process_fill(&r->process, t);
    r->process.type = RECORD_PROGRAM;
    r->process.event = event;
    r->process.container = container;
    r->process.program = s->program;
    r->process.parent_program = s->parent_program;
    r->process.joined = s->joined;
    if (old_tid)
        r->process.tid = old_tid;
    r->process.deleted = f && !BPF_CORE_READ(f, f_path.dentry, d_inode, i_nlink);
    struct path path = BPF_CORE_READ(f, f_path);
    u32 used = f ? path_parts((u64)path.mnt, (u64)path.dentry, 0) & ~PATH_WHOLE : 0;
    r->process.upper = f && in_upper_layer(f);
    u64 start = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
    u64 size = end - start;
    if (size > ARGUMENT_BYTES)
        size = ARGUMENT_BYTES;
    if (used > PATH_BYTES)
        used = PATH_BYTES;
    barrier_value(size);
    barrier_value(used);
    if (used > PATH_BYTES || size > ARGUMENT_BYTES)
        return 0;
    if (bpf_probe_read_user(r->data + used, size, (void *)start))
        size = 0;
    r->process.path_length = used;
    r->process.arguments_length = size;
    u64 total = sizeof(struct record_process) + used + size;
    if (total > sizeof(*r))
        total = sizeof(*r);
    if (!record_send(r, total))
        s->sent_epoch = control.epoch;
    return 0;
}

/* Makes t's state, complete from its first moment: on another CPU t may be making calls. enters:
 * from outside, as a runtime brings a container up or a session is opened. */
static __noinline int state_make(struct task_struct *t, u32 number, bool enters)
{
    struct task_state first = {.container = number,
                               .program = (u32)__sync_fetch_and_add(&control.next_program, 1) + 1};
    struct container_entry *e = bpf_map_lookup_elem(&containers, &number);
    if (e && enters && decision_get(number) != DECISION_HOST) {
        first.joined = e->joins ? JOIN_SESSION : JOIN_START;
        first.joined_file = program_inode(t);
    }
    struct task_state *s = bpf_task_storage_get(&tasks, t, &first, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (s && e && first.joined && s->program == first.program)
        __sync_fetch_and_add(&e->joins, 1);
    return 0;
}

/* Does a task stay with this container wherever it is moved to? Not with a cgroup of the host, nor
 * with one that user space has not looked at yet (that of a service which starts a container at
 * once). */
static __noinline bool container_holds(u32 number)
{
    u32 decision = decision_of(number);
    return decision == DECISION_WANTED || decision == DECISION_UNWANTED;
}

/* The task is in container `now`: it belongs to it from here on unless another one holds it.
 * Returns whether it has just entered. */
static __noinline bool state_settle(struct task_struct *t, struct task_state *s, u32 now)
{
    if (!s || s->container == now || now == CONTAINER_UNKNOWN || container_holds(s->container))
        return false;
    struct container_entry *e = bpf_map_lookup_elem(&containers, &now);
    s->container = now;
    s->sent_epoch = 0; /* its program was told as another's, if at all */
    if (!e || decision_get(now) == DECISION_HOST)
        return false;
    s->joined = __sync_fetch_and_add(&e->joins, 1) ? JOIN_SESSION : JOIN_START;
    s->joined_file = program_inode(t);
    return true;
}

/* Whoever is in a container, but was not forked inside, comes from outside: it is on its way in on
 * another CPU, or was born into the cgroup (CLONE_INTO_CGROUP). Not whoever was there before us. */
static __always_inline bool task_enters(struct task_struct *t)
{
    return control.joins_from && BPF_CORE_READ(t, group_leader, start_time) >= control.joins_from;
}

/* The task's state, made where it is missing and the task is in a container (or is to be captured).
 */
static __always_inline struct task_state *state_of(struct task_struct *t, u32 number)
{
    struct task_state *s = bpf_task_storage_get(&tasks, t, NULL, 0);
    if (s || (number == CONTAINER_UNKNOWN && !control.host))
        return s;
    /* One number for all threads: the leader's, if it has one already. */
    struct task_state *leader = bpf_task_storage_get(&tasks, t->group_leader, NULL, 0);
    if (leader)
        return bpf_task_storage_get(&tasks, t, leader, BPF_LOCAL_STORAGE_GET_F_CREATE);
    state_make(t, number, task_enters(t));
    s = bpf_task_storage_get(&tasks, t, NULL, 0);
    if (s && t->group_leader != t)
        bpf_task_storage_get(&tasks, t->group_leader, s, BPF_LOCAL_STORAGE_GET_F_CREATE);
    return s;
}

static __always_inline bool task_is_agent(struct task_struct *t)
{
    return (u32)t->tgid == control.self_tgid &&
           BPF_CORE_READ(t, group_leader, start_time) == control.self_start;
}

/* A call on a CPU that is so new that it has no ring yet. */
static __noinline int call_without_ring(struct task_struct *t)
{
    if (!task_is_agent(t) && decision_wanted(decision_of(container_of_task(t))))
        __sync_fetch_and_add(&control.no_ring, 1);
    return 0;
}
