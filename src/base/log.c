#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

static enum log_level log_max = LOG_LEVEL_INFO;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
    log_max = level;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (level > log_max)
        return;
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    /* Names of containers and files come from outside: nothing reaches a terminal that it obeys. */
    char *out = text;
    uint32_t c;
    for (size_t at = 0, n; text[at]; at += n) {
        n = utf8_decode(text + at, &c);
        if (utf8_is_unsafe(c))
            *out++ = '?';
        else
            out = (char *)memmove(out, text + at, n) + n;
    }
    *out = '\0';
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    char stamp[32];
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(stderr, "%s.%03ldZ %-5s %s\n", stamp, now.tv_nsec / 1000000, level_names[level], text);
}

void log_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "bug: %s:%d: assertion failed: %s\n", file, line, cond);
    abort();
}
