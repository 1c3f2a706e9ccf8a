/* Tables for people: aligned, as wide as the terminal (100 columns where there is none), safe to
 * show whatever names containers and files have. Also the words for numbers: no figure without a
 * unit. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"

#define TABLE_COLUMNS_MAX 12
#define TABLE_WIDTH 100

struct table_column {
    const char *title;
    bool right;         /* numbers */
    unsigned width_min; /* may be cut down to that when the line is too long; 0: never */
};

struct table;

int table_new(const struct table_column *columns, unsigned n, struct table **ret);
void table_free(struct table *t);
DEFINE_CLEANUP(table_free, struct table *)
/* Cells are filled from the left; a row ends when it has all of them. */
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An indented line under the row just filled. */
void table_note(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* -ENOMEM if any cell was lost to that. width 0: table_width(); into a pipe or a file, where other
 * programs read, no cell is cut. */
int table_print(const struct table *t, FILE *out, unsigned width);

/* Of the terminal, or of COLUMNS, else 100; at least 40. */
unsigned table_width(void);
/* Colours and bold: a terminal, and NO_COLOR not set (https://no-color.org). */
bool table_is_colored(void);

/* A copy for a terminal: control characters and what turns the direction of writing become \x1b,
 * \u{202e}; bytes that are not UTF-8 become \xff. Allocated. */
char *table_escape(const char *s);
/* Columns it takes on a terminal: wide and combining characters count 2 and 0. */
unsigned table_text_width(const char *escaped);
/* A copy that takes at most width columns; what is cut ends in an ellipsis. */
char *table_cut(const char *escaped, unsigned width);
/* Writes text word by word into lines of that width, each after indent spaces, escaped. */
void table_wrap(FILE *out, const char *s, unsigned indent, unsigned width);

/* Words for numbers; each returns ret. */
#define WORDS_MAX 48
const char *words_count(double n, char ret[static WORDS_MAX]);    /* "950", "12.3 K", "4.56 M" */
const char *words_exact(uint64_t n, char ret[static WORDS_MAX]);  /* "12,345,678" */
const char *words_bytes(double n, char ret[static WORDS_MAX]);    /* "512 B", "1.2 MiB" */
const char *words_duration(double s, char ret[static WORDS_MAX]); /* "250 ms", "3 min", "2.5 h" */
const char *words_ago(double wall_s, double now, char ret[static WORDS_MAX]); /* "3 min ago" */
const char *words_time(double wall_s, char ret[static WORDS_MAX]);  /* "2026-11-23 22:47:01" */
const char *words_clock(double wall_s, char ret[static WORDS_MAX]); /* "22:47:01" */
