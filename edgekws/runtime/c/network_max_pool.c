/* SPDX-License-Identifier: Apache-2.0 */
/* The largest of the taps, of each channel. */
#include "network_kernels.h"

void kws_max_pool(const kws_max_pool_layer *layer, const uint8_t *x, uint8_t *y)
{
    const kws_window *window = &layer->window;

    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t column = 0; column < window->columns; column++) {
            const uint8_t *from = x + row * window->row_step + column * window->column_step;
            for (int32_t channel = 0; channel < layer->channels; channel++) {
                uint8_t largest = 0;
                for (int32_t tap = 0; tap < window->n_taps; tap++) {
                    const uint8_t value = from[window->taps[tap] + channel];
                    largest = value > largest ? value : largest;
                }
                *y++ = largest;
            }
        }
    }
}
