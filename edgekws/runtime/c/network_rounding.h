/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding half to even, and saturating, as onnxruntime does. */
#ifndef KWS_NETWORK_ROUNDING_H
#define KWS_NETWORK_ROUNDING_H

#include "kws_real.h"

#if defined(KWS_INTEGER)
#include "network_integer.h"
#else

/*
 * The value rounded half to even, plus `zero`, from 0 to 255; NaN gives 0.
 * A float of 2^23 and more has no fraction, so that adding 1.5 * 2^23 rounds.
 */
static inline uint8_t kws_round(float value, int32_t zero)
{
    const float low = (float)-zero, high = (float)(255 - zero), shift = 12582912.0f;
    float bounded = value > low ? value : low;
    bounded = bounded < high ? bounded : high;
    return (uint8_t)((int32_t)((bounded + shift) - shift) + zero);
}

static inline kws_real kws_product(int32_t sum, kws_real scale)
{
    return (float)sum * scale;
}

static inline uint8_t kws_round_product(int32_t sum, kws_real scale, int32_t zero)
{
    return kws_round(kws_product(sum, scale), zero);
}

#endif

#endif
