#include "cli/table.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf8.h"

#define GAP 2
#define NOTE_INDENT 4

struct table {
    const struct table_column *columns;
    unsigned n_columns;
    char **cells; /* [n_rows][n_columns], escaped */
    char **notes; /* [n_rows], NULL where there is none; may have several lines */
    size_t n_cells, capacity;
    bool failed;
};

int table_new(const struct table_column *columns, unsigned n, struct table **ret)
{
    if (n == 0 || n > TABLE_COLUMNS_MAX)
        return -EINVAL;
    struct table *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->columns = columns;
    t->n_columns = n;
    *ret = t;
    return 0;
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    for (size_t i = 0; i < t->capacity / t->n_columns; i++)
        free(t->notes[i]);
    free(t->cells);
    free(t->notes);
    free(t);
}

static bool grow(struct table *t)
{
    size_t rows = t->capacity / t->n_columns, more = rows ? rows * 2 : 16;
    char **cells = realloc(t->cells, more * t->n_columns * sizeof(*cells));
    if (!cells)
        return false;
    t->cells = cells;
    char **notes = realloc(t->notes, more * sizeof(*notes));
    if (!notes)
        return false;
    memset(notes + rows, 0, (more - rows) * sizeof(*notes));
    t->notes = notes;
    t->capacity = more * t->n_columns;
    return true;
}

void table_cell(struct table *t, const char *format, ...)
{
    CLEANUP(freep) char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    char *escaped = n < 0 ? NULL : table_escape(text);
    if (n < 0)
        text = NULL; /* its value is undefined then */
    if (!escaped || (t->n_cells == t->capacity && !grow(t))) {
        free(escaped);
        t->failed = true;
        return;
    }
    t->cells[t->n_cells++] = escaped;
}

void table_note(struct table *t, const char *format, ...)
{
    if (t->n_cells < t->n_columns || t->notes[t->n_cells / t->n_columns - 1])
        return;
    CLEANUP(freep) char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    t->notes[t->n_cells / t->n_columns - 1] = text ? TAKE(text) : NULL;
}

static unsigned sum(const unsigned *widths, unsigned n)
{
    unsigned total = GAP * (n - 1);
    for (unsigned i = 0; i < n; i++)
        total += widths[i];
    return total;
}

/* The widest column that may be cut gives way, a column of the terminal at a time. */
static void fit(const struct table *t, unsigned *widths, unsigned width)
{
    while (sum(widths, t->n_columns) > width) {
        unsigned best = t->n_columns;
        for (unsigned i = 0; i < t->n_columns; i++) {
            const unsigned least = t->columns[i].width_min;
            if (least && widths[i] > least && (best == t->n_columns || widths[i] > widths[best]))
                best = i;
        }
        if (best == t->n_columns)
            return;
        widths[best]--;
    }
}

static void measure(const struct table *t, unsigned *widths)
{
    for (unsigned i = 0; i < t->n_columns; i++)
        widths[i] = table_text_width(t->columns[i].title);
    for (size_t i = 0; i < t->n_cells; i++)
        widths[i % t->n_columns] = MAX(widths[i % t->n_columns], table_text_width(t->cells[i]));
}

/* Bytes of the character at s, which is valid UTF-8, and the columns it takes. */
static size_t character(const char *s, unsigned *ret_width);

char *table_cut(const char *escaped, unsigned width)
{
    unsigned at = 0, w;
    size_t n = 0, bytes;
    if (table_text_width(escaped) <= width)
        return strdup(escaped);
    while (escaped[n] && (bytes = character(escaped + n, &w), at + w < width)) {
        n += bytes;
        at += w;
    }
    char *cut = malloc(n + sizeof("…"));
    if (!cut)
        return NULL;
    memcpy(cut, escaped, n);
    memcpy(cut + n, "…", sizeof("…"));
    return cut;
}

static void print_cell(FILE *out, const char *s, unsigned width, bool right, bool last)
{
    CLEANUP(freep) char *cut = table_cut(s, width);
    if (!cut)
        return;
    const int pad = (int)(width - table_text_width(cut));
    fprintf(out, "%*s%s%*s", right ? pad : 0, "", cut, right || last ? 0 : pad, "");
}

static void print_row(const struct table *t, FILE *out, const unsigned *widths, char **cells)
{
    for (unsigned i = 0; i < t->n_columns; i++) {
        const char *text = cells ? cells[i] : t->columns[i].title;
        print_cell(out, text, widths[i], t->columns[i].right, i + 1 == t->n_columns);
        if (i + 1 < t->n_columns)
            fprintf(out, "%*s", GAP, "");
    }
    fputc('\n', out);
}

int table_print(const struct table *t, FILE *out, unsigned width)
{
    unsigned widths[TABLE_COLUMNS_MAX];
    const bool bold = out == stdout && table_is_colored();
    const bool cut = width || isatty(STDOUT_FILENO) || getenv("COLUMNS");
    width = width ? width : table_width();
    measure(t, widths);
    if (cut)
        fit(t, widths, width);
    fputs(bold ? "\033[1m" : "", out);
    print_row(t, out, widths, NULL);
    fputs(bold ? "\033[0m" : "", out);
    for (size_t row = 0; (row + 1) * t->n_columns <= t->n_cells; row++) {
        print_row(t, out, widths, t->cells + row * t->n_columns);
        if (t->notes[row])
            table_wrap(out, t->notes[row], NOTE_INDENT, width);
    }
    return t->failed ? -ENOMEM : 0;
}

unsigned table_width(void)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    unsigned width = TABLE_WIDTH;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    else if (columns && atoi(columns) > 0)
        width = (unsigned)atoi(columns);
    return MAX(width, 40);
}

bool table_is_colored(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no && *no);
}

/* ---- text ---- */

struct range {
    uint32_t first, last;
};

static bool is_in(uint32_t c, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

/* Near enough to Unicode's East Asian Width and the combining marks of common scripts. */
static unsigned width_of(uint32_t c)
{
    static const struct range zero[] = {
        {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
        {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    static const struct range wide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
                                        {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                                        {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                                        {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    if (c < 0x300)
        return 1;
    return is_in(c, zero, ARRAY_SIZE(zero)) ? 0 : is_in(c, wide, ARRAY_SIZE(wide)) ? 2 : 1;
}

static size_t character(const char *s, unsigned *ret_width)
{
    uint32_t c;
    size_t n = utf8_decode(s, &c);
    *ret_width = width_of(c);
    return n;
}

char *table_escape(const char *s)
{
    char *out = malloc(strlen(s) * 10 + 1), *at = out; /* \u{10ffff} for four bytes, \xff for one */
    if (!out)
        return NULL;
    while (*s) {
        uint32_t c;
        size_t n = utf8_decode(s, &c);
        if (n == 1 && utf8_is_unsafe(c)) {
            static const char letters[] = "tnr";
            const char *letter = strchr("\t\n\r", *s);
            at += letter ? sprintf(at, "\\%c", letters[letter - strchr("\t\n\r", '\t')])
                         : sprintf(at, "\\x%02x", (unsigned char)*s);
        } else if (utf8_is_unsafe(c)) {
            at += sprintf(at, "\\u{%x}", c);
        } else {
            memcpy(at, s, n);
            at += n;
        }
        s += n;
    }
    *at = '\0';
    return out;
}

unsigned table_text_width(const char *escaped)
{
    unsigned total = 0, w;
    for (const char *s = escaped; *s; total += w)
        s += character(s, &w);
    return total;
}

/* Bytes of s that fit into width, and where the next line starts: at a space if there is one. */
static size_t line_break(const char *s, unsigned width, size_t *ret_next)
{
    unsigned at = 0, w;
    size_t n = 0, space = 0;
    while (s[n]) {
        size_t bytes = character(s + n, &w);
        if (at + w > width) {
            *ret_next = space ? space + 1 : n ? n : bytes;
            return space ? space : *ret_next;
        }
        if (s[n] == ' ' && n > 0)
            space = n;
        at += w;
        n += bytes;
    }
    *ret_next = n;
    return n;
}

void table_wrap(FILE *out, const char *s, unsigned indent, unsigned width)
{
    CLEANUP(freep) char *text = table_escape(s);
    const unsigned room = width > indent + 20 ? width - indent : 20;
    for (const char *at = text; at && *at;) {
        size_t next, n = line_break(at, room, &next);
        fprintf(out, "%*s%.*s\n", (int)indent, "", (int)n, at);
        at += next;
    }
}
