/* Argument hashes, and the texts behind them: sent once per (container, hash). */
#pragma once

#define AT_CWD (-100)
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define TEXTS_MAX                                                                                  \
    8192 /* new ones per container and minute: past it words say that there is no text */
#define MINUTE_NS 60000000000ull
#define PROT_WRITE_EXEC 6
#define PROT_EXEC 4
#define CLONE_NEW                                                                                  \
    0x7e020000 /* all CLONE_NEW* name spaces but time's, which clone() cannot ask for */
#define MODE_EXEC 0111
#define SOCKETCALL_SOCKET 1
#define SOCKETCALL_BIND 2
#define SOCKETCALL_CONNECT 3
#define SOCKETCALL_SENDTO 11
#define SOCKETCALL_SENDMSG 16
#define MODE_SET_ID 06000
#define MOUNT_FLAGS 0x1f7f /* MS_RDONLY..MS_REMOUNT, MS_BIND, MS_MOVE: what a mount does */
#define O_ACCMODE 3
#define O_CREAT 0100
#define O_TRUNC 01000

/* Which call has which argument: enum argument_form << 8 | enum text_access. Set before loading. */
const volatile u16 argument_of[ARGUMENT_CALLS];
/* The same for 32-bit calls, with the native call's number << 16. */
const volatile u32 argument_of_compat[ARGUMENT_CALLS];

/* The i-th argument: of a native call from its registers, of a 32-bit one from struct scratch.
 * compat is a constant: native calls pay nothing for it. */
static __always_inline u64 argument_at(const void *from, u32 i, const bool compat)
{
    const struct pt_regs *regs = from;
    const u32 *a = from;
    if (compat)
        return a[i];
    switch (i) {
    case 0:
        return regs->di;
    case 1:
        return regs->si;
    case 2:
        return regs->dx;
    case 3:
        return regs->r10;
    case 4:
        return regs->r8;
    default:
        return regs->r9;
    }
}
#define A(i) argument_at(from, (i), compat)

static __always_inline u64 hash_words(u64 h, const u64 *words, u32 n, u32 max)
{
    for (u32 i = 0; i < max; i++) {
        if (i >= n)
            break;
        h = (h ^ words[i]) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    return h;
}

/* The hash of what r says. The bytes after length, up to a multiple of 8, must be zero. */
static __always_inline u32 text_hash(const struct record_text *r)
{
    u64 h =
        control.seed[0] ^ ((u64)r->value << 32 | (u32)r->number << 16 | r->form << 8 | r->access);
    h = (h ^ h >> 29) * 0x9e3779b97f4a7c15ull;
    h = hash_words(h ^ r->length, (const u64 *)r->bytes, (r->length + 7u) >> 3, TEXT_BYTES / 8);
    h = (h ^ control.seed[1]) * 0xff51afd7ed558ccdull;
    u32 hash = (u32)(h >> 32);
    return hash ? hash : 1; /* 0 stands for none */
}

/* Zeroes what an earlier text left in the last word of this one. */
static __always_inline void text_end(struct record_text *r, u32 length)
{
    u64 last = length >> 3;
    u32 keep = length & 7;
    barrier_value(last); /* or the compiler drops the mask that older verifiers want to see */
    last &= TEXT_BYTES / 8 - 1;
    if (length < TEXT_BYTES)
        ((u64 *)r->bytes)[last] &= (1ull << keep * 8) - 1;
    r->length = length;
}

static __always_inline bool text_read(struct record_text *r, const char *from, bool kernel)
{
    long n = kernel ? bpf_probe_read_kernel_str(r->bytes, TEXT_BYTES, from)
                    : bpf_probe_read_user_str(r->bytes, TEXT_BYTES, from);
    if (n < 0 || n > TEXT_BYTES)
        return false;
    n += !n; /* older kernels do not count the NUL of an empty text */
    r->form = FORM_PATH;
    r->truncated = n == TEXT_BYTES;
    text_end(r, (u32)n - 1);
    return true;
}

static __always_inline bool text_read_at(struct scratch *b, u64 directory, u64 from)
{
    b->directory = (int)directory;
    return text_read(&b->text, (char *)from, false);
}

/* The functions of the base are not static: the verifier sees them once, not on each way there. */

/* Walks from the base of scratch 0 to the root and hashes its path. 0: it cannot be told. */
__noinline u32 base_walk(void)
{
    struct scratch *b = scratch_get(0);
    if (!b)
        return 0;
    u32 used = path_parts(b->base_mount, b->base_entry, 1) ^ PATH_WHOLE;
    if (used > PATH_BYTES)
        return 0;
    b->text.base_length = used;
    u64 last = used >> 3;
    barrier_value(last);
    last &= PATH_BYTES / 8 - 1;
    if (used < PATH_BYTES)
        ((u64 *)b->text.base)[last] &= (1ull << (used & 7) * 8) - 1;
    u64 h = hash_words(control.seed[1], (const u64 *)b->text.base, (used + 7) >> 3, PATH_BYTES / 8);
    u32 hash = (u32)(h >> 32);
    return hash ? hash : 1;
}

/* The text is relative to a directory, whose path becomes part of the hash. What is hashed is that
 * path, not the directory's address or inode, which others get after it: so a hash never stands for
 * another text, and a directory that the kernel forgot and found again is the same. The walk is
 * made once per directory and CPU, again after its rename, which the hash of its name tells, and
 * again after 256 jiffies: a rename further up gives no longer than that the path that was. */
static __always_inline int base_join(struct scratch *b, struct task_struct *t, u32 name)
{
    u64 entry = *(volatile u64 *)&b->base_entry, mount = *(volatile u64 *)&b->base_mount;
    u64 root = (u64)t->fs->root.dentry, age = bpf_jiffies64() >> 8;
    u32 i = entry >> 6 & (BASES - 1);
    struct base_seen *s = bpf_map_lookup_elem(&bases, &i);
    if (!s || !entry)
        return 0;
    if (s->entry != entry || s->mount != mount || s->root != root || s->age != age ||
        s->name != name) {
        s->entry = entry;
        s->mount = mount;
        s->root = root;
        s->age = age;
        s->name = name;
        s->hash = base_walk();
    }
    b->text.value = s->hash;
    b->text.based = s->hash != 0;
    return 0;
}

static __always_inline int base_join_file(struct scratch *b, struct task_struct *t, struct file *f)
{
    struct path at = BPF_CORE_READ(f, f_path);
    b->base_mount = (u64)at.mnt;
    b->base_entry = (u64)at.dentry;
    return base_join(b, t, BPF_CORE_READ(at.dentry, d_name.hash));
}

/* Before the text is sent: its hash and what that stands for must be of one walk. */
__noinline u32 base_again(void)
{
    struct scratch *b = scratch_get(0);
    if (!b)
        return 0;
    b->text.value = base_walk();
    b->text.based = b->text.value != 0;
    return text_hash(&b->text);
}

/* Finds what the path in scratch 0 is relative to: the working directory, or what its descriptor
 * is; an empty path is the descriptor's own file. 0: there is no path. */
__noinline int base_find(void)
{
    struct scratch *b = scratch_get(0);
    struct task_struct *t = bpf_get_current_task_btf();
    if (!b)
        return 0;
    u32 directory = b->directory;
    if (!b->text.bytes[0] && (b->text.form == FORM_UNIX || b->directory < 0))
        return b->text.form == FORM_UNIX; /* an abstract address */
    if (b->directory == AT_CWD) {
        b->base_mount = (u64)t->fs->pwd.mnt;
        b->base_entry = (u64)t->fs->pwd.dentry;
        base_join(b, t, t->fs->pwd.dentry->d_name.hash);
    } else {
        struct fdtable *table = BPF_CORE_READ(t, files, fdt);
        struct file **files = BPF_CORE_READ(table, fd), *f = NULL;
        if (directory < BPF_CORE_READ(table, max_fds))
            bpf_probe_read_kernel(&f, sizeof(f), files + directory);
        if (f)
            base_join_file(b, t, f);
    }
    return 1;
}

/* The same of an exec by descriptor that has succeeded: what runs now. */
__noinline int base_of_program(void)
{
    struct scratch *b = scratch_get(0);
    struct task_struct *t = bpf_get_current_task_btf();
    if (!b)
        return 0;
    base_join_file(b, t, BPF_CORE_READ(t, mm, exe_file));
    if (b->text.based)
        text_end(&b->text, 0);
    return 0;
}

static __always_inline u32 class_of_v4(u32 a) /* host order */
{
    if (a >> 24 == 127)
        return ADDRESS_LOOPBACK;
    if (a == 0xa9fea9fe)
        return ADDRESS_METADATA;
    if (a >> 16 == 0xa9fe)
        return ADDRESS_LINK_LOCAL;
    if (a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 22 == 0x191)
        return ADDRESS_PRIVATE;
    if (a >> 28 >= 14)
        return ADDRESS_MULTICAST;
    return a ? ADDRESS_PUBLIC : ADDRESS_ANY;
}

static __always_inline u32 class_of_v6(const u64 *half) /* as in memory */
{
    u64 high = __builtin_bswap64(half[0]), low = __builtin_bswap64(half[1]);
    if (!high && low >> 32 == 0xffff)
        return class_of_v4((u32)low);
    if (!high)
        return !low ? ADDRESS_ANY : low == 1 ? ADDRESS_LOOPBACK : ADDRESS_PUBLIC;
    if (high == 0xfd000ec200000000ull && low == 0x254)
        return ADDRESS_METADATA;
    if (high >> 57 == 0x7e)
        return ADDRESS_PRIVATE;
    if (high >> 54 == 0x3fa)
        return ADDRESS_LINK_LOCAL;
    return high >> 56 == 0xff ? ADDRESS_MULTICAST : ADDRESS_PUBLIC;
}

struct address {
    u16 family, port;
    u32 v4;
    u64 v6[2];
};

static __noinline bool address_read(struct record_text *r, const void *from, u64 length)
{
    struct address a = {0};
    u32 n = length > sizeof(a) ? sizeof(a) : (u32)length;
    barrier_value(n);
    if (n < 2 || n > sizeof(a) || bpf_probe_read_user(&a, n, from))
        return false;
    u32 port = __builtin_bswap16(a.port);
    if (port >= PORT_EPHEMERAL)
        port = 0;
    r->length = 0;
    if (a.family == AF_INET) {
        r->form = FORM_INET;
        r->value = class_of_v4(__builtin_bswap32(a.v4)) << 16 | port;
    } else if (a.family == AF_INET6) {
        /* Behind family, port and flow label, which v4's address overlays. */
        r->form = FORM_INET;
        r->value = class_of_v6(a.v6) << 16 | port;
    } else if (a.family == AF_UNIX) {
        n = length > 110 ? 108 : (u32)length - 2;
        barrier_value(n);
        if (n > 108 || bpf_probe_read_user(r->bytes, n, from + 2))
            n = 0;
        r->form = FORM_UNIX;
        if (n && r->bytes[0]) { /* a path ends at its NUL, however long the caller says it is */
            long used = bpf_probe_read_kernel_str(r->bytes + 112, 112, r->bytes);
            if (used > 1 && (u32)used - 1 < n)
                n = used - 1;
        }
        text_end(r, n & 127);
    } else {
        r->form = FORM_FAMILY;
        r->value = a.family;
    }
    return true;
}

static __always_inline bool flag_set(struct record_text *r, u32 value)
{
    r->form = FORM_FLAG;
    r->value = value;
    r->access = 0;
    r->length = 0;
    return value != 0;
}

static __always_inline u8 access_of_open(u64 flags)
{
    if (flags & O_CREAT)
        return 3;                                 /* create */
    return flags & (O_ACCMODE | O_TRUNC) ? 2 : 1; /* write, read */
}

/* A mode worth a class of its own goes before the path. */
static __always_inline bool mode_flag(struct record_text *r, u32 mode)
{
    u32 flag = mode & MODE_SET_ID ? MODE_SET_ID : mode & MODE_EXEC;
    return flag && flag_set(r, flag == MODE_SET_ID ? MODE_SET_ID : MODE_EXEC);
}

static __always_inline bool address_of_message(struct record_text *r, const void *message,
                                               const bool compat)
{
    struct {
        u64 name;
        u32 length;
    } head;
    struct {
        u32 name, length;
    } head32;
    if (!compat)
        return !bpf_probe_read_user(&head, sizeof(head), message) && head.name &&
               address_read(r, (void *)head.name, head.length);
    return !bpf_probe_read_user(&head32, sizeof(head32), message) && head32.name &&
           address_read(r, (void *)(u64)head32.name, head32.length);
}

static __always_inline u64 user_u64(const void *from)
{
    u64 v = 0;
    bpf_probe_read_user(&v, sizeof(v), from);
    return v;
}

static __always_inline u32 socket_flag(u64 family, u64 type, u64 protocol)
{
    return (family & 0xff) << 16 | (type & 0xf) << 8 | (protocol & 0xff);
}

static __always_inline bool flag_read_of(struct record_text *r, const void *from, u32 form,
                                         const bool compat)
{
    switch (form) {
    case ARGUMENT_PROT:
        return A(2) & PROT_EXEC && flag_set(r, A(2) & PROT_WRITE_EXEC);
    case ARGUMENT_CLONE:
        return flag_set(r, A(0) & CLONE_NEW);
    case ARGUMENT_CLONE3:
        return flag_set(r, user_u64((void *)A(0)) & CLONE_NEW);
    case ARGUMENT_SETNS:
        return flag_set(r, A(1) & CLONE_NEW ? A(1) & CLONE_NEW : 1);
    case ARGUMENT_PTRACE:
        return flag_set(r, (u32)A(0) + 1);
    case ARGUMENT_MOUNT:
        return flag_set(r, (A(3) & MOUNT_FLAGS) + 1);
    case ARGUMENT_SOCKET:
        return flag_set(r, socket_flag(A(0), A(1), A(2)));
    case ARGUMENT_FCHMOD:
        return mode_flag(r, A(1));
    }
    return false;
}

static __noinline bool flag_read(struct record_text *r, const struct pt_regs *regs, u32 form)
{
    return flag_read_of(r, regs, form, false);
}

static __always_inline bool argument_read_of(struct scratch *b, const void *from, u32 form,
                                             const bool compat)
{
    struct record_text *r = &b->text;
    switch (form) {
    case ARGUMENT_OPEN:
        r->access = access_of_open(A(1));
        return text_read(r, (char *)A(0), false);
    case ARGUMENT_OPENAT:
        r->access = access_of_open(A(2));
        return text_read_at(b, A(0), A(1));
    case ARGUMENT_OPENAT2:
        r->access = access_of_open(user_u64((void *)A(2)));
        return text_read_at(b, A(0), A(1));
    case ARGUMENT_PATH0:
    case ARGUMENT_EXEC:
        return text_read(r, (char *)A(0), false);
    case ARGUMENT_PATH1:
        return text_read(r, (char *)A(1), false);
    case ARGUMENT_AT1:
    case ARGUMENT_EXECAT:
        return text_read_at(b, A(0), A(1));
    case ARGUMENT_AT2:
        return text_read_at(b, A(1), A(2));
    case ARGUMENT_AT3:
        return text_read_at(b, A(2), A(3));
    case ARGUMENT_CHMOD:
        return mode_flag(r, A(1)) || text_read(r, (char *)A(0), false);
    case ARGUMENT_FCHMODAT:
        return mode_flag(r, A(2)) || text_read_at(b, A(0), A(1));
    case ARGUMENT_ADDRESS:
        return address_read(r, (void *)A(1), (u32)A(2));
    case ARGUMENT_SENDTO:
        return A(4) && address_read(r, (void *)A(4), (u32)A(5));
    case ARGUMENT_SENDMSG:
        return address_of_message(r, (void *)A(1), compat);
    default:
        return compat ? flag_read_of(r, from, form, true) : flag_read(r, from, form);
    }
}

/* socketcall(): the number of the call, and where its arguments are. */
static __noinline bool socketcall_read(struct record_text *r, u32 call, const void *from)
{
    u32 a[6] = {0};
    if (bpf_probe_read_user(a, call == SOCKETCALL_SENDTO ? 24 : 12, from))
        return false;
    switch (call) {
    case SOCKETCALL_SOCKET:
        return flag_set(r, socket_flag(a[0], a[1], a[2]));
    case SOCKETCALL_BIND:
        r->access = 9;
        return address_read(r, (void *)(u64)a[1], a[2]);
    case SOCKETCALL_CONNECT:
        r->access = 8;
        return address_read(r, (void *)(u64)a[1], a[2]);
    case SOCKETCALL_SENDTO:
        r->access = 10;
        return a[4] && address_read(r, (void *)(u64)a[4], a[5]);
    case SOCKETCALL_SENDMSG:
        r->access = 10;
        return address_of_message(r, (void *)(u64)a[1], true);
    }
    return false;
}

/* Reads the argument of a call into b's text; false: it has none. */
static __noinline bool argument_read(struct scratch *b, const struct pt_regs *regs, u32 form)
{
    return argument_read_of(b, regs, form, false);
}

/* Hashes r and sees to it that its text is sent. Returns word flags << 32 | hash. Not static, as
 * above. */
__noinline u64 text_deliver(struct record_text *r, u32 container)
{
    if (!r)
        return 0;
    struct dictionary_key key = {container, text_hash(r)};
    u64 word = (u64)(WORD_HAS_ARGUMENT | (r->truncated ? WORD_TRUNCATED : 0)) << 32 | key.hash;
    struct dictionary_entry now = {control.epoch, 0, 0};
    u64 both = (u64)container << 32 | key.hash, i = key.hash & (RECENT - 1);
    u32 zero = 0;
    struct recent *recent = bpf_map_lookup_elem(&recents, &zero);
    if (!recent)
        return 0;
    u32 remembered = now.epoch + control.forgotten; /* both only rise */
    if (recent->key[i] == both && recent->epoch[i] == remembered)
        return word;
    struct dictionary_entry *sent = bpf_map_lookup_elem(&dictionary, &key);
    if (sent && sent->epoch == now.epoch) {
        recent->key[i] = both;
        recent->epoch[i] = remembered;
        return word;
    }
    struct container_entry *e = bpf_map_lookup_elem(&containers, &container);
    u32 minute = bpf_ktime_get_ns() / MINUTE_NS;
    if (e && e->minute != minute)
        e->minute = minute, e->texts = 0;
    if (!sent && e && e->texts >= TEXTS_MAX) {
        __sync_fetch_and_add(&control.refused_texts, 1);
        return word | (u64)WORD_NO_TEXT << 32;
    }
    if (r->based && !r->base_length) {
        key.hash = base_again();
        word = word >> 32 << 32 | key.hash;
    }
    r->type = RECORD_TEXT;
    r->container = container;
    r->hash = key.hash;
    u64 size = r->based ? sizeof(*r) - PATH_BYTES + r->base_length
                        : sizeof(*r) - PATH_BYTES - TEXT_BYTES + r->length;
    barrier_value(size);
    if (size > sizeof(*r))
        return word;
    /* The text first, then the dictionary: else a word could stand for a text that nobody has. */
    if (record_send(r, size))
        return word | (u64)WORD_NO_TEXT << 32;
    long error = bpf_map_update_elem(&dictionary, &key, &now, BPF_ANY);
    barrier_value(error);
    if (error)
        return word;
    if (e) {
        if (!sent)
            __sync_fetch_and_add(&e->texts, 1);
    }
    return word;
}

static __always_inline struct scratch *text_begin(u32 access)
{
    struct scratch *b = scratch_get(0);
    if (!b)
        return NULL;
    b->text.value = b->text.truncated = b->text.based = 0;
    b->text.number = 0;
    b->text.base_length = 0;
    b->text.access = access;
    b->directory = AT_CWD;
    return b;
}

/* The argument of a call of `container`: word flags << 32 | hash, or 0. */
static __noinline u64 argument_word(const struct pt_regs *regs, u32 nr, u32 kind, u32 container)
{
    struct scratch *b = text_begin(kind);
    if (!b || !argument_read(b, regs, kind >> 8))
        return 0;
    struct record_text *r = &b->text;
    if (r->form == FORM_FLAG)
        r->number = nr;
    if (r->form <= FORM_UNIX && r->bytes[0] != '/' && !base_find())
        return 0;
    return text_deliver(&b->text, container);
}

/* The same for a 32-bit call, whose arguments are in struct scratch, in two global functions: the
 * verifier goes through each once and by itself. As a part of vigia_exit they are too much for that
 * of Linux 6.1. */
__noinline int argument_read_compat(u32 kind)
{
    u32 form = kind >> 8 & 0x7f;
    struct scratch *b = text_begin(kind);
    if (!b)
        return false;
    struct record_text *r = &b->text;
    const u32 *a = b->registers;
    if (form == ARGUMENT_SOCKETCALL)
        return socketcall_read(r, a[0], (void *)(u64)a[1]);
    if (form == ARGUMENT_MMAP_OLD) { /* all six arguments in memory */
        u64 prot = user_u64((void *)((u64)a[0] + 8));
        return prot & PROT_EXEC && flag_set(r, prot & PROT_WRITE_EXEC);
    }
    return argument_read_of(b, a, form, true);
}

__noinline u64 argument_word_compat(u32 kind, u32 container)
{
    struct scratch *buffer = scratch_get(0);
    if (!buffer || !argument_read_compat(kind))
        return 0;
    struct record_text *r = &buffer->text;
    if (r->form == FORM_FLAG)
        r->number = kind >> 16;
    if (r->form <= FORM_UNIX && r->bytes[0] != '/' && !base_find())
        return 0;
    return text_deliver(r, container);
}

static __noinline u64 argument_of_compat_call(const struct pt_regs *regs, u32 kind, u32 container)
{
    struct scratch *buffer = scratch_get(0);
    if (!buffer)
        return 0;
    u32 *a = buffer->registers;
    a[0] = regs->bx, a[1] = regs->cx, a[2] = regs->dx;
    a[3] = regs->si, a[4] = regs->di, a[5] = regs->bp;
    return argument_word_compat(kind, container);
}

/* The path of an exec that has just succeeded: its registers are gone. */
static __noinline u64 argument_of_exec(struct linux_binprm *bprm, u32 container)
{
    struct scratch *b = text_begin(4 /* exec */);
    const char *name = bprm->filename;
    if (!b || !text_read(&b->text, name, true))
        return 0;
    if (name == bprm->fdpath && name == bprm->interp) {
        /* Named "/dev/fd/3", and no script: so it is what runs now. */
        base_of_program();
    } else if (b->text.bytes[0] != '/') {
        base_find();
    }
    return text_deliver(&b->text, container);
}
