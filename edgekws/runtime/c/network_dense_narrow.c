/* SPDX-License-Identifier: Apache-2.0 */
/* The last matrix product of a network on CPUs without vector registers: one logit at once. */
#include "network_kernels.h"

#if defined(KWS_NARROW)

#include "network_dot.h"
#include "network_rounding.h"

void kws_dense(const kws_dense_layer *layer, const uint8_t *x, kws_real *logits)
{
    const int32_t depths = KWS_DEPTHS(layer->size);

    for (int32_t channel = 0; channel < layer->channels; channel++) {
        const int32_t group = channel / KWS_BLOCK, lane = channel % KWS_BLOCK;
        const int8_t *w = layer->weights + (group * depths * KWS_BLOCK + lane) * KWS_DEPTH;
        int32_t sum = layer->bias[channel];
        for (int32_t depth = 0; depth < depths; depth++) {
            sum = kws_dot(sum, kws_four_load(x + depth * KWS_DEPTH), w);
            w += KWS_BLOCK * KWS_DEPTH;
        }
        logits[channel] = kws_product(sum, layer->scale[channel]);
    }
}

#endif
