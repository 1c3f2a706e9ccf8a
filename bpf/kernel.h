/* The few kernel fields that the programs read; offsets come from the running kernel's BTF (CO-RE).
 */
#ifndef VIGIA_KERNEL_H
#define VIGIA_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
    unsigned long di, si, dx, r10, r8, r9, orig_ax;
    unsigned long bx, cx, bp; /* with the others: arguments of 32-bit calls */
};

struct thread_info {
    u32 status;
};

struct sched_entity {
    u64 nr_migrations;
};

struct kernfs_node {
    u64 id;
};

struct cgroup;
struct cgroup_subsys_state {
    struct cgroup *cgroup;
    struct cgroup_subsys_state *parent;
};

struct cgroup_root {
    int hierarchy_id;
};

struct cgroup {
    struct cgroup_subsys_state self;
    struct kernfs_node *kn;
    struct cgroup_root *root;
};

struct css_set {
    struct cgroup_subsys_state *subsys[1];
    struct cgroup *dfl_cgrp;
};

struct super_block {
    u32 s_dev;
    unsigned long s_magic;
};

struct inode {
    unsigned int i_nlink;
    struct super_block *i_sb;
    unsigned long i_ino;
};

struct qstr {
    u32 hash;
    const unsigned char *name;
};

struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
    struct inode *d_inode;
};

struct vfsmount {
    struct dentry *mnt_root;
};

struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};

struct file {
    struct path f_path;
};

struct fs_struct {
    struct path root, pwd;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};

struct files_struct {
    struct fdtable *fdt;
};

struct mm_struct {
    struct file *exe_file;
    unsigned long arg_start, arg_end;
};

typedef struct {
    int counter;
} atomic_t;

struct signal_struct {
    atomic_t live;
    int group_exit_code;
};

struct linux_binprm {
    const char *filename, *interp, *fdpath;
};

struct io_kiocb {
    u8 opcode;
};

struct task_struct {
    struct thread_info thread_info;
    int pid, tgid, exit_code;
    unsigned int flags;
    struct task_struct *group_leader, *real_parent;
    u64 start_time, self_exec_id;
    struct sched_entity se;
    struct css_set *cgroups;
    struct signal_struct *signal;
    struct mm_struct *mm;
    struct fs_struct *fs;
    struct files_struct *files;
};

#pragma clang attribute pop

enum cgroup_subsys_id { memory_cgrp_id, pids_cgrp_id };

#endif
