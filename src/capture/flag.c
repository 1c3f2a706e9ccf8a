/* Flags that are worth a class of their own, in words. */
#include <stdio.h>

#include "capture/text.h"
#include "event/syscall.h"

void text_flag(uint32_t number, uint32_t value, char ret[TEXT_MAX + 1])
{
    snprintf(ret, TEXT_MAX + 1, "%s %#x", syscall_name(SYSNO(ABI_NATIVE, number)), value);
}
