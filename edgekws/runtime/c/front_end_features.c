/* Features out of the lanes: rows are frames, bands innermost. */
#include "exact_floats.h"

#include "front_end.h"

#define L KWS_LANES

void kws_features(const float *mels, int32_t frames, int32_t n_mels, float *features)
{
    for (int32_t m = 0; m < n_mels; m++) {
        for (int32_t l = 0; l < frames; l++)
            features[l * n_mels + m] = mels[m * L + l];
    }
}

/* Adding 1.5 * 2^23 leaves no bit behind the point: it rounds half to even. */
static void quantize_row(const float *restrict row, float scale, float low, float high,
                         int32_t *restrict codes)
{
    const float rounder = 12582912.0f;
    for (int32_t l = 0; l < L; l++) {
        const float scaled = row[l] / scale;
        const float above = scaled > low ? scaled : low;
        const float within = above < high ? above : high;
        codes[l] = (int32_t)((within + rounder) - rounder);
    }
}

void kws_quantize_features(const float *mels, int32_t frames, int32_t n_mels, float scale,
                           int32_t zero_point, int32_t low, int32_t high, uint8_t *features)
{
    const float lowest = (float)(low - zero_point), highest = (float)(high - zero_point);
    int32_t codes[L];
    for (int32_t m = 0; m < n_mels; m++) {
        quantize_row(mels + m * L, scale, lowest, highest, codes);
        for (int32_t l = 0; l < frames; l++)
            features[l * n_mels + m] = (uint8_t)(codes[l] + zero_point);
    }
}
