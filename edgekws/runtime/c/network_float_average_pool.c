/* SPDX-License-Identifier: Apache-2.0 */
/* The mean over parts of an image, of each channel, added up in float. */
#include "network_kernels.h"
#include "network_rounding.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#if defined(KWS_INTEGER)

static inline uint8_t mean(const kws_float_average_pool_layer *layer, const uint8_t *from)
{
    const kws_number n = {layer->window.n_taps, 0}, zero = {layer->y_zero, 0};
    kws_number sum = {0, 0};

    for (int32_t tap = 0; tap < layer->window.n_taps; tap++) {
        const int32_t value = from[layer->window.taps[tap]] - layer->x_zero;
        sum = kws_rounded(kws_sum(sum, kws_rounded(kws_times(value, layer->x_scale))));
    }
    sum = kws_rounded(kws_quotient(sum, n));
    sum = kws_rounded(kws_quotient(sum, kws_number_of(layer->y_scale)));
    return kws_round_number(kws_rounded(kws_sum(sum, zero)), 0);
}

#else

static inline uint8_t mean(const kws_float_average_pool_layer *layer, const uint8_t *from)
{
    float sum = 0.0f;

    for (int32_t tap = 0; tap < layer->window.n_taps; tap++) {
        const int32_t value = from[layer->window.taps[tap]] - layer->x_zero;
        sum += (float)value * layer->x_scale;
    }
    sum = sum / (float)layer->window.n_taps / layer->y_scale;
    return kws_round(sum + (float)layer->y_zero, 0);
}

#endif

void kws_float_average_pool(const kws_float_average_pool_layer *layer, const uint8_t *x,
                            uint8_t *y)
{
    const kws_window *window = &layer->window;

    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t column = 0; column < window->columns; column++) {
            const uint8_t *from = x + row * window->row_step + column * window->column_step;
            for (int32_t channel = 0; channel < layer->channels; channel++) {
                *y++ = mean(layer, from + channel);
            }
        }
    }
}
