/* Which calls have an argument that is hashed: enum argument_form << 8 | enum text_access by
 * number. */
#pragma once

#include <stdint.h>

#include "bpf/event.h"

void arguments_fill(uint16_t ret[ARGUMENT_CALLS], uint32_t ret_compat[ARGUMENT_CALLS]);
