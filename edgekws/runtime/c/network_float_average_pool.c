/* SPDX-License-Identifier: Apache-2.0 */
/* The mean over parts of an image, of each channel, added up in float. */
#include "network_kernels.h"
#include "network_rounding.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

void kws_float_average_pool(const kws_float_average_pool_layer *layer, const uint8_t *x,
                            uint8_t *y)
{
    const kws_window *window = &layer->window;

    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t column = 0; column < window->columns; column++) {
            const uint8_t *from = x + row * window->row_step + column * window->column_step;
            for (int32_t channel = 0; channel < layer->channels; channel++) {
                float sum = 0.0f;
                for (int32_t tap = 0; tap < window->n_taps; tap++) {
                    const int32_t value = from[window->taps[tap] + channel] - layer->x_zero;
                    sum += (float)value * layer->x_scale;
                }
                sum = sum / (float)window->n_taps / layer->y_scale;
                *y++ = kws_round(sum + (float)layer->y_zero, 0);
            }
        }
    }
}
