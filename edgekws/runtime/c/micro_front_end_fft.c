/* The Fourier transform of 512 real samples in 16 bits: see runtime/micro_fft.py. */
#include "micro_front_end.h"

static int16_t rounded(int32_t product)
{
    return (int16_t)((product + (1 << 14)) >> 15);
}

static int16_t divided(int32_t value, int32_t by)
{
    return rounded(value * (32767 / by));
}

static kws_micro_point turned(kws_micro_point point, kws_micro_point root)
{
    const kws_micro_point result = {
        rounded(point.re * root.re - point.im * root.im),
        rounded(point.re * root.im + point.im * root.re),
    };
    return result;
}

static kws_micro_point sum(kws_micro_point a, kws_micro_point b)
{
    const kws_micro_point result = {(int16_t)(a.re + b.re), (int16_t)(a.im + b.im)};
    return result;
}

static kws_micro_point difference(kws_micro_point a, kws_micro_point b)
{
    const kws_micro_point result = {(int16_t)(a.re - b.re), (int16_t)(a.im - b.im)};
    return result;
}

/* Combine four points, `length` apart, in place. */
static void butterfly(kws_micro_point *points, int32_t length, const kws_micro_point *roots,
                      int32_t step)
{
    kws_micro_point part[4];

    for (int32_t q = 0; q < 4; q++) {
        const kws_micro_point point = points[q * length];
        part[q].re = divided(point.re, 4);
        part[q].im = divided(point.im, 4);
        if (q > 0)
            part[q] = turned(part[q], roots[q * step]);
    }
    const kws_micro_point even = sum(part[0], part[2]), apart = difference(part[0], part[2]);
    const kws_micro_point odd = sum(part[1], part[3]), cross = difference(part[1], part[3]);
    const kws_micro_point quarter = {cross.im, (int16_t)-cross.re};
    points[0] = sum(even, odd);
    points[length] = sum(apart, quarter);
    points[2 * length] = difference(even, odd);
    points[3 * length] = difference(apart, quarter);
}

void kws_micro_fft(kws_micro_point *points, const kws_micro_point *roots)
{
    for (int32_t length = 1; length < KWS_MICRO_HALF; length *= 4) {
        const int32_t stride = KWS_MICRO_HALF / (4 * length);
        for (int32_t group = 0; group < KWS_MICRO_HALF; group += 4 * length) {
            for (int32_t k = 0; k < length; k++)
                butterfly(points + group + k, length, roots, k * stride);
        }
    }
}

static uint32_t energy_of(int32_t re, int32_t im)
{
    return (uint32_t)(re * re) + (uint32_t)(im * im);
}

void kws_micro_energy(const kws_micro_point *points, const kws_micro_point *half_roots,
                      uint32_t *energy)
{
    for (int32_t k = 1; k <= KWS_MICRO_HALF / 2; k++) {
        const kws_micro_point a = points[k], b = points[KWS_MICRO_HALF - k];
        const kws_micro_point front = {divided(a.re, 2), divided(a.im, 2)};
        const kws_micro_point back = {divided(b.re, 2), divided((int16_t)-b.im, 2)};
        const kws_micro_point total = sum(front, back);
        const kws_micro_point turn = turned(difference(front, back), half_roots[k - 1]);
        energy[KWS_MICRO_HALF - k] = energy_of((total.re - turn.re) >> 1, (turn.im - total.im) >> 1);
        energy[k] = energy_of((total.re + turn.re) >> 1, (total.im + turn.im) >> 1);
    }
}
