/* Mel filters, logarithm, normalisation and quantization in integers. */
#include "integer_front_end.h"

/* The logarithm of x > 0 to base 2 with 16 bits behind the point: a table and lines between. */
static int32_t log2_16(uint64_t x)
{
    static const int32_t table[65] = {
        0, 1466, 2909, 4331, 5732, 7112, 8473, 9814, 11136, 12440, 13727,
        14996, 16248, 17484, 18704, 19909, 21098, 22272, 23433, 24579, 25711, 26830,
        27936, 29029, 30109, 31178, 32234, 33279, 34312, 35334, 36346, 37346, 38336,
        39316, 40286, 41246, 42196, 43137, 44068, 44990, 45904, 46809, 47705, 48593,
        49472, 50344, 51207, 52063, 52911, 53751, 54584, 55410, 56229, 57040, 57845,
        58643, 59434, 60219, 60997, 61769, 62534, 63294, 64047, 64794, 65536,
    };
    int32_t exponent = 63;
    for (int32_t step = 32; step > 0; step /= 2) {
        if (x >> (64 - step) == 0) {
            x <<= step;
            exponent -= step;
        }
    }
    const int32_t i = (int32_t)(x >> 57 & 63), rest = (int32_t)(x >> 42 & 0x7fff);
    return exponent * 65536 + table[i] + ((table[i + 1] - table[i]) * rest >> 15);
}

/* The power of a bin times a weight of 16 bits, below 2^64; without a product of 64 bits where
 * the CPU has none. */
static uint64_t weighted(uint64_t power, uint32_t weight)
{
#if defined(__ARM_ARCH_6M__)
    const uint32_t lower = (uint32_t)power & 0xffff, middle = (uint32_t)power >> 16;
    return ((uint64_t)((uint32_t)(power >> 32) * weight) << 32) + lower * weight +
           ((uint64_t)(middle * weight) << 16);
#else
    return power * weight;
#endif
}

void kws_integer_log_mel(const kws_integer_point *points, const uint16_t *bins,
                         const uint16_t *weights, int32_t n_mels, uint64_t floor,
                         int32_t gain, int32_t *logs)
{
    for (int32_t m = 0; m < n_mels; m++) {
        const kws_integer_point *point = points + bins[2 * m];
        uint64_t mel = floor << 2 * gain;
        for (int32_t left = bins[2 * m + 1]; left > 0; left--)
            mel += weighted(point++->power, *weights++);
        logs[m] = log2_16(mel) - 2 * gain * 65536;
    }
}

void kws_integer_features(const int32_t *logs, const int32_t *scale, const int32_t *shift,
                          int32_t n_mels, int32_t low, int32_t high, uint8_t *features)
{
    for (int32_t m = 0; m < n_mels; m++) {
        const int64_t scaled = (int64_t)logs[m] * scale[m] + (int64_t)shift[m] * 65536;
        const int64_t code = (scaled + ((int64_t)1 << 31)) >> 32;
        features[m] = (uint8_t)(code < low ? low : code > high ? high : code);
    }
}
