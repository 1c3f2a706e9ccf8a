/* Bytes of a saved model: refused or loaded, then scored, saved and merged; never a crash. The
 * first byte chooses the detector. */
#include <stdint.h>
#include <stdlib.h>

#include "detect/detector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = 0;
    while (detector_table[n])
        n++;
    if (size == 0)
        return 0;
    const struct detector *d = detector_table[data[0] % n];
    void *model, *again;
    if (d->load(data + 1, size - 1, &model) < 0)
        return 0;
    static struct score score;
    struct window w = {.program = 1, .n_calls = 8, .sysno = {0, 1, 2, 3, 4, 5, 6, 7}};
    struct bin_count count = {.program = 1, .sysno = 1, .calls = 3};
    struct bin bin = {.n_counts = 1, .counts = &count};
    struct process exec = {.event = PROCESS_EXEC, .program = 1, .parent_program = 2};
    struct sample samples[] = {{.kind = SAMPLE_WINDOW, .window = &w},
                               {.kind = SAMPLE_BIN, .bin = &bin},
                               {.kind = SAMPLE_EXEC, .exec = &exec}};
    for (size_t i = 0; i < 3; i++) {
        d->score(model, &samples[i], &score);
        d->learn(model, &samples[i], 1);
    }
    struct buf b;
    buf_init(&b, 1 << 24);
    d->save(model, &b);
    if (b.error == 0 && d->load(b.data, b.size, &again) == 0) {
        if (d->merge)
            d->merge(again, model);
        d->destroy(again);
    }
    buf_done(&b);
    d->destroy(model);
    return 0;
}
