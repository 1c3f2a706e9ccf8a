/* Saved engines are read back from a database that may be damaged: a real one with bytes changed at
 * the places that the input names is refused, or loads into an engine that goes on without a crash.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "soc/engine.h"
#include "soc/scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine_options options;
static struct buf saved;

static void make_saved(void)
{
    struct engine *e = NULL;
    struct engine_output out;
    struct scene s;
    log_set_level(LOG_LEVEL_NONE);
    engine_options_default(&options);
    options.profile.ready_active_s = 20, options.profile.ready_quiet_s = 10;
    options.profile.startup_max_s = 5, options.profile.startup_quiet_s = 2;
    if (engine_new(&options, &e) < 0)
        abort();
    scene_init(&s, SCENE_CAPTURE);
    scene_container(&s, 1, "shop/web", false);
    scene_boot(&s, 1, 100);
    for (int i = 0; i < 160; i++) {
        if (i == 150)
            scene_attack(&s, 1, 100, 200);
        scene_serve(&s, 1, 100);
        struct block *b = scene_end(&s);
        engine_block(e, b, &out);
        block_free(b);
    }
    block_free(s.block);
    buf_init(&saved, 1 << 28);
    engine_save(e, &saved);
    engine_free(e);
}

static void go_on(struct engine *e)
{
    struct engine_output out;
    struct scene s;
    scene_init(&s, SCENE_CAPTURE);
    s.tick = 160;
    for (int i = 0; i < 12; i++) {
        if (i == 3)
            scene_attack(&s, 1, 100, 300);
        scene_serve(&s, 1, 100);
        struct block *b = scene_end(&s);
        engine_block(e, b, &out);
        block_free(b);
    }
    block_free(s.block);
}

/* Input: (24-bit offset, byte) quadruples. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!saved.size)
        make_saved();
    uint8_t *copy = malloc(saved.size);
    if (!copy)
        return 0;
    memcpy(copy, saved.data, saved.size);
    for (size_t i = 0; i + 4 <= size && i < 256; i += 4) {
        size_t at = (size_t)data[i] << 16 | (size_t)data[i + 1] << 8 | data[i + 2];
        copy[at % saved.size] = data[i + 3];
    }
    struct engine *e = NULL;
    if (engine_load(copy, saved.size, &options, &e) == 0) {
        go_on(e);
        engine_free(e);
    }
    free(copy);
    return 0;
}
