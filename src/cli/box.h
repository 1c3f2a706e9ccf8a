/* A box: a real container made on the spot from programs that are installed on this machine
 * (Debian's packages), with the libraries they need and nothing else, run by runc. No image, no
 * registry, no daemon. It has process, network, IPC, host name and mount namespaces of its own; its
 * network is its own loopback. The demo and the end-to-end tests live in these. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct box;

/* What is missing for boxes (runc, root, ...): 0, or -errno and in words with the remedy. */
int box_probe(char *why, unsigned size);

/* Makes the bundle DIRECTORY/NAME (root file system, config.json). args: NULL-ended command. */
int box_new(const char *directory, const char *name, const char *const *args, struct box **ret);
/* Stops and deletes the container and its bundle. */
void box_free(struct box *b);
DEFINE_CLEANUP(box_free, struct box *)

/* Copies a program to the same path, with its libraries. A bare name is looked for where Debian
 * installs programs. Everything must be added before the start. */
int box_add_program(struct box *b, const char *program);
int box_add_programs(struct box *b, const char *const *programs); /* NULL-ended */
/* Writes a file; the path is the one inside, its directories are made. */
int box_add_file(struct box *b, const char *path, mode_t mode, const char *text);
int box_add_directory(struct box *b, const char *path, mode_t mode);

/* Starts it; its output goes to the file DIRECTORY/NAME.log. May be started again after a stop: the
 * same files in a new container. */
int box_start(struct box *b);
int box_stop(struct box *b);

const char *box_root(const struct box *b); /* the root file system's directory */
pid_t box_pid(const struct box *b);        /* of its first process; 0 while it does not run */
/* Moves the calling thread into the box's network (and nothing else). */
int box_enter_network(pid_t pid);
