/* An alert for a terminal: readable without knowing syscalls by heart. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* alert as the API gives it; now: wall s; width 0: that of the terminal. */
void alert_view(FILE *out, const json_t *alert, double now, unsigned width);
