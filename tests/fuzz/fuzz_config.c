/* The configuration file is written by people and programs: any bytes are an error or a
 * configuration, never a crash. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    if (!path[0]) {
        snprintf(path, sizeof(path), "/tmp/vigia-fuzz-config-%d", (int)getpid());
        log_set_level(LOG_LEVEL_NONE);
    }
    FILE *f = fopen(path, "w");
    fwrite(data, 1, size, f);
    fclose(f);
    struct config *c = NULL;
    if (config_load(path, NULL, &c) == 0)
        config_free(c);
    unlink(path);
    return 0;
}
