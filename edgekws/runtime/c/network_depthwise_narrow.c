/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of each channel with itself on CPUs without vector registers: four at once. */
#include "network_kernels.h"

#if defined(KWS_NARROW)

#include "network_dot.h"
#include "network_rounding.h"

#define CHANNELS 4

/* Add the products of all taps to the sums of four channels; a function of its own, so that they
 * have registers. */
KWS_APART static void add_taps(const kws_window *window, const uint8_t *x, const int8_t *w,
                               int32_t *restrict sums)
{
    const int32_t *tap = window->taps, *end = tap + window->n_taps;
    for (; tap < end; tap += KWS_DEPTH) {
        kws_rows_dot(sums, x + tap[0], x + tap[1], x + tap[2], x + tap[3], w);
        w += KWS_BLOCK * KWS_DEPTH;
    }
}

/* Compute all channels at one place. */
static void compute(const kws_depthwise_layer *layer, const uint8_t *x, uint8_t *y)
{
    const int32_t n_taps = layer->window.n_taps, zero = layer->rounding.zero;
    const int32_t *bias = layer->bias;
    const kws_real *scale = layer->rounding.scale;
    const int8_t *w = layer->weights;

    for (int32_t left = layer->channels; left > 0; left -= CHANNELS) {
        int32_t sums[CHANNELS] = {bias[0], bias[1], bias[2], bias[3]};
        add_taps(&layer->window, x, w, sums);
        for (int32_t i = 0; i < CHANNELS && i < left; i++) {
            *y++ = kws_round_product(sums[i], *scale++, zero);
        }
        x += CHANNELS;
        bias += CHANNELS;
        w += CHANNELS * KWS_DEPTH;
        if ((bias - layer->bias) % KWS_BLOCK == 0) {
            w += (n_taps - KWS_DEPTH) * KWS_BLOCK;
        }
    }
}

void kws_depthwise(const kws_depthwise_layer *layer, const uint8_t *x, uint8_t *y)
{
    const kws_window *window = &layer->window;

    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t column = 0; column < window->columns; column++) {
            compute(layer, x + row * window->row_step + column * window->column_step, y);
            y += layer->channels;
        }
    }
}

#endif
