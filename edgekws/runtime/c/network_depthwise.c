/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of each channel with itself, in one or two dimensions. */
#include "network_kernels.h"

#if !defined(KWS_NARROW)

#include "network_sums.h"

/* Compute 16 channels at one place. */
static inline void compute(const kws_depthwise_layer *layer, int32_t group,
                           const uint8_t *restrict x, uint8_t *restrict y)
{
    const int32_t *taps = layer->window.taps;
    const int8_t *restrict w = layer->weights + group * layer->window.n_taps * KWS_BLOCK;
    const int32_t first = group * KWS_BLOCK, left = layer->channels - first;
    kws_sums sums = kws_sums_load(layer->bias + first);

    for (int32_t tap = 0; tap < layer->window.n_taps; tap += KWS_DEPTH) {
        const uint8_t *const rows[KWS_DEPTH] = {x + taps[tap], x + taps[tap + 1],
                                                x + taps[tap + 2], x + taps[tap + 3]};
        kws_sums_dot_rows(&sums, rows, w);
        w += KWS_BLOCK * KWS_DEPTH;
    }
    kws_sums_store(&sums, layer->rounding.scale + first, layer->rounding.zero, y + first, left);
}

#if defined(KWS_ROWS)

/* Return whether the next place has the taps of this one, moved on by one: the last tap is
 * repeated where there are none. */
static int slides(const kws_window *window)
{
    for (int32_t tap = 1; tap < window->n_taps; tap++) {
        const int32_t step = window->taps[tap] - window->taps[tap - 1];
        if (step != window->column_step &&
            (step != 0 || tap <= window->n_taps - KWS_DEPTH)) {
            return 0;
        }
    }
    return window->columns >= KWS_DEPTH && window->n_taps <= KWS_DEPTH * KWS_ROWS;
}

/* Where row `number` of the image is; behind the last row, only taps that are none would read. */
static inline int32_t row_place(const kws_window *window, int32_t number)
{
    const int32_t *taps = window->taps, step = window->column_step;
    const int32_t place = taps[0] + number * step;
    const int32_t last = taps[window->n_taps - 1] + (window->columns - 1) * step;
    return place < last ? place : last;
}

/* Compute 16 channels of a row of places that slide, under `sets` times four taps. */
static inline void compute_row(const kws_depthwise_layer *layer, int32_t group,
                               const uint8_t *restrict x, uint8_t *restrict y, int32_t sets)
{
    const kws_window *window = &layer->window;
    const int32_t first = group * KWS_BLOCK, channels = layer->channels;
    const int32_t columns = window->columns, zero = layer->rounding.zero;
    const int8_t *restrict w = layer->weights + group * sets * KWS_DEPTH * KWS_BLOCK;
    const kws_real *restrict scale = layer->rounding.scale + first;
    const kws_sums bias = kws_sums_load(layer->bias + first);
    kws_rows rows[KWS_ROWS];

    for (int32_t set = 0; set < sets; set++) {
        const int32_t number = set * KWS_DEPTH;
        const uint8_t *const places[KWS_DEPTH] = {
            x + row_place(window, number), x + row_place(window, number + 1),
            x + row_place(window, number + 2), x + row_place(window, number + 3)};
        rows[set] = kws_rows_load(places);
    }
    for (int32_t column = 0; column < columns; column++) {
        kws_sums sums = bias;
        for (int32_t set = 0; set < sets; set++) {
            const int32_t next = column + (set + 1) * KWS_DEPTH;
            kws_rows_dot(&sums, &rows[set], w + set * KWS_BLOCK * KWS_DEPTH);
            kws_rows_slide(&rows[set], x + row_place(window, next));
        }
        kws_sums_store(&sums, scale, zero, y + column * channels + first, channels - first);
    }
}

static int compute_sliding(const kws_depthwise_layer *layer, const uint8_t *x, uint8_t *y)
{
    const kws_window *window = &layer->window;
    const int32_t sets = window->n_taps / KWS_DEPTH;

    if (!slides(window)) {
        return 0;
    }
    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t group = 0; group < KWS_GROUPS(layer->channels); group++) {
            const uint8_t *from = x + row * window->row_step + group * KWS_BLOCK;
            if (sets == 1) { /* constants leave the rows in registers */
                compute_row(layer, group, from, y, 1);
            } else if (sets == 2) {
                compute_row(layer, group, from, y, 2);
            } else if (sets == 3) {
                compute_row(layer, group, from, y, 3);
            } else {
                compute_row(layer, group, from, y, 4);
            }
        }
        y += window->columns * layer->channels;
    }
    return 1;
}

#endif

void kws_depthwise(const kws_depthwise_layer *layer, const uint8_t *x, uint8_t *y)
{
    const kws_window *window = &layer->window;

#if defined(KWS_ROWS)
    if (compute_sliding(layer, x, y)) {
        return;
    }
#endif
    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t column = 0; column < window->columns; column++) {
            const uint8_t *from = x + row * window->row_step + column * window->column_step;
            for (int32_t group = 0; group < KWS_GROUPS(layer->channels); group++) {
                compute(layer, group, from + group * KWS_BLOCK, y);
            }
            y += layer->channels;
        }
    }
}

#endif
