/* The running mean of each band in integers. */
#include "integer_front_end.h"

void kws_integer_subtract_running_mean(int32_t *logs, int32_t n_mels, int32_t silent,
                                       uint32_t decay, uint32_t *weight, int32_t *means)
{
    int32_t loudest = logs[0];
    for (int32_t m = 1; m < n_mels; m++)
        loudest = logs[m] > loudest ? logs[m] : loudest;
    if (loudest > silent) {
        *weight = (uint32_t)((uint64_t)*weight * decay >> 32) + 65536;
        const int64_t share = (int64_t)(((uint64_t)1 << 46) / *weight); /* 30 bits, 1 at most */
        for (int32_t m = 0; m < n_mels; m++)
            means[m] += (int32_t)((int64_t)(logs[m] * 256 - means[m]) * share >> 30);
    }
    for (int32_t m = 0; m < n_mels; m++)
        logs[m] = *weight > 0 ? logs[m] - ((means[m] + 128) >> 8) : 0;
}
