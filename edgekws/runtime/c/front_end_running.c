/* What follows the running mean of each band: its subtraction, or PCEN. Frame by frame, in order. */
#include "exact_floats.h"

#include "front_end.h"
#include "front_end_logarithm.h"

#define L KWS_LANES

void kws_sounding(const float *mels, int32_t n_mels, int32_t *sounding)
{
    for (int32_t l = 0; l < L; l++)
        sounding[l] = 0;
    for (int32_t m = 0; m < n_mels; m++) {
        for (int32_t l = 0; l < L; l++)
            sounding[l] |= mels[m * L + l] > 1e-10f;
    }
}

/* Take the bands of a frame, KWS_LANES apart, into their means. */
static void follow(const float *bands, int32_t n_mels, float decay, float *weight, float *means)
{
    *weight = decay * *weight + 1.0f;
    const float share = 1.0f / *weight;
    for (int32_t m = 0; m < n_mels; m++)
        means[m] += (bands[m * L] - means[m]) * share;
}

void kws_subtract_running_mean(float *rows, int32_t frames, int32_t n_mels,
                               const int32_t *sounding, float decay, const float *shift,
                               float *weight, float *means)
{
    for (int32_t l = 0; l < frames; l++) {
        if (sounding[l])
            follow(rows + l, n_mels, decay, weight, means);
        for (int32_t m = 0; m < n_mels; m++) {
            const float above = *weight > 0.0f ? rows[m * L + l] - means[m] : 0.0f;
            rows[m * L + l] = above + shift[m];
        }
    }
}

/* e^x for |x| < 80: 2^n times a polynomial where |x - n log(2)| < 0.35. */
static float exponential(float x)
{
    const float rounder = 12582912.0f; /* see front_end_features.c */
    const float n = (x * 1.44269504f + rounder) - rounder;
    const float r = (x - n * 0.693145751953125f) - n * 1.42860682e-6f;
    const float series =
        1.0f + r * (1.0f + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 +
        r * (1.0f / 720))))));
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power * series;
}

/* x^exponent, for a normal positive x. */
static float raised(float x, float exponent)
{
    return exponential(exponent * kws_logarithm(x));
}

void kws_pcen(float *mels, int32_t frames, int32_t n_mels, const int32_t *sounding,
              const kws_pcen_settings *pcen, const float *scale, const float *shift,
              float *weight, float *means)
{
    for (int32_t l = 0; l < frames; l++) {
        if (sounding[l])
            follow(mels + l, n_mels, pcen->decay, weight, means);
        for (int32_t m = 0; m < n_mels; m++) {
            const float gained = mels[m * L + l] / raised(pcen->epsilon + means[m], pcen->gain);
            const float feature = raised(gained + pcen->bias, pcen->root) - pcen->silence;
            mels[m * L + l] = feature * scale[m] + shift[m];
        }
    }
}
