/* Words for numbers (table.h). */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"
#include "cli/table.h"

/* Three significant digits: what a person compares. */
static void scaled(double n, double base, const char *const *units, size_t n_units, char *ret)
{
    size_t i = 0;
    while (i + 1 < n_units && fabs(n) >= base * .9995) {
        n /= base;
        i++;
    }
    int digits = i == 0 && n == floor(n) ? 0 : fabs(n) >= 99.95 ? 0 : fabs(n) >= 9.995 ? 1 : 2;
    snprintf(ret, WORDS_MAX, "%.*f%s%s", digits, n, *units[i] ? " " : "", units[i]);
}

const char *words_count(double n, char ret[static WORDS_MAX])
{
    static const char *const units[] = {"", "K", "M", "G", "T", "P"};
    scaled(n, 1000, units, ARRAY_SIZE(units), ret);
    return ret;
}

const char *words_exact(uint64_t n, char ret[static WORDS_MAX])
{
    char digits[24];
    size_t at = 0, count = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            ret[at++] = ',';
        ret[at++] = digits[i];
    }
    ret[at] = '\0';
    return ret;
}

const char *words_bytes(double n, char ret[static WORDS_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    scaled(n, 1024, units, ARRAY_SIZE(units), ret);
    return ret;
}

const char *words_duration(double s, char ret[static WORDS_MAX])
{
    if (s < 1)
        snprintf(ret, WORDS_MAX, "%.0f ms", s * 1000);
    else if (s < 9.95)
        snprintf(ret, WORDS_MAX, "%.1f s", s);
    else if (s < 90)
        snprintf(ret, WORDS_MAX, "%.0f s", s);
    else if (s < 5400)
        snprintf(ret, WORDS_MAX, "%.0f min", s / 60);
    else if (s < 2 * 86400)
        snprintf(ret, WORDS_MAX, "%.1f h", s / 3600);
    else
        snprintf(ret, WORDS_MAX, "%.0f days", s / 86400);
    return ret;
}

const char *words_ago(double wall_s, double now, char ret[static WORDS_MAX])
{
    char span[WORDS_MAX];
    double age = now - wall_s;
    if (wall_s <= 0)
        snprintf(ret, WORDS_MAX, "-");
    else if (fabs(age) < 1)
        snprintf(ret, WORDS_MAX, "now");
    else if (age < 0)
        snprintf(ret, WORDS_MAX, "in %.40s", words_duration(-age, span));
    else
        snprintf(ret, WORDS_MAX, "%.40s ago", words_duration(age, span));
    return ret;
}

static const char *format_time(double wall_s, const char *format, char *ret)
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    if (wall_s <= 0 || !localtime_r(&t, &tm))
        snprintf(ret, WORDS_MAX, "-");
    else
        strftime(ret, WORDS_MAX, format, &tm);
    return ret;
}

const char *words_time(double wall_s, char ret[static WORDS_MAX])
{
    return format_time(wall_s, "%Y-%m-%d %H:%M:%S", ret);
}

const char *words_clock(double wall_s, char ret[static WORDS_MAX])
{
    return format_time(wall_s, "%H:%M:%S", ret);
}
