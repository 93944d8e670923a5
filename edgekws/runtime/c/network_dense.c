/* SPDX-License-Identifier: Apache-2.0 */
/* The last matrix product of a network, to logits. */
#include "network_kernels.h"

#if !defined(KWS_NARROW)

#include "network_rounding.h"
#include "network_sums.h"

void kws_dense(const kws_dense_layer *layer, const uint8_t *x, kws_real *logits)
{
    const int32_t depths = KWS_DEPTHS(layer->size);
    const int8_t *w = layer->weights;

    for (int32_t first = 0; first < layer->channels; first += KWS_BLOCK) {
        const int32_t left = layer->channels - first, n = left < KWS_BLOCK ? left : KWS_BLOCK;
        kws_sums sums = kws_sums_load(layer->bias + first);
        int32_t numbers[KWS_BLOCK];
        for (int32_t depth = 0; depth < depths; depth++) {
            kws_sums_dot(&sums, x + depth * KWS_DEPTH, w);
            w += KWS_BLOCK * KWS_DEPTH;
        }
        kws_sums_read(&sums, numbers);
        for (int32_t lane = 0; lane < n; lane++) {
            logits[first + lane] = kws_product(numbers[lane], layer->scale[first + lane]);
        }
    }
}

#endif
