/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to another order, in regular steps. */
#include "network_kernels.h"

#include <string.h>

/* Copy rows of neighbouring bytes. */
static inline void copy_rows(const uint8_t *restrict x, int32_t x_step, uint8_t *restrict y,
                             int32_t y_step, int32_t rows, int32_t n)
{
    for (int32_t row = 0; row < rows; row++) {
        int32_t i = 0;
        for (; i + 8 <= n; i += 8) {
            memcpy(y + i, x + i, 8);
        }
        for (; i < n; i++) {
            y[i] = x[i];
        }
        x += x_step;
        y += y_step;
    }
}

static void copy(const uint8_t *restrict x, const int32_t x_steps[2], uint8_t *restrict y,
                 const int32_t y_steps[2], const int32_t sizes[2])
{
    for (int32_t i = 0; i < sizes[0]; i++) {
        for (int32_t j = 0; j < sizes[1]; j++) {
            y[i * y_steps[0] + j * y_steps[1]] = x[i * x_steps[0] + j * x_steps[1]];
        }
    }
}

void kws_copy(const kws_copy_layer *layer, const uint8_t *x, uint8_t *y)
{
    const int32_t *sizes = layer->sizes, *from = layer->x_steps, *to = layer->y_steps;
    const int neighbours = from[3] == 1 && to[3] == 1;

    for (int32_t i = 0; i < sizes[0]; i++) {
        for (int32_t j = 0; j < sizes[1]; j++) {
            const uint8_t *source = x + i * from[0] + j * from[1];
            uint8_t *target = y + i * to[0] + j * to[1];
            if (neighbours && sizes[3] == 8) { /* constants leave no loop over a row */
                copy_rows(source, from[2], target, to[2], sizes[2], 8);
            } else if (neighbours && sizes[3] == 16) {
                copy_rows(source, from[2], target, to[2], sizes[2], 16);
            } else if (neighbours) {
                copy_rows(source, from[2], target, to[2], sizes[2], sizes[3]);
            } else {
                copy(source, from + 2, target, to + 2, sizes + 2);
            }
        }
    }
}
