/* SPDX-License-Identifier: Apache-2.0 */
/* Sums in plain C: loops over 16, which compilers vectorise. See network_sums.h.
 * Except gcc on x86 without AVX2: its vectors there take three times as long as no vectors. */
#ifndef KWS_SUMS_PLAIN_H
#define KWS_SUMS_PLAIN_H

#include "network_kernels.h"
#include "network_rounding.h"

#if defined(__GNUC__) && !defined(__clang__) && defined(__SSE2__) && !defined(__AVX2__)
#pragma GCC optimize("no-tree-loop-vectorize")
#endif

#define KWS_PLACES 1

typedef struct {
    int32_t sum[KWS_BLOCK];
} kws_sums;

static inline kws_sums kws_sums_load(const int32_t *bias)
{
    kws_sums sums;
    for (int32_t i = 0; i < KWS_BLOCK; i++) {
        sums.sum[i] = bias[i];
    }
    return sums;
}

static inline void kws_sums_dot(kws_sums *sums, const uint8_t *x, const int8_t *restrict w)
{
    const int32_t first = x[0], second = x[1], third = x[2], fourth = x[3];
    for (int32_t i = 0; i < KWS_BLOCK; i++) {
        sums->sum[i] += first * w[4 * i] + second * w[4 * i + 1] + third * w[4 * i + 2] +
                         fourth * w[4 * i + 3];
    }
}

static inline void kws_sums_dot_rows(kws_sums *sums, const uint8_t *const x[KWS_DEPTH],
                                     const int8_t *restrict w)
{
    const uint8_t *first = x[0], *second = x[1], *third = x[2], *fourth = x[3];
    for (int32_t i = 0; i < KWS_BLOCK; i++) {
        sums->sum[i] += first[i] * w[4 * i] + second[i] * w[4 * i + 1] +
                         third[i] * w[4 * i + 2] + fourth[i] * w[4 * i + 3];
    }
}

static inline void kws_sums_read(const kws_sums *sums, int32_t *numbers)
{
    for (int32_t i = 0; i < KWS_BLOCK; i++) {
        numbers[i] = sums->sum[i];
    }
}

static inline void kws_sums_store(const kws_sums *sums, const kws_real *restrict scale,
                                  int32_t zero, uint8_t *restrict y, int32_t n)
{
    n = n < KWS_BLOCK ? n : KWS_BLOCK;
    for (int32_t i = 0; i < n; i++) {
        y[i] = kws_round_product(sums->sum[i], scale[i], zero);
    }
}

#endif
