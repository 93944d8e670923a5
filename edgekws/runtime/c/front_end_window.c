/* Samples → windowed points of the FFT, one frame a lane. */
#include "exact_floats.h"

#include "front_end.h"

#define L KWS_LANES

#if L == 1

const int16_t *kws_columns(const int16_t *pcm, int32_t frames, int32_t n_fft, int32_t hop,
                           int16_t *columns)
{
    (void)frames;
    (void)n_fft;
    (void)hop;
    (void)columns;
    return pcm;
}

#else

const int16_t *kws_columns(const int16_t *pcm, int32_t frames, int32_t n_fft, int32_t hop,
                           int16_t *columns)
{
    const int32_t width = KWS_COLUMNS(n_fft, hop);
    const int32_t reach = n_fft + (frames - 1) * hop;
    for (int32_t c = 0; c < width; c++) {
        const int32_t left = reach - c * hop;
        const int32_t whole = left < 0 ? 0 : left < hop ? left : hop;
        for (int32_t j = 0; j < whole; j++)
            columns[j * width + c] = pcm[c * hop + j];
        for (int32_t j = whole; j < hop; j++)
            columns[j * width + c] = 0;
    }
    return columns;
}

#endif

static void window_row(const int16_t *restrict samples, float weight, float *restrict row)
{
    for (int32_t l = 0; l < L; l++)
        row[l] = weight * (float)samples[l];
}

/* Sample j of hop a, of all lanes. */
static const int16_t *sample_row(const int16_t *columns, int32_t a, int32_t j, int32_t n_fft,
                                 int32_t hop)
{
    if (L == 1)
        return columns + a * hop + j;
    return columns + j * KWS_COLUMNS(n_fft, hop) + a;
}

#if KWS_LANES == 1

void kws_window_even(const int16_t *columns, const float *window, const uint16_t *places,
                     int32_t n_fft, int32_t hop, float *points)
{
    (void)hop;
    for (int32_t i = 0; i < n_fft; i += 2) {
        float *point = points + 2 * *places++;
        point[0] = window[i] * (float)columns[i];
        point[1] = window[i + 1] * (float)columns[i + 1];
    }
}

#else

void kws_window_even(const int16_t *columns, const float *window, const uint16_t *places,
                     int32_t n_fft, int32_t hop, float *points)
{
    int32_t i = 0;
    for (int32_t a = 0; i < n_fft; a++) {
        for (int32_t j = 0; j < hop && i < n_fft; j++, i++) {
            float *row = points + (2 * places[i / 2] + i % 2) * L;
            window_row(sample_row(columns, a, j, n_fft, hop), window[i], row);
        }
    }
}

#endif

void kws_window_odd(const int16_t *columns, const float *window, const uint16_t *places,
                    int32_t n_fft, int32_t hop, float *points)
{
    int32_t i = 0;
    for (int32_t a = 0; i < n_fft; a++) {
        for (int32_t j = 0; j < hop && i < n_fft; j++, i++) {
            float *row = points + 2 * places[i] * L;
            window_row(sample_row(columns, a, j, n_fft, hop), window[i], row);
            for (int32_t l = 0; l < L; l++)
                row[L + l] = 0.0f;
        }
    }
}
