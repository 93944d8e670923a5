/* SPDX-License-Identifier: Apache-2.0 */
/* The product of two tensors. */
#include "network_kernels.h"
#include "network_rounding.h"

#if defined(KWS_INTEGER)

void kws_multiply(const kws_multiply_layer *layer, const uint8_t *a, const uint8_t *b,
                  uint8_t *restrict y, int32_t n)
{
    const kws_number zero = {layer->zero, 0};

    for (int32_t i = 0; i < n; i++) {
        const int32_t product = (a[i] - layer->a_zero) * (b[i] - layer->b_zero);
        const kws_number scaled = kws_rounded(kws_times(product, layer->scale));
        y[i] = kws_round_number(kws_rounded(kws_sum(scaled, zero)), 0);
    }
}

#else

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

void kws_multiply(const kws_multiply_layer *layer, const uint8_t *a, const uint8_t *b,
                  uint8_t *restrict y, int32_t n)
{
    const float zero = (float)layer->zero, least = -1.0f - zero, most = 256.0f - zero;

    for (int32_t i = 0; i < n; i++) {
        const int32_t product = (a[i] - layer->a_zero) * (b[i] - layer->b_zero);
        float scaled = (float)product * layer->scale;
        /* beyond these bounds it saturates anyway; between * and + they keep both roundings */
        scaled = scaled > least ? scaled : least;
        scaled = scaled < most ? scaled : most;
        y[i] = kws_round(scaled + zero, 0);
    }
}

#endif
