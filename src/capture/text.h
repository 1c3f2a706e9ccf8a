/* A text record -> the text that leaves the node. */
#pragma once

#include "bpf/event.h"
#include "event/block.h"

/* ret gets the normalised text; returns its kind. */
enum text_kind text_normalise(const struct record_text *r, char ret[TEXT_MAX + 1]);
/* '//' and '/./' collapse; a relative path gets "relative:" before it. */
void text_path(const char *path, size_t length, char ret[TEXT_MAX + 1]);
/* Flags that are worth a class of their own, in words: "mmap PROT_EXEC" (flag.c). */
void text_flag(uint32_t number, uint32_t value, char ret[TEXT_MAX + 1]);
