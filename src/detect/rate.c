/* Busier seconds than any before: the total of all calls, in powers of e. Crude, and not in the
 * default profile; a yardstick for the other detectors of counts. */
#include "detect/simple.h"

static double calls(const struct bin *b)
{
    double n = 0;
    for (uint32_t i = 0; i < b->n_counts; i++)
        n += b->counts[i].calls;
    return log1p(n);
}

static double learnt(double most, const struct sample *s)
{
    return fmax(most, calls(s->bin));
}

static double strangeness(double most, const struct sample *s)
{
    return fmax(0, calls(s->bin) - most);
}

SIMPLE_DETECTOR(rate, CHANNEL_FREQUENCY, SAMPLE_BIN);
