/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to another order, in regular steps. */
#include "network_kernels.h"

void kws_copy(const kws_copy_layer *layer, const uint8_t *x, uint8_t *y)
{
    const int32_t *sizes = layer->sizes, *from = layer->x_steps, *to = layer->y_steps;

    for (int32_t i = 0; i < sizes[0]; i++) {
        for (int32_t j = 0; j < sizes[1]; j++) {
            for (int32_t k = 0; k < sizes[2]; k++) {
                const uint8_t *restrict source = x + i * from[0] + j * from[1] + k * from[2];
                uint8_t *restrict target = y + i * to[0] + j * to[1] + k * to[2];
                for (int32_t l = 0; l < sizes[3]; l++) {
                    target[l * to[3]] = source[l * from[3]];
                }
            }
        }
    }
}
