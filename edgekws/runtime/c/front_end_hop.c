#include "front_end_hop.h"

#include <string.h>

int32_t kws_hop_take(kws_hop *hop, int16_t *samples, int32_t size, const int16_t *pcm, int32_t n)
{
    const int32_t missing = size - hop->filled;
    const int32_t taken = n < missing ? n : missing;
    if (taken <= 0)
        return 0;
    memcpy(samples + hop->filled, pcm, (size_t)taken * sizeof *samples);
    hop->filled += taken;
    return taken;
}

void kws_hop_advance(kws_hop *hop, int16_t *samples, int32_t step)
{
    hop->filled -= step;
    memmove(samples, samples + step, (size_t)hop->filled * sizeof *samples);
}
