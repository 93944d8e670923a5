/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums in four registers of AVX2, two halves of a sum side by side. See network_sums.h.
 * Products are of 16 bits: those of 8 bits (vpmaddubsw) would saturate.
 */
#ifndef KWS_SUMS_AVX2_H
#define KWS_SUMS_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "network_kernels.h"

#define KWS_PLACES 2

typedef struct {
    __m256i a, b, c, d; /* sums 0 to 3, 4 to 7, 8 to 11, 12 to 15 */
} kws_sums;

/* Four int32 to the even places of eight. */
static inline __m256i kws_halves(const int32_t *bias)
{
    return _mm256_cvtepu32_epi64(_mm_loadu_si128((const void *)bias));
}

static inline kws_sums kws_sums_load(const int32_t *bias)
{
    const kws_sums sums = {kws_halves(bias), kws_halves(bias + 4), kws_halves(bias + 8),
                             kws_halves(bias + 12)};
    return sums;
}

static inline __m256i kws_dot(__m256i sum, __m256i x, const int8_t *w)
{
    const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)w));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, wide));
}

static inline void kws_sums_dot(kws_sums *sums, const uint8_t *x, const int8_t *w)
{
    int32_t word;
    memcpy(&word, x, sizeof word);
    const __m256i wide = _mm256_cvtepu8_epi16(_mm_set1_epi32(word));
    sums->a = kws_dot(sums->a, wide, w);
    sums->b = kws_dot(sums->b, wide, w + 16);
    sums->c = kws_dot(sums->c, wide, w + 32);
    sums->d = kws_dot(sums->d, wide, w + 48);
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
    sums->a = kws_dot(sums->a, _mm256_cvtepu8_epi16(_mm_unpacklo_epi16(low, low2)), w);
    sums->b = kws_dot(sums->b, _mm256_cvtepu8_epi16(_mm_unpackhi_epi16(low, low2)), w + 16);
    sums->c = kws_dot(sums->c, _mm256_cvtepu8_epi16(_mm_unpacklo_epi16(high, high2)), w + 32);
    sums->d = kws_dot(sums->d, _mm256_cvtepu8_epi16(_mm_unpackhi_epi16(high, high2)), w + 48);
}

/* Eight sums from the halves of two registers. */
static inline __m256i kws_joined(__m256i first, __m256i second)
{
    const __m256i mixed = _mm256_hadd_epi32(first, second); /* 0 1 4 5 2 3 6 7 */
    return _mm256_permute4x64_epi64(mixed, 0xd8);
}

static inline void kws_sums_read(const kws_sums *sums, int32_t *numbers)
{
    _mm256_storeu_si256((void *)numbers, kws_joined(sums->a, sums->b));
    _mm256_storeu_si256((void *)(numbers + 8), kws_joined(sums->c, sums->d));
}

/* The same, rounded, plus `zero`. */
static inline __m256i kws_whole(__m256i first, __m256i second, const float *scale, int32_t zero)
{
    const __m256 low = _mm256_set1_ps((float)-zero), high = _mm256_set1_ps((float)(255 - zero));
    __m256 real = _mm256_mul_ps(_mm256_cvtepi32_ps(kws_joined(first, second)), _mm256_loadu_ps(scale));
    real = _mm256_min_ps(_mm256_max_ps(real, low), high);
    return _mm256_add_epi32(_mm256_cvtps_epi32(real), _mm256_set1_epi32(zero));
}

static inline void kws_sums_store(const kws_sums *sums, const float *scale, int32_t zero,
                                  uint8_t *y, int32_t n)
{
    const __m256i first = kws_whole(sums->a, sums->b, scale, zero);
    const __m256i second = kws_whole(sums->c, sums->d, scale + 8, zero);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xd8);
    const __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    if (n >= KWS_BLOCK) {
        _mm_storeu_si128((void *)y, bytes);
    } else {
        uint8_t all[KWS_BLOCK];
        _mm_storeu_si128((void *)all, bytes);
        memcpy(y, all, (size_t)n);
    }
}

#endif
