/* SPDX-License-Identifier: Apache-2.0 */
/* The mean over whole images, of each channel. */
#include "network_kernels.h"

#if !defined(KWS_NARROW)

#include "network_sums.h"

#define ONES 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1

/* Weights of four places, and of one. */
static const int8_t all[KWS_BLOCK * KWS_DEPTH] = {ONES, ONES, ONES, ONES};
static const int8_t one[KWS_BLOCK * KWS_DEPTH] = {
    1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
    1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};

/* Add up to 16 channels of `places` rows. */
static inline void add_up(kws_sums *sums, const uint8_t *x, int32_t places, int32_t step)
{
    int32_t place = 0;

    for (; place + KWS_DEPTH <= places; place += KWS_DEPTH) {
        const uint8_t *const rows[KWS_DEPTH] = {x, x + step, x + 2 * step, x + 3 * step};
        kws_sums_dot_rows(sums, rows, all);
        x += KWS_DEPTH * step;
    }
    for (; place < places; place++) {
        const uint8_t *const rows[KWS_DEPTH] = {x, x, x, x};
        kws_sums_dot_rows(sums, rows, one);
        x += step;
    }
}

void kws_average_pool(const kws_average_pool_layer *layer, const uint8_t *x, uint8_t *y)
{
    const int32_t channels = layer->channels;
    kws_real scale[KWS_BLOCK];
    int32_t bias[KWS_BLOCK];

    for (int32_t lane = 0; lane < KWS_BLOCK; lane++) {
        scale[lane] = layer->scale;
        bias[lane] = -layer->places * layer->x_zero;
    }
    for (int32_t image = 0; image < layer->images; image++) {
        for (int32_t first = 0; first < channels; first += KWS_BLOCK) {
            kws_sums sums = kws_sums_load(bias);
            add_up(&sums, x + first, layer->places, channels);
            kws_sums_store(&sums, scale, layer->zero, y + first, channels - first);
        }
        x += layer->places * channels;
        y += channels;
    }
}

#endif
