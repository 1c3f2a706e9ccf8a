/* A text record -> the text that leaves the node. */
#pragma once

#include "bpf/event.h"
#include "event/block.h"

/* ret gets the normalised text; returns its kind. */
enum text_kind text_normalise(const struct record_text *r, char ret[TEXT_MAX + 1]);
/* Joins a path to the directory that it is relative to (NULL: not known, a relative one gets
 * "relative:" before it); '//', '/./' and '/x/../' collapse. */
void text_path(const char *base, const char *path, size_t length, char ret[TEXT_MAX + 1]);
/* The parts of a path, leaf first, each ending in NUL, into a path. */
#define TEXT_JOINED_MAX (PATH_BYTES + PATH_PARTS + 16)
void text_join(const char *parts, uint32_t length, char ret[TEXT_JOINED_MAX]);
/* Flags that are worth a class of their own, in words: "mmap PROT_EXEC" (flag.c). */
void text_flag(uint32_t number, uint32_t value, char ret[TEXT_MAX + 1]);
