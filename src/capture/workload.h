/* What containers share a normal behaviour: the workload key (docs/ALERTS.md, "Names that
 * learning hangs on"). */
#pragma once

#include "capture/runtime.h"

/* "docker.io/library/redis:7.0" -> "redis" and "7.0"; a digest counts as version. Either result may
 * be empty, never NULL. */
int workload_image(const char *image, char **ret_repository, char **ret_version);

/* Owner of a pod by its name, as controllers name them: "web-7d4b9c6f5-x2x9z" -> "Deployment/web",
 * "db-0" -> "StatefulSet/db", "back-28391040-abcde" -> "CronJob/back", "agent-x7k2p" -> "agent"
 * (Job or DaemonSet), else "Pod/<name>". With a cluster's API server at hand its word replaces
 * this. */
int workload_owner(const char *pod, char **ret);

/* Fills version, owner, command and workload of f->c from its other fields. label: name of the
 * label that overrides, or NULL. */
int workload_complete(struct runtime_facts *f, const char *label);
