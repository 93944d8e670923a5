/* SPDX-License-Identifier: Apache-2.0 */
/* The sum of two tensors of different scales. */
#include "network_kernels.h"
#include "network_rounding.h"

#if defined(KWS_INTEGER)

static uint8_t add_exactly(const kws_add_layer *layer, int32_t a, int32_t b)
{
    const kws_number offset = kws_number_of(layer->offset);
    const kws_number inner = kws_rounded(kws_sum(kws_times(b, layer->b_scale), offset));
    const kws_number outer = kws_sum(kws_times(a, layer->a_scale), inner);
    return kws_round_number(kws_rounded(outer), 0);
}

static int32_t exponent(kws_real real)
{
    return (int32_t)(real >> 23 & 0xff);
}

/* A number with so many bits behind the point; the others are cut off. */
static int32_t fixed_point(kws_real real, int32_t bits)
{
    const kws_number number = kws_number_of(real);
    const int32_t shift = number.exponent + bits, digits = (int32_t)number.digits;
    if (shift >= 0) {
        return digits * (1 << shift);
    }
    return shift > -32 ? digits >> -shift : 0;
}

/*
 * Sums in 32 bits, below 2^30. What is cut off of the three numbers is up to 511 units, and roundings
 * to 24 bits are less than 129 units: the result can be another one only that close to a tie, where
 * it is added exactly.
 */
void kws_add(const kws_add_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y, int32_t n)
{
    const int32_t a_exponent = exponent(layer->a_scale), b_exponent = exponent(layer->b_scale);
    const int32_t scales = 8 + (a_exponent > b_exponent ? a_exponent : b_exponent);
    const int32_t offsets = exponent(layer->offset);
    const int32_t bits = 154 - (scales > offsets ? scales : offsets), least = 1024;

    if (bits < 14 || bits > 30) {
        for (int32_t i = 0; i < n; i++) {
            y[i] = add_exactly(layer, a[i], b[i]);
        }
        return;
    }
    const int32_t a_scale = fixed_point(layer->a_scale, bits);
    const int32_t b_scale = fixed_point(layer->b_scale, bits);
    const int32_t half = 1 << (bits - 1), offset = fixed_point(layer->offset, bits) + half;
    for (int32_t i = 0; i < n; i++) {
        const int32_t raised = a[i] * a_scale + b[i] * b_scale + offset;
        const int32_t part = raised & (2 * half - 1);
        y[i] = part < least || part > 2 * half - least ? add_exactly(layer, a[i], b[i])
                                                       : kws_saturated(raised >> bits);
    }
}

#else

/*
 * a * b + c, rounded once. Without such an instruction in double: the product is exact there; that
 * the second rounding changes no result was tried for all pairs of bytes when this was generated.
 */
static inline float fused(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(a, b, c);
#else
    return (float)((double)a * (double)b + (double)c);
#endif
}

static void add(float a_scale, float b_scale, float offset, const uint8_t *restrict a,
                const uint8_t *restrict b, uint8_t *restrict y, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        const float inner = fused((float)b[i], b_scale, offset);
        y[i] = kws_round(fused((float)a[i], a_scale, inner), 0);
    }
}

void kws_add(const kws_add_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y, int32_t n)
{
    add(layer->a_scale, layer->b_scale, layer->offset, a, b, y, n);
}

#endif
