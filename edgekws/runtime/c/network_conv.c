/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with one group, in one or two dimensions. */
#include "network_kernels.h"

#if !defined(KWS_NARROW)

#include "network_sums.h"

/* Compute 16 channels at `n` neighbouring places. Locals, as `y` might alias the layer. */
static inline void compute(const kws_conv_layer *layer, int32_t group, const uint8_t *restrict x,
                           uint8_t *restrict y, int32_t n)
{
    const int32_t n_taps = layer->window.n_taps, step = layer->window.column_step;
    const int32_t depths = KWS_DEPTHS(layer->tap_size), channels = layer->channels;
    const int32_t first = group * KWS_BLOCK, zero = layer->rounding.zero;
    const int32_t *restrict taps = layer->window.taps;
    const int8_t *restrict w = layer->weights + group * n_taps * depths * KWS_BLOCK * KWS_DEPTH;
    const kws_real *restrict scale = layer->rounding.scale + first;
    kws_sums sums[KWS_PLACES];

    for (int32_t place = 0; place < n; place++) {
        sums[place] = kws_sums_load(layer->bias + first);
    }
    int32_t tap = 0;
    do { /* at least once, which leaves the sums in registers */
        const uint8_t *restrict from = x + taps[tap];
        int32_t depth = 0;
        do {
            for (int32_t place = 0; place < n; place++) {
                kws_sums_dot(&sums[place], from + place * step, w);
            }
            from += KWS_DEPTH;
            w += KWS_BLOCK * KWS_DEPTH;
        } while (++depth < depths);
    } while (++tap < n_taps);
    for (int32_t place = 0; place < n; place++) {
        kws_sums_store(&sums[place], scale, zero, y + place * channels + first, channels - first);
    }
}

void kws_conv(const kws_conv_layer *layer, const uint8_t *x, uint8_t *y)
{
    const kws_window *window = &layer->window;

    for (int32_t row = 0; row < window->rows; row++) {
        int32_t column = 0;
        while (column < window->columns) {
            const int32_t n = window->columns < KWS_PLACES ? 1 : KWS_PLACES;
            if (column + n > window->columns) {
                /* the last places again, with those before them that make a full set */
                y -= (column + n - window->columns) * layer->channels;
                column = window->columns - n;
            }
            const uint8_t *from = x + row * window->row_step + column * window->column_step;
            for (int32_t group = 0; group < KWS_GROUPS(layer->channels); group++) {
                if (n == KWS_PLACES) {
                    compute(layer, group, from, y, KWS_PLACES);
                } else {
                    compute(layer, group, from, y, 1);
                }
            }
            column += n;
            y += n * layer->channels;
        }
    }
}

#endif
