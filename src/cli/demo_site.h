/* The two containers of the demo: a small web shop with a hole, and redis. */
#pragma once

#include "cli/box.h"

#define DEMO_WEB "vigia-demo-web"
#define DEMO_REDIS "vigia-demo-redis"
#define DEMO_WEB_PORT 8080
#define DEMO_REDIS_PORT 6379

int demo_site_web(const char *directory, struct box **ret);
int demo_site_redis(const char *directory, struct box **ret);
