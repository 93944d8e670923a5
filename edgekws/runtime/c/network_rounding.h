/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding half to even, and saturating, as onnxruntime does. */
#ifndef KWS_NETWORK_ROUNDING_H
#define KWS_NETWORK_ROUNDING_H

#include "network_kernels.h"

#if defined(KWS_INTEGER)
#include "network_integer.h"
#else

#if defined(KWS_NARROW) && defined(__ARM_FEATURE_DSP)
#include <string.h>
#endif

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

#if defined(KWS_NARROW) && defined(__ARM_FEATURE_DSP)

/* The FPU rounds half to even; both numbers saturate. */
static inline uint8_t kws_round_product(int32_t sum, kws_real scale, int32_t zero)
{
    float rounded;
    int32_t whole;

    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(rounded) : "t"(kws_product(sum, scale)));
    memcpy(&whole, &rounded, sizeof whole);
    __asm__("ssat %0, #16, %0" : "+r"(whole));
    whole += zero;
    __asm__("usat %0, #8, %0" : "+r"(whole));
    return (uint8_t)whole;
}

#else

static inline uint8_t kws_round_product(int32_t sum, kws_real scale, int32_t zero)
{
    return kws_round(kws_product(sum, scale), zero);
}

#endif

#endif

#endif
