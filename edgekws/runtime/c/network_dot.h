/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four neighbouring bytes times four weights, for CPUs without vector registers: two products an
 * instruction where there is Arm's DSP extension (SMLAD), otherwise one.
 *
 * kws_four       four bytes
 * kws_dot        adds their products with four weights, which begin with a word, to a sum
 * kws_rows_dot   does it for four channels: sum i with byte i of each of four rows, 16 weights
 */
#ifndef KWS_DOT_H
#define KWS_DOT_H

#include <string.h>

#include "network_kernels.h"

#if defined(__GNUC__)
#define KWS_APART __attribute__((noinline))
#else
#define KWS_APART
#endif

static inline int32_t kws_weights_word(const int8_t *w)
{
    int32_t word;
    memcpy(&word, __builtin_assume_aligned(w, 4), sizeof word);
    return word;
}

#if defined(__ARM_FEATURE_DSP) && !defined(KWS_PLAIN)

#include <arm_acle.h>

typedef struct {
    uint32_t even, odd; /* bytes 0 and 2, 1 and 3, in halves of a word */
} kws_four;

static inline uint32_t kws_odd_bytes(uint32_t word)
{
    uint32_t odd;
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
    return odd;
}

static inline int32_t kws_odd_weights(int32_t word)
{
    int32_t odd;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
    return odd;
}

static inline kws_four kws_four_load(const uint8_t *x)
{
    uint32_t word;
    memcpy(&word, x, sizeof word);
    const kws_four four = {__uxtb16(word), kws_odd_bytes(word)};
    return four;
}

static inline int32_t kws_dot(int32_t sum, kws_four x, const int8_t *w)
{
    const int32_t word = kws_weights_word(w);
    sum = __smlad((int16x2_t)x.even, (int16x2_t)__sxtb16((int8x4_t)word), sum);
    return __smlad((int16x2_t)x.odd, (int16x2_t)kws_odd_weights(word), sum);
}

/* The lower halves of two words, and the upper ones. */
static inline uint32_t kws_lower(uint32_t a, uint32_t b)
{
    uint32_t both;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(both) : "r"(a), "r"(b));
    return both;
}

static inline uint32_t kws_upper(uint32_t a, uint32_t b)
{
    uint32_t both;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(both) : "r"(b), "r"(a));
    return both;
}

static inline void kws_rows_dot(int32_t *restrict sums, const uint8_t *a, const uint8_t *b,
                                const uint8_t *c, const uint8_t *d, const int8_t *w)
{
    const kws_four one = kws_four_load(a), two = kws_four_load(b);
    const kws_four three = kws_four_load(c), four = kws_four_load(d);
    const kws_four channels[4] = {
        {kws_lower(one.even, three.even), kws_lower(two.even, four.even)},
        {kws_lower(one.odd, three.odd), kws_lower(two.odd, four.odd)},
        {kws_upper(one.even, three.even), kws_upper(two.even, four.even)},
        {kws_upper(one.odd, three.odd), kws_upper(two.odd, four.odd)},
    };
    sums[0] = kws_dot(sums[0], channels[0], w);
    sums[1] = kws_dot(sums[1], channels[1], w + 4);
    sums[2] = kws_dot(sums[2], channels[2], w + 8);
    sums[3] = kws_dot(sums[3], channels[3], w + 12);
}

#else

typedef struct {
    int32_t a, b, c, d;
} kws_four;

static inline kws_four kws_four_load(const uint8_t *x)
{
    const kws_four four = {x[0], x[1], x[2], x[3]};
    return four;
}

#if defined(__ARM_ARCH_6M__)

/* A load of a signed byte takes two instructions there. */
static inline int32_t kws_dot(int32_t sum, kws_four x, const int8_t *w)
{
    const int32_t word = kws_weights_word(w);
    sum += x.a * (int8_t)word;
    sum += x.b * (int8_t)(word >> 8);
    sum += x.c * (int8_t)(word >> 16);
    return sum + x.d * (word >> 24);
}

#else

static inline int32_t kws_dot(int32_t sum, kws_four x, const int8_t *w)
{
    return sum + x.a * w[0] + x.b * w[1] + x.c * w[2] + x.d * w[3];
}

#endif

static inline void kws_rows_dot(int32_t *restrict sums, const uint8_t *a, const uint8_t *b,
                                const uint8_t *c, const uint8_t *d, const int8_t *w)
{
    for (int32_t i = 0; i < 4; i++) {
        const kws_four four = {a[i], b[i], c[i], d[i]};
        sums[i] = kws_dot(sums[i], four, w + 4 * i);
    }
}

#endif
#endif
