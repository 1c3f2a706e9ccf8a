#include "event/syscall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define ERRNO_COUNT 134
#define RESTART_FIRST 512 /* the kernel's own errors -512..-516, seen when a signal interrupts */
#define RET_RESTART (RET_ERROR + 240)
#define RET_OTHER (RET_ERROR + 255)
#define RET_LOG2 128
#define CLASS_WAIT 1
#define CLASS_NOISE 2
#define NAME_MAX_BYTES 32

#include "syscalls.inc"

static const char *const prefixes[] = {"", "compat:", "x32:", "io_uring:"};
static const char *const restarts[] = {"ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND",
                                       "ENOIOCTLCMD", "ERESTART_RESTARTBLOCK"};

uint16_t ret_class(int64_t value)
{
    if (value < 0 && value > -ERRNO_COUNT)
        return (uint16_t)(RET_ERROR - value);
    if (value <= -RESTART_FIRST && value > -RESTART_FIRST - (int64_t)ARRAY_SIZE(restarts))
        return (uint16_t)(RET_RESTART - RESTART_FIRST - value);
    /* Errors end at -4095; below that it is an address in the upper half or the like. */
    if (value < 0 && value >= -4095)
        return RET_OTHER;
    if (value >= 0 && value < RET_LOG2)
        return (uint16_t)value;
    return (uint16_t)(RET_LOG2 + 63 - __builtin_clzll((uint64_t)value));
}

int ret_errno(uint16_t ret)
{
    if (!ret_is_error(ret))
        return 0;
    int error = ret & 255;
    if (error >= 1 && error < ERRNO_COUNT)
        return error;
    error -= RET_RESTART - RET_ERROR;
    return error >= 0 && error < (int)ARRAY_SIZE(restarts) ? RESTART_FIRST + error : -1;
}

const char *errno_name(int error)
{
    static _Thread_local char text[NAME_MAX_BYTES];
    if (error >= RESTART_FIRST && error < RESTART_FIRST + (int)ARRAY_SIZE(restarts))
        return restarts[error - RESTART_FIRST];
    if (error > 0 && error < ERRNO_COUNT && errors[error])
        return errors[error];
    snprintf(text, sizeof(text), "E#%d", error);
    return text;
}

const char *syscall_name(uint16_t sysno)
{
    /* Several, so that one statement may print a few unknown calls. */
    static _Thread_local char texts[8][NAME_MAX_BYTES];
    static _Thread_local unsigned next;
    sysno &= SYSNO_COUNT - 1;
    if (names[sysno])
        return names[sysno];
    char *text = texts[next++ % ARRAY_SIZE(texts)];
    snprintf(text, NAME_MAX_BYTES, "%s#%d", prefixes[SYSNO_ABI(sysno)], SYSNO_NUMBER(sysno));
    return text;
}

static int compare_name(const void *key, const void *entry)
{
    return strcmp(key, names[*(const uint16_t *)entry]);
}

int syscall_by_name(const char *name, uint16_t *ret)
{
    const uint16_t *found =
        bsearch(name, by_name, ARRAY_SIZE(by_name), sizeof(*by_name), compare_name);
    if (found) {
        *ret = *found;
        return 0;
    }
    const char *hash = strchr(name, '#');
    if (!hash || hash[1] < '0' || hash[1] > '9')
        return -ENOENT;
    char *end;
    unsigned long number = strtoul(hash + 1, &end, 10);
    for (int abi = 0; abi < (int)ARRAY_SIZE(prefixes); abi++) {
        size_t n = strlen(prefixes[abi]);
        if (n == (size_t)(hash - name) && memcmp(name, prefixes[abi], n) == 0 && !*end &&
            number <= SYSNO_OUT_OF_RANGE) {
            *ret = SYSNO(abi, number);
            return 0;
        }
    }
    return -ENOENT;
}

const char *syscall_meaning(uint16_t sysno)
{
    return meanings[sysno & (SYSNO_COUNT - 1)];
}

bool syscall_is_wait(uint16_t sysno)
{
    return classes[sysno & (SYSNO_COUNT - 1)] & CLASS_WAIT;
}

bool syscall_is_noise(uint16_t sysno)
{
    return classes[sysno & (SYSNO_COUNT - 1)] & CLASS_NOISE;
}
