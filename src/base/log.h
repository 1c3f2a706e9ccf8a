/* One log line per error, written by whoever creates the error: what was being done, to what, and
 * what to do about it. Lines go to standard error as "LEVEL text"; user input inside is escaped. */
#pragma once

enum log_level {
    LOG_LEVEL_NONE = -1, /* fuzzers */
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

void log_set_level(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* An assertion is for bugs and stays on in release. */
#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            log_assert_failed(#cond, __FILE__, __LINE__);                                          \
    } while (0)
_Noreturn void log_assert_failed(const char *cond, const char *file, int line);
