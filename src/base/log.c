#include "base/log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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
    /* Names of containers and files come from outside: no control character reaches a terminal. */
    for (char *p = text; *p; p++) {
        if (iscntrl((unsigned char)*p))
            *p = '?';
    }
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
