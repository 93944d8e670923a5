/* SPDX-License-Identifier: Apache-2.0 */
/* The mean over whole images on CPUs without vector registers, channel by channel. */
#include "network_kernels.h"

#if defined(KWS_NARROW)

#include "network_rounding.h"

void kws_average_pool(const kws_average_pool_layer *layer, const uint8_t *x, uint8_t *y)
{
    const int32_t channels = layer->channels, bytes = layer->places * channels;

    for (int32_t image = 0; image < layer->images; image++) {
        for (int32_t channel = 0; channel < channels; channel++) {
            int32_t sum = -layer->places * layer->x_zero;
            for (const uint8_t *from = x + channel; from < x + bytes; from += channels) {
                sum += *from;
            }
            *y++ = kws_round_product(sum, layer->scale, layer->zero);
        }
        x += bytes;
    }
}

#endif
