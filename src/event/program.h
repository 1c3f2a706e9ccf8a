/* The program key: the name that learning hangs on (docs/ALERTS.md, "Names that learning hangs
 * on"). */
#pragma once

#include <stddef.h>

#define PROGRAM_KEY_MAX 512
#define PROGRAM_UNKNOWN "<unknown>"
/* Whoever enters a container from outside, until its first exec there. Under which path the runtime
 * runs itself (from the host, from a copy in memory, from a mount of its own) is chance. */
#define PROGRAM_ENTERED "container-runtime"

/* path: of the executable inside its container. arguments: argv, each ending in NUL, `length` bytes
 * (cut anywhere). The key is the path with runs of digits as '#'; for multi-call binaries (busybox,
 * coreutils, toybox) a space and argv[0]'s base name; for interpreters (sh, python3, node, ...) a
 * space and the script's path, "-c" or "-m module". Always ends in NUL. */
void program_key(const char *path, const char *arguments, size_t length, char ret[PROGRAM_KEY_MAX]);
