/* SPDX-License-Identifier: Apache-2.0 */
/* Scales and logits: float or, where KWS_INTEGER is defined, the same 32 bits in an integer. */
#ifndef KWS_REAL_H
#define KWS_REAL_H

#include <stdint.h>

#if defined(KWS_INTEGER)
typedef uint32_t kws_real;
#define KWS_REAL(value, bits) bits
#else
typedef float kws_real;
#define KWS_REAL(value, bits) value
#endif

/* Return whether a is less than b; neither is NaN. */
static inline int kws_less(kws_real a, kws_real b)
{
#if defined(KWS_INTEGER)
    const int32_t below = -(int32_t)(a & 0x7fffffff), under = -(int32_t)(b & 0x7fffffff);
    return (a >> 31 ? below : -below) < (b >> 31 ? under : -under);
#else
    return a < b;
#endif
}

#endif
