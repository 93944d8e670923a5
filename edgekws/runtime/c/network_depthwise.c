/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of each channel with itself, in one or two dimensions. */
#include "network_kernels.h"
#include "network_sums.h"

/* Compute 16 channels at one place. */
static inline void compute(const kws_depthwise_layer *layer, int32_t group,
                           const uint8_t *restrict x, uint8_t *restrict y)
{
    const int32_t *taps = layer->window.taps;
    const int8_t *restrict w = layer->weights + group * layer->window.n_taps * KWS_BLOCK;
    const int32_t first = group * KWS_BLOCK, left = layer->channels - first;
    kws_sums sums = kws_sums_load(layer->bias + first);

    for (int32_t tap = 0; tap < layer->window.n_taps; tap += KWS_DEPTH) {
        const uint8_t *const rows[KWS_DEPTH] = {x + taps[tap], x + taps[tap + 1],
                                                x + taps[tap + 2], x + taps[tap + 3]};
        kws_sums_dot_rows(&sums, rows, w);
        w += KWS_BLOCK * KWS_DEPTH;
    }
    kws_sums_store(&sums, layer->rounding.scale + first, layer->rounding.zero, y + first, left);
}

void kws_depthwise(const kws_depthwise_layer *layer, const uint8_t *x, uint8_t *y)
{
    const kws_window *window = &layer->window;

    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t column = 0; column < window->columns; column++) {
            const uint8_t *from = x + row * window->row_step + column * window->column_step;
            for (int32_t group = 0; group < KWS_GROUPS(layer->channels); group++) {
                compute(layer, group, from + group * KWS_BLOCK, y);
            }
            y += layer->channels;
        }
    }
}
