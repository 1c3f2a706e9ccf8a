/* A syscall as seen at its exit: number, return class, argument hash. Bit layout: bpf/event.h.
 *
 * sysno is 12 bits: abi << 10 | number. Calls of another ABI and io_uring requests have ranges of
 * their own, so that neither is a way around. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum abi { ABI_NATIVE, ABI_COMPAT, ABI_X32, ABI_IO_URING };

#define SYSNO(abi, number) ((uint16_t)((abi) << 10 | (number)))
#define SYSNO_ABI(sysno) ((enum abi)((sysno) >> 10 & 3))
#define SYSNO_NUMBER(sysno) ((sysno) & 1023)
#define SYSNO_OUT_OF_RANGE 1023 /* number of a call that the kernel does not have */
#define SYSNO_COUNT 4096

/* ret is 9 bits. Error: 256 + errno (1..133), 256 + 240..244 for -512..-516 (restarts), 256 + 255
 * other. Success: 0..127 exact, 128..191 is 128 + log2(value), 254 never returned, 255
 * asynchronous (io_uring submission). */
#define RET_ERROR 256
#define RET_NEVER 254
#define RET_ASYNC 255

static inline bool ret_is_error(uint16_t ret)
{
    return ret & RET_ERROR;
}

/* Return class of a raw return value. */
uint16_t ret_class(int64_t value);
/* errno of an error class (512..516 for restarts), 0 for success, -1 for "other". */
int ret_errno(uint16_t ret);
/* "EACCES", "ERESTARTSYS", "E#200" for others; static or thread-local storage. */
const char *errno_name(int error);

/* "openat", "compat:open", "x32:..." or "io_uring:READ"; "#999" for numbers without a name.
 * Thread-local storage for the latter. */
const char *syscall_name(uint16_t sysno);
/* -ENOENT for an unknown name. */
int syscall_by_name(const char *name, uint16_t *ret);
/* What the call does, for a reader who does not know syscalls: "open a file". NULL if unknown. */
const char *syscall_meaning(uint16_t sysno);
/* Is it a wait (futex, epoll_wait, nanosleep, poll, ...)? Those do not count as activity. */
bool syscall_is_wait(uint16_t sysno);
/* Calls that say nothing about a program's behaviour because scheduling decides about them: futex,
 * sched_yield, clock_*, *sleep, madvise. Sequence detectors leave them out (docs/DETECTORS.md). */
bool syscall_is_noise(uint16_t sysno);

/* Flags of a call in a window. */
enum call_flag {
    CALL_HAS_ARGUMENT = 1 << 0,
    CALL_TRUNCATED = 1 << 1, /* the text was longer than what is hashed */
    CALL_CLAIMED = 1 << 2,   /* the return value is the caller's claim (io_uring) */
    CALL_NO_TEXT = 1 << 3,   /* the text is not in the dictionary: never novel */
    CALL_AFTER_GAP = 1 << 4, /* calls of this CPU were lost just before */
};
