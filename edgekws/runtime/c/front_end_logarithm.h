/* The natural logarithm in floats, for the kernels of the front end. */
#ifndef KWS_FRONT_END_LOGARITHM_H
#define KWS_FRONT_END_LOGARITHM_H

#include <stdint.h>
#include <string.h>

/* The logarithm of a normal positive number.
 *
 * x = 2^e * m with sqrt(1/2) <= m < sqrt(2); log(m) = 2 artanh(s), s = (m - 1) / (m + 1). The
 * series is cut off where it no longer changes a float: |s| < 0.172. log(2) is split into
 * 45426 / 65536, so that its multiple by e is exact, and a rest. */
static inline float kws_logarithm(float x)
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

#endif
