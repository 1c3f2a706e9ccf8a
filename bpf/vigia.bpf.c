// SPDX-License-Identifier: GPL-2.0
/* The kernel side of the capture: every call of a wanted container becomes one word in its CPU's
 * ring (event.h). What costs is decided once per run and kept in the ring's header: whose calls
 * these are, and whether they are wanted. */
#include <linux/types.h>
#include <stdbool.h>
typedef __u64 u64;
typedef __u32 u32;
typedef __u16 u16;
typedef __u8 u8;
#include <linux/bpf.h>
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "event.h"

char LICENSE[] SEC("license") = "GPL";

#include "maps.bpf.h"
#include "task.bpf.h"
#include "ring.bpf.h"
#include "argument.bpf.h"
#include "call.bpf.h"
#include "cgroup.bpf.h"
