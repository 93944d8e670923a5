/* SPDX-License-Identifier: Apache-2.0 */
/* The sum of two tensors of different scales. */
#include "network_kernels.h"
#include "network_rounding.h"

#if defined(KWS_INTEGER)

void kws_add(const kws_add_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y, int32_t n)
{
    const kws_number offset = kws_number_of(layer->offset);

    for (int32_t i = 0; i < n; i++) {
        const kws_number inner = kws_rounded(kws_sum(kws_times(b[i], layer->b_scale), offset));
        const kws_number outer = kws_sum(kws_times(a[i], layer->a_scale), inner);
        y[i] = kws_round_number(kws_rounded(outer), 0);
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
