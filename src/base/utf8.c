#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Length of the well-formed sequence at s; 0 if there is none, then *ret_bad is the length of the
 * ill-formed part to be replaced (1..3). The second byte alone decides about overlong forms,
 * surrogates and the upper end (RFC 3629, section 4). */
static size_t sequence(const uint8_t *s, size_t left, size_t *ret_bad)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t more;
    *ret_bad = 1;
    if (s[0] < 0x80)
        return s[0] != 0;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    more = s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i <= more; i++) {
        if (i >= left || s[i] < low || s[i] > high)
            return 0;
        *ret_bad = i + 1;
        low = 0x80, high = 0xbf;
    }
    return more + 1;
}

bool utf8_is_valid(const char *s, size_t size)
{
    size_t bad;
    for (size_t at = 0; at < size;) {
        size_t n = sequence((const uint8_t *)s + at, size - at, &bad);
        if (!n)
            return false;
        at += n;
    }
    return true;
}

char *utf8_copy(const char *s, size_t size)
{
    size_t bad, out = 0;
    if (size > (SIZE_MAX - 1) / 3)
        return NULL;
    char *copy = malloc(3 * size + 1);
    if (!copy)
        return NULL;
    for (size_t at = 0; at < size;) {
        size_t n = sequence((const uint8_t *)s + at, size - at, &bad);
        memcpy(copy + out, n ? s + at : "\xef\xbf\xbd", n ? n : 3);
        out += n ? n : 3;
        at += n ? n : bad;
    }
    copy[out] = '\0';
    return copy;
}

size_t utf8_decode(const char *s, uint32_t *ret)
{
    const uint8_t *at = (const uint8_t *)s;
    size_t bad, n = sequence(at, SIZE_MAX, &bad); /* a NUL ends every sequence */
    *ret = !n ? UTF8_ILL_FORMED : n == 1 ? at[0] : at[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        *ret = *ret << 6 | (at[i] & 0x3f);
    return n ? n : 1;
}

/* Control characters, separators of lines, marks of direction, tags, private use. */
bool utf8_is_unsafe(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } unsafe[] = {
        {0, 0x1f},        {0x7f, 0x9f},       {0x61c, 0x61c},        {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x206f},   {0xfeff, 0xfeff},      {0xfff9, 0xfffb},
        {0xe000, 0xf8ff}, {0xe0000, 0xe0fff}, {0xf0000, UINT32_MAX},
    };
    for (size_t i = 0; i < ARRAY_SIZE(unsafe); i++) {
        if (c >= unsafe[i].first && c <= unsafe[i].last)
            return true;
    }
    return false;
}
