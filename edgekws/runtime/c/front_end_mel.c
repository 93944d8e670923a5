/* Mel filters over the power of the bins. */
#include "exact_floats.h"

#include "front_end.h"

#define L KWS_LANES
#define BIN (2 * L)

/* Four bins at once: the sum leaves its register a fourth as often. */
static void add_four(const float *restrict power, const float *restrict weights,
                     float *restrict sum)
{
    for (int32_t l = 0; l < L; l++) {
        sum[l] = sum[l] + weights[0] * power[l] + weights[1] * power[BIN + l] +
                 weights[2] * power[2 * BIN + l] + weights[3] * power[3 * BIN + l];
    }
}

static void add_one(const float *restrict power, float weight, float *restrict sum)
{
    for (int32_t l = 0; l < L; l++)
        sum[l] += weight * power[l];
}

void kws_mel(const float *points, const uint16_t *bins, const float *weights, int32_t n_mels,
             float *mels)
{
    for (int32_t m = 0; m < n_mels; m++) {
        const float *power = points + bins[2 * m] * BIN;
        float *sum = mels + m * L;
        int32_t left = bins[2 * m + 1];
        for (int32_t l = 0; l < L; l++)
            sum[l] = 0.0f;
        for (; left >= 4; left -= 4, power += 4 * BIN, weights += 4)
            add_four(power, weights, sum);
        for (; left > 0; left--, power += BIN, weights++)
            add_one(power, *weights, sum);
    }
}
