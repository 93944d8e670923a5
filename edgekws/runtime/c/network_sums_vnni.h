/* SPDX-License-Identifier: Apache-2.0 */
/* Sums in one register of AVX-512, products by VNNI. See network_sums.h. */
#ifndef KWS_SUMS_VNNI_H
#define KWS_SUMS_VNNI_H

#include <immintrin.h>
#include <string.h>

#include "network_kernels.h"

#define KWS_PLACES 8

typedef struct {
    __m512i sum;
} kws_sums;

static inline kws_sums kws_sums_load(const int32_t *bias)
{
    const kws_sums sums = {_mm512_loadu_si512(bias)};
    return sums;
}

static inline void kws_sums_dot(kws_sums *sums, const uint8_t *x, const int8_t *w)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    sums->sum =
        _mm512_dpbusd_epi32(sums->sum, _mm512_set1_epi32(word), _mm512_loadu_si512(w));
}

static inline void kws_sums_dot_rows(kws_sums *sums, const uint8_t *const x[KWS_DEPTH],
                                     const int8_t *w)
{
    const __m128i first = _mm_loadu_si128((const void *)x[0]);
    const __m128i second = _mm_loadu_si128((const void *)x[1]);
    const __m128i third = _mm_loadu_si128((const void *)x[2]);
    const __m128i fourth = _mm_loadu_si128((const void *)x[3]);
    const __m128i low = _mm_unpacklo_epi8(first, second), high = _mm_unpackhi_epi8(first, second);
    const __m128i low2 = _mm_unpacklo_epi8(third, fourth), high2 = _mm_unpackhi_epi8(third, fourth);
    const __m256i lower =
        _mm256_set_m128i(_mm_unpackhi_epi16(low, low2), _mm_unpacklo_epi16(low, low2));
    const __m256i upper =
        _mm256_set_m128i(_mm_unpackhi_epi16(high, high2), _mm_unpacklo_epi16(high, high2));
    const __m512i bytes = _mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1);
    sums->sum = _mm512_dpbusd_epi32(sums->sum, bytes, _mm512_loadu_si512(w));
}

static inline void kws_sums_store(const kws_sums *sums, const float *scale, int32_t zero,
                                  uint8_t *y, int32_t n)
{
    const __mmask16 used = (__mmask16)(n < KWS_BLOCK ? (1u << n) - 1u : 0xffffu);
    const __m512 low = _mm512_set1_ps((float)-zero), high = _mm512_set1_ps((float)(255 - zero));
    __m512 real = _mm512_mul_ps(_mm512_cvtepi32_ps(sums->sum), _mm512_loadu_ps(scale));
    real = _mm512_min_ps(_mm512_max_ps(real, low), high);
    const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(real), _mm512_set1_epi32(zero));
    _mm_mask_storeu_epi8(y, used, _mm512_cvtepi32_epi8(whole));
}

#endif
