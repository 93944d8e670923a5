/* SPDX-License-Identifier: Apache-2.0 */
/* The mean over whole images, of each channel. */
#include "network_kernels.h"
#include "network_rounding.h"

void kws_average_pool(const kws_average_pool_layer *layer, const uint8_t *x, uint8_t *y)
{
    for (int32_t image = 0; image < layer->images; image++) {
        for (int32_t first = 0; first < layer->channels; first += KWS_BLOCK) {
            const int32_t left = layer->channels - first, n = left < KWS_BLOCK ? left : KWS_BLOCK;
            int32_t sums[KWS_BLOCK] = {0};
            for (int32_t place = 0; place < layer->places; place++) {
                const uint8_t *restrict from = x + place * layer->channels + first;
                for (int32_t lane = 0; lane < KWS_BLOCK; lane++) {
                    sums[lane] += from[lane];
                }
            }
            for (int32_t lane = 0; lane < n; lane++) {
                const int32_t sum = sums[lane] - layer->places * layer->x_zero;
                y[first + lane] = kws_round_product(sum, layer->scale, layer->zero);
            }
        }
        x += layer->places * layer->channels;
        y += layer->channels;
    }
}
