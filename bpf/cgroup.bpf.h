/* Every new cgroup has a number before the first task is in it. */
#pragma once

static __always_inline u32 hierarchy_bit(struct cgroup *c)
{
    u32 id = BPF_CORE_READ(c, root, hierarchy_id);
    return id == 0 ? 1 : id == control.hierarchy_v1 ? 2 : 0;
}

static __always_inline u64 path_hash(const char *path, u32 length)
{
    u64 h = control.seed[0];
    for (u32 i = 0; i < CONTAINER_PATH_BYTES; i++) {
        if (i >= length)
            break;
        h = (h ^ (u8)path[i]) * 0x100000001b3ull;
    }
    return h;
}

static __always_inline u64 cgroup_key(struct cgroup *c, u32 bit)
{
    return BPF_CORE_READ(c, kn, id) | (bit == 2 ? CGROUP_V1 : 0);
}

/* The container that c's parent is inside of, or CONTAINER_UNKNOWN. */
static __noinline u32 container_around(struct cgroup *c, u64 v1)
{
    u32 number = container_of_cgroup(BPF_CORE_READ(c, self.parent, cgroup), v1);
    if (number == CONTAINER_UNKNOWN)
        return number;
    struct container_entry *e = bpf_map_lookup_elem(&containers, &number);
    u32 decision = decision_get(number);
    if (!e || decision == DECISION_HOST)
        return CONTAINER_UNKNOWN;
    /* A cgroup without tasks of its own holds containers; user space may know better. */
    if (decision == DECISION_PENDING && !e->populated)
        return CONTAINER_UNKNOWN;
    return number;
}

static __always_inline int container_make(struct scratch *path, u64 id, u64 hash, u32 bit)
{
    struct scratch *buffer = scratch_get(1);
    if (!buffer)
        return 0;
    u32 number = (u32)__sync_fetch_and_add(&control.next_container, 1);
    struct container_entry *e = &buffer->entry;
    __builtin_memcpy(e->path, path->cgroup.path, CONTAINER_PATH_BYTES);
    e->cgroup = id;
    e->texts = e->populated = 0;
    e->hierarchies = bit;
    e->joins = e->minute = e->pad = 0;
    bpf_map_update_elem(&containers, &number, e, 0);
    bpf_map_update_elem(&paths, &hash, &number, 0);
    bpf_map_update_elem(&cgroups, &id, &number, 0);
    path->cgroup.type = RECORD_CGROUP;
    path->cgroup.container = number;
    path->cgroup.cgroup = id;
    path->cgroup.time = bpf_ktime_get_ns();
    record_send(&path->cgroup, sizeof(path->cgroup));
    return 0;
}

/* Gives c the number of the container of the same path in another hierarchy, or a new one. */
static __noinline int container_name(struct cgroup *c, const char *path, u32 bit)
{
    struct scratch *buffer = scratch_get(0);
    if (!buffer)
        return 0;
    u64 id = cgroup_key(c, bit);
    __builtin_memset(buffer->cgroup.path, 0, CONTAINER_PATH_BYTES);
    long n = bpf_probe_read_kernel_str(buffer->cgroup.path, CONTAINER_PATH_BYTES, path);
    u64 hash = path_hash(buffer->cgroup.path, n > 0 ? n : 0);
    u32 *same = bpf_map_lookup_elem(&paths, &hash);
    if (same) {
        u32 number = *same;
        struct container_entry *e = bpf_map_lookup_elem(&containers, &number);
        if (e && !(e->hierarchies & bit)) {
            e->hierarchies |= bit;
            bpf_map_update_elem(&cgroups, &id, &number, 0);
            return 0;
        }
    }
    return container_make(buffer, id, hash, bit);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(vigia_mkdir, struct cgroup *c, const char *path)
{
    u32 bit = hierarchy_bit(c);
    if (!bit)
        return 0;
    u64 id = cgroup_key(c, bit);
    u32 around = container_around(c, bit == 2 ? CGROUP_V1 : 0);
    if (around != CONTAINER_UNKNOWN) {
        bpf_map_update_elem(&cgroups, &id, &around, 0);
        return 0;
    }
    return container_name(c, path, bit);
}

/* t comes into a container. */
static __always_inline void task_join(struct task_struct *t, u32 number)
{
    struct task_state *s = bpf_task_storage_get(&tasks, t, NULL, 0);
    if (s)
        state_settle(t, s, number);
    else
        state_make(t, number, true);
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(vigia_attach, struct cgroup *c, const char *path, struct task_struct *t)
{
    u32 bit = hierarchy_bit(c);
    if (!bit)
        return 0;
    u32 number = container_of_cgroup(c, bit == 2 ? CGROUP_V1 : 0);
    if (number == CONTAINER_UNKNOWN && BPF_CORE_READ(c, self.parent)) {
        /* Made before us, and without a process when user space looked. */
        container_name(c, path, bit);
        number = container_of_cgroup(c, bit == 2 ? CGROUP_V1 : 0);
    }
    struct container_entry *e = bpf_map_lookup_elem(&containers, &number);
    if (e) {
        e->populated = 1;
        if (decision_get(number) != DECISION_HOST)
            task_join(t, number);
    }
    if (e || bpf_task_storage_get(&tasks, t, NULL, 0))
        __sync_fetch_and_add(&control.generation, 1);
    return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(vigia_rmdir, struct cgroup *c, const char *path)
{
    struct scratch *buffer = scratch_get(0);
    u32 bit = hierarchy_bit(c);
    if (!bit || !buffer)
        return 0;
    u64 id = cgroup_key(c, bit);
    u32 *found = bpf_map_lookup_elem(&cgroups, &id);
    if (!found)
        return 0;
    u32 number = *found;
    long n = bpf_probe_read_kernel_str(buffer->cgroup.path, CONTAINER_PATH_BYTES, path);
    u64 hash = path_hash(buffer->cgroup.path, n > 0 ? n : 0);
    u32 *named = bpf_map_lookup_elem(&paths, &hash);
    if (named && *named == number)
        bpf_map_delete_elem(&paths, &hash);
    bpf_map_delete_elem(&cgroups, &id);
    struct container_entry *e = bpf_map_lookup_elem(&containers, &number);
    if (!e || e->cgroup != id)
        return 0;
    buffer->cgroup.type = RECORD_CGROUP_GONE;
    buffer->cgroup.container = number;
    buffer->cgroup.cgroup = id;
    buffer->cgroup.time = bpf_ktime_get_ns();
    record_send(&buffer->cgroup, sizeof(buffer->cgroup));
    return 0;
}
