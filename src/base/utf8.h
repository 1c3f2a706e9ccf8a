/* Names of containers, paths and arguments are any bytes; JSON, syslog and the page take UTF-8
 * only. Everything that comes from outside passes here on its way out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Well-formed as of RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF, no NUL. */
bool utf8_is_valid(const char *s, size_t size);

/* A copy in which every maximal ill-formed part, and NUL, is one U+FFFD (Unicode 15, section 3.9,
 * "substitution of maximal subparts"). At most 3 * size + 1 bytes, NUL-terminated. NULL: no memory.
 */
char *utf8_copy(const char *s, size_t size);

#define UTF8_ILL_FORMED UINT32_MAX
/* The character at s, NUL-terminated, and how many bytes it has; of an ill-formed byte, and at the
 * end, 1 and UTF8_ILL_FORMED. */
size_t utf8_decode(const char *s, uint32_t *ret);
/* Not to be shown as it is: a terminal would obey it, or text reads otherwise than it is written
 * (marks of direction: https://trojansource.codes). Ill-formed ones too. */
bool utf8_is_unsafe(uint32_t character);
