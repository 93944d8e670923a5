/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums in four registers of NEON, products by SDOT. See network_sums.h.
 * SDOT takes signed bytes: x - 128 is multiplied, and 128 times the weights is added back.
 */
#ifndef KWS_SUMS_ARMV8_H
#define KWS_SUMS_ARMV8_H

#include <arm_neon.h>
#include <string.h>

#include "network_kernels.h"

#define KWS_PLACES 4

typedef struct {
    int32x4_t a, b, c, d; /* sums 0 to 3, 4 to 7, 8 to 11, 12 to 15 */
} kws_sums;

static inline kws_sums kws_sums_load(const int32_t *bias)
{
    const kws_sums sums = {vld1q_s32(bias), vld1q_s32(bias + 4), vld1q_s32(bias + 8),
                             vld1q_s32(bias + 12)};
    return sums;
}

static inline int8x16_t kws_signed(uint8x16_t x)
{
    return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80)));
}

/* The products of x - 128, and 128 times the weights as two times 64, which is an int8. */
static inline int32x4_t kws_dot(int32x4_t sum, int8x16_t x, const int8_t *w)
{
    const int8x16_t weights = vld1q_s8(w), half = vdupq_n_s8(64);
    sum = vdotq_s32(vdotq_s32(sum, weights, half), weights, half);
    return vdotq_s32(sum, weights, x);
}

static inline void kws_sums_dot(kws_sums *sums, const uint8_t *x, const int8_t *w)
{
    uint32_t word;
    memcpy(&word, x, sizeof word);
    const int8x16_t bytes = kws_signed(vreinterpretq_u8_u32(vdupq_n_u32(word)));
    sums->a = kws_dot(sums->a, bytes, w);
    sums->b = kws_dot(sums->b, bytes, w + 16);
    sums->c = kws_dot(sums->c, bytes, w + 32);
    sums->d = kws_dot(sums->d, bytes, w + 48);
}

static inline int8x16_t kws_signed_pairs(uint16x8_t x)
{
    return kws_signed(vreinterpretq_u8_u16(x));
}

static inline void kws_sums_dot_rows(kws_sums *sums, const uint8_t *const x[KWS_DEPTH],
                                     const int8_t *w)
{
    const uint8x16x2_t one = vzipq_u8(vld1q_u8(x[0]), vld1q_u8(x[1]));
    const uint8x16x2_t two = vzipq_u8(vld1q_u8(x[2]), vld1q_u8(x[3]));
    const uint16x8x2_t low =
        vzipq_u16(vreinterpretq_u16_u8(one.val[0]), vreinterpretq_u16_u8(two.val[0]));
    const uint16x8x2_t high =
        vzipq_u16(vreinterpretq_u16_u8(one.val[1]), vreinterpretq_u16_u8(two.val[1]));
    sums->a = kws_dot(sums->a, kws_signed_pairs(low.val[0]), w);
    sums->b = kws_dot(sums->b, kws_signed_pairs(low.val[1]), w + 16);
    sums->c = kws_dot(sums->c, kws_signed_pairs(high.val[0]), w + 32);
    sums->d = kws_dot(sums->d, kws_signed_pairs(high.val[1]), w + 48);
}

static inline void kws_sums_read(const kws_sums *sums, int32_t *numbers)
{
    vst1q_s32(numbers, sums->a);
    vst1q_s32(numbers + 4, sums->b);
    vst1q_s32(numbers + 8, sums->c);
    vst1q_s32(numbers + 12, sums->d);
}

/* Four sums, rounded half to even, plus `zero`. */
static inline uint16x4_t kws_whole(int32x4_t sum, const float *scale, int32_t zero)
{
    const float32x4_t low = vdupq_n_f32((float)-zero), high = vdupq_n_f32((float)(255 - zero));
    const float32x4_t real = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(scale));
    const int32x4_t whole = vcvtnq_s32_f32(vminq_f32(vmaxq_f32(real, low), high));
    return vqmovun_s32(vaddq_s32(whole, vdupq_n_s32(zero)));
}

static inline void kws_sums_store(const kws_sums *sums, const float *scale, int32_t zero,
                                  uint8_t *y, int32_t n)
{
    const uint16x8_t first =
        vcombine_u16(kws_whole(sums->a, scale, zero), kws_whole(sums->b, scale + 4, zero));
    const uint16x8_t second =
        vcombine_u16(kws_whole(sums->c, scale + 8, zero), kws_whole(sums->d, scale + 12, zero));
    const uint8x16_t bytes = vcombine_u8(vqmovn_u16(first), vqmovn_u16(second));
    if (n >= KWS_BLOCK) {
        vst1q_u8(y, bytes);
    } else {
        uint8_t all[KWS_BLOCK];
        vst1q_u8(all, bytes);
        memcpy(y, all, (size_t)n);
    }
}

#endif
