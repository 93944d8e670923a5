/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with one group on CPUs without vector registers: four channels at once. */
#include "network_kernels.h"

#if defined(KWS_NARROW)

#include "network_dot.h"
#include "network_rounding.h"

#define CHANNELS 4

/* Add the products of a tap's bytes to four sums; a function of its own, so that they have
 * registers. */
KWS_APART static void add_tap(const uint8_t *x, const int8_t *w, int32_t depths,
                              int32_t *restrict sums)
{
    int32_t first = sums[0], second = sums[1], third = sums[2], fourth = sums[3];
    do {
        const kws_four four = kws_four_load(x);
        first = kws_dot(first, four, w);
        second = kws_dot(second, four, w + KWS_DEPTH);
        third = kws_dot(third, four, w + 2 * KWS_DEPTH);
        fourth = kws_dot(fourth, four, w + 3 * KWS_DEPTH);
        x += KWS_DEPTH;
        w += KWS_BLOCK * KWS_DEPTH;
    } while (--depths > 0);
    sums[0] = first;
    sums[1] = second;
    sums[2] = third;
    sums[3] = fourth;
}

/* Compute all channels at one place. */
static void compute(const kws_conv_layer *layer, const uint8_t *x, uint8_t *y)
{
    const int32_t depths = KWS_DEPTHS(layer->tap_size), n_taps = layer->window.n_taps;
    const int32_t tap_weights = depths * KWS_BLOCK * KWS_DEPTH, zero = layer->rounding.zero;
    const int32_t *bias = layer->bias, *taps = layer->window.taps;
    const kws_real *scale = layer->rounding.scale;
    const int8_t *w = layer->weights;

    for (int32_t left = layer->channels; left > 0; left -= CHANNELS) {
        int32_t sums[CHANNELS] = {bias[0], bias[1], bias[2], bias[3]};
        for (int32_t tap = 0; tap < n_taps; tap++) {
            add_tap(x + taps[tap], w + tap * tap_weights, depths, sums);
        }
        for (int32_t i = 0; i < CHANNELS && i < left; i++) {
            *y++ = kws_round_product(sums[i], *scale++, zero);
        }
        bias += CHANNELS;
        w += CHANNELS * KWS_DEPTH;
        if ((bias - layer->bias) % KWS_BLOCK == 0) {
            w += n_taps * tap_weights - KWS_BLOCK * KWS_DEPTH;
        }
    }
}

void kws_conv(const kws_conv_layer *layer, const uint8_t *x, uint8_t *y)
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
