/* Names of containers, paths and arguments are any bytes; JSON, syslog and the page take UTF-8
 * only. Everything that comes from outside passes here on its way out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Well-formed as of RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF, no NUL. */
bool utf8_is_valid(const char *s, size_t size);

/* A copy in which every maximal ill-formed part, and NUL, is one U+FFFD (Unicode 15, section 3.9,
 * "substitution of maximal subparts"). At most 3 * size + 1 bytes, NUL-terminated. NULL: no memory.
 */
char *utf8_copy(const char *s, size_t size);
