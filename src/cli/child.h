/* Runs other programs, without a shell. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Waits for the end; standard output and error go to the file log (appended; NULL: /dev/null).
 * Returns the exit status, 128 + signal, or -errno when it could not be started. */
int child_run(const char *const argv[], const char *log);

/* Same, and collects at most size_max bytes of standard output; -EFBIG when there is more. *ret is
 * allocated and ends in NUL. */
int child_output(const char *const argv[], const char *log, size_t size_max, char **ret);

/* Starts it in a process group of its own and returns at once. It gets SIGTERM when we end first.
 */
int child_start(const char *const argv[], const char *log, pid_t *ret);

/* SIGTERM, after grace_ms SIGKILL; waits. Returns its exit status or 128 + signal. */
int child_stop(pid_t pid, unsigned grace_ms);
