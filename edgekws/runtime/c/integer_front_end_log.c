/* Mel filters, logarithm, normalisation and quantization in integers. */
#include "integer_front_end.h"

static int32_t leading_zeros(uint32_t x)
{
    int32_t zeros = 0;
    if (x >> 16 == 0)
        x <<= 16, zeros += 16;
    if (x >> 24 == 0)
        x <<= 8, zeros += 8;
    if (x >> 28 == 0)
        x <<= 4, zeros += 4;
    if (x >> 30 == 0)
        x <<= 2, zeros += 2;
    return zeros + (x >> 31 == 0);
}

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
    const int32_t whole = x >> 32 != 0;
    const uint32_t next = whole ? (uint32_t)x : 0;
    uint32_t first = (uint32_t)(whole ? x >> 32 : x);
    const int32_t zeros = leading_zeros(first);
    first = first << zeros | next >> 1 >> (31 - zeros);
    const int32_t exponent = 31 + 32 * whole - zeros;
    const int32_t i = (int32_t)(first >> 25 & 63), rest = (int32_t)(first >> 10 & 0x7fff);
    return exponent * 65536 + table[i] + ((table[i + 1] - table[i]) * rest >> 15);
}

#if defined(__ARM_ARCH_6M__)

#define MOST_TAPS 16 /* whose products of 28 bits a word holds */

/* Sum the power of n bins times their weights, without a product of 64 bits: there is none. */
static uint64_t weighted(const kws_integer_point *point, const uint16_t *weights, int32_t n)
{
    uint64_t sum = 0;
    while (n > 0) {
        const int32_t taps = n < MOST_TAPS ? n : MOST_TAPS;
        uint32_t low = 0, middle = 0, high = 0;
        for (const kws_integer_point *end = point + taps; point < end; point++) {
            const uint32_t weight = *weights++, half = (uint32_t)point->power;
            low += (half & 0xffff) * weight;
            middle += (half >> 16) * weight;
            high += (uint32_t)(point->power >> 32) * weight;
        }
        sum += ((uint64_t)high << 32) + ((uint64_t)middle << 16) + low;
        n -= taps;
    }
    return sum;
}

#else

static uint64_t weighted(const kws_integer_point *point, const uint16_t *weights, int32_t n)
{
    uint64_t sum = 0;
    for (const kws_integer_point *end = point + n; point < end; point++)
        sum += point->power * *weights++;
    return sum;
}

#endif

void kws_integer_log_mel(const kws_integer_point *points, const uint16_t *bins,
                         const uint16_t *weights, int32_t n_mels, uint64_t floor,
                         int32_t gain, int32_t *logs)
{
    for (int32_t m = 0; m < n_mels; m++) {
        const int32_t n = bins[2 * m + 1];
        const uint64_t mel = weighted(points + bins[2 * m], weights, n) + (floor << 2 * gain);
        logs[m] = log2_16(mel) - 2 * gain * 65536;
        weights += n;
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
