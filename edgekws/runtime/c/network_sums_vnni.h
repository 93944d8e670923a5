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

/* Byte i of each of four rows for sum i, side by side. */
typedef struct {
    __m512i bytes;
} kws_rows;

#define KWS_ROWS 4 /* sets of rows that fit into registers */

static inline kws_rows kws_rows_load(const uint8_t *const x[KWS_DEPTH])
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
    const kws_rows rows = {_mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1)};
    return rows;
}

/* Drop the first row, and add another behind the others. */
static inline void kws_rows_slide(kws_rows *rows, const uint8_t *x)
{
    const __m512i next = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)x));
    rows->bytes = _mm512_or_si512(_mm512_srli_epi32(rows->bytes, 8), _mm512_slli_epi32(next, 24));
}

static inline void kws_rows_dot(kws_sums *sums, const kws_rows *rows, const int8_t *w)
{
    sums->sum = _mm512_dpbusd_epi32(sums->sum, rows->bytes, _mm512_loadu_si512(w));
}

static inline void kws_sums_dot_rows(kws_sums *sums, const uint8_t *const x[KWS_DEPTH],
                                     const int8_t *w)
{
    const kws_rows rows = kws_rows_load(x);
    kws_rows_dot(sums, &rows, w);
}

static inline void kws_sums_read(const kws_sums *sums, int32_t *numbers)
{
    _mm512_storeu_si512(numbers, sums->sum);
}

static inline void kws_sums_store(const kws_sums *sums, const float *scale, int32_t zero,
                                  uint8_t *y, int32_t n)
{
    const __m512 low = _mm512_set1_ps((float)-zero), high = _mm512_set1_ps((float)(255 - zero));
    __m512 real = _mm512_mul_ps(_mm512_cvtepi32_ps(sums->sum), _mm512_loadu_ps(scale));
    real = _mm512_min_ps(_mm512_max_ps(real, low), high);
    const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(real), _mm512_set1_epi32(zero));
    const __m128i bytes = _mm512_cvtepi32_epi8(whole);
    if (n >= KWS_BLOCK) {
        _mm_storeu_si128((void *)y, bytes);
    } else {
        _mm_mask_storeu_epi8(y, (__mmask16)((1u << n) - 1u), bytes);
    }
}

#endif
