/* The logarithm of the mels, normalised by band. */
#include "exact_floats.h"

#include <string.h>

#include "front_end.h"

#define L KWS_LANES

/* The logarithm of a normal positive number.
 *
 * x = 2^e * m with sqrt(1/2) <= m < sqrt(2); log(m) = 2 artanh(s), s = (m - 1) / (m + 1). The
 * series is cut off where it no longer changes a float: |s| < 0.172. log(2) is split into
 * 45426 / 65536, so that its multiple by e is exact, and a rest. */
static float logarithm(float x)
{
    const uint32_t one = 0x3f800000, root_of_half = 0x3f3504f3;
    uint32_t bits;
    float m;
    memcpy(&bits, &x, sizeof bits);
    bits += one - root_of_half;
    const float e = (float)((int32_t)(bits >> 23) - 127);
    bits = (bits & 0x007fffff) + root_of_half;
    memcpy(&m, &bits, sizeof m);
    const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
    const float series = z * (1.0f / 3 + z * (1.0f / 5 + z * (1.0f / 7 + z * (1.0f / 9))));
    const float double_s = s + s;
    return e * 0.693145751953125f + (e * 1.42860682e-6f + (double_s + double_s * series));
}

static void log_normalise_row(float *restrict row, float scale, float shift)
{
    for (int32_t l = 0; l < L; l++)
        row[l] = logarithm(row[l] + 1e-6f) * scale + shift;
}

void kws_log_normalise(float *mels, const float *scale, const float *shift, int32_t n_mels)
{
    for (int32_t m = 0; m < n_mels; m++)
        log_normalise_row(mels + m * L, scale[m], shift[m]);
}
