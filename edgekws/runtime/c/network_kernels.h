/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The INT8 kernels of a network. Each computes what onnxruntime does, bit for bit.
 *
 * A tensor is bytes: rows of time (or frequency, then time), channels innermost. Kernels take
 * places in the one array of bytes that the caller owns; nothing is allocated. A kernel may read,
 * but never uses, up to KWS_SLACK bytes behind its input.
 */
#ifndef KWS_NETWORK_KERNELS_H
#define KWS_NETWORK_KERNELS_H

#include "kws_real.h"

#if !defined(KWS_INTEGER)
#if defined(__FAST_MATH__)
#error "results would not be exact: compile without -ffast-math"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "results would not be exact: compile for a CPU that rounds to float (-msse2 -mfpmath=sse)"
#endif
#endif

/* CPUs without vector registers have convolutions of their own, in the files named narrow. */
#if defined(__ARM_ARCH_PROFILE) && !defined(__ARM_FEATURE_MVE) && !defined(KWS_NARROW)
#if __ARM_ARCH_PROFILE == 'M'
#define KWS_NARROW
#endif
#endif

#define KWS_BLOCK 16 /* channels that are computed at once; weights are padded to it */
#define KWS_DEPTH 4  /* neighbouring bytes that are multiplied at once; weights are padded to it */
#define KWS_SLACK 64

/* Tables begin with a cache line where a register is as long as one, and with a word where weights
 * are read by the word. */
#if defined(__AVX2__) && defined(__GNUC__)
#define KWS_ALIGNED __attribute__((aligned(64)))
#elif defined(KWS_NARROW)
#define KWS_ALIGNED __attribute__((aligned(4)))
#else
#define KWS_ALIGNED
#endif

/* Bytes of packed weights, of bias and of scale for so many channels, taps and bytes of a tap. */
#define KWS_GROUPS(channels) (((channels) + KWS_BLOCK - 1) / KWS_BLOCK)
#define KWS_DEPTHS(size) (((size) + KWS_DEPTH - 1) / KWS_DEPTH)

/* Where a kernel slides: place (r, c) starts at r * row_step + c * column_step. In bytes. */
typedef struct {
    int32_t rows, row_step;
    int32_t columns, column_step;
    int32_t n_taps;
    const int32_t *taps; /* offsets from the start of a place */
} kws_window;

/* From an int32 accumulator to a byte: round(accumulator * scale) + zero, saturated. */
typedef struct {
    const kws_real *scale; /* one a channel */
    int32_t zero;
} kws_rounding;

typedef struct {
    kws_window window;
    int32_t tap_size; /* bytes under a tap: neighbours in time, and their channels */
    int32_t channels;
    const int8_t *weights; /* [channels / 16][taps][tap_size / 4][16][4] */
    const int32_t *bias;
    kws_rounding rounding;
} kws_conv_layer;

typedef struct {
    kws_window window; /* n_taps is a multiple of 4; where a tap is none, its weights are 0 */
    int32_t channels;
    const int8_t *weights; /* [channels / 16][taps / 4][16][4] */
    const int32_t *bias;
    kws_rounding rounding;
} kws_depthwise_layer;

typedef struct {
    int32_t size, channels;
    const int8_t *weights; /* [channels / 16][size / 4][16][4] */
    const int32_t *bias;
    const kws_real *scale;
} kws_dense_layer;

/* fma(a, a_scale, fma(b, b_scale, offset)), rounded and saturated. */
typedef struct {
    kws_real a_scale, b_scale, offset;
} kws_add_layer;

/* (a - a_zero) (b - b_zero) scale + zero, rounded and saturated. */
typedef struct {
    int32_t a_zero, b_zero;
    kws_real scale;
    int32_t zero;
} kws_multiply_layer;

/* The mean over each whole image: the sum of (x - x_zero), times scale, rounded as kws_rounding. */
typedef struct {
    int32_t images, places, channels, x_zero;
    kws_real scale;
    int32_t zero;
} kws_average_pool_layer;

/* The mean of the taps, added up in float; for a window that covers a part of the image. */
typedef struct {
    kws_window window;
    int32_t channels;
    kws_real x_scale;
    int32_t x_zero;
    kws_real y_scale;
    int32_t y_zero;
} kws_float_average_pool_layer;

typedef struct {
    kws_window window;
    int32_t channels;
} kws_max_pool_layer;

/* Four nested loops, the outermost first; steps in bytes. */
typedef struct {
    int32_t sizes[4], x_steps[4], y_steps[4];
} kws_copy_layer;

void kws_conv(const kws_conv_layer *layer, const uint8_t *x, uint8_t *y);
void kws_depthwise(const kws_depthwise_layer *layer, const uint8_t *x, uint8_t *y);
void kws_dense(const kws_dense_layer *layer, const uint8_t *x, kws_real *logits);
void kws_add(const kws_add_layer *layer, const uint8_t *a, const uint8_t *b, uint8_t *y,
             int32_t n);
void kws_multiply(const kws_multiply_layer *layer, const uint8_t *a, const uint8_t *b,
                  uint8_t *y, int32_t n);
void kws_average_pool(const kws_average_pool_layer *layer, const uint8_t *x, uint8_t *y);
void kws_float_average_pool(const kws_float_average_pool_layer *layer, const uint8_t *x,
                            uint8_t *y);
void kws_max_pool(const kws_max_pool_layer *layer, const uint8_t *x, uint8_t *y);
void kws_lookup(const uint8_t table[256], const uint8_t *x, uint8_t *y, int32_t n);
void kws_copy(const kws_copy_layer *layer, const uint8_t *x, uint8_t *y);
void kws_shift(uint8_t *buffer, int32_t images, int32_t image_size, int32_t keep);
void kws_dequantize(const uint8_t *x, kws_real scale, int32_t zero, kws_real *y, int32_t n);

#endif
