// SPDX-License-Identifier: GPL-2.0
/* The floor: what any program at the exit of system calls costs. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_exit")
int empty(void *ctx)
{
    (void)ctx;
    return 0;
}
