/* The spectrum of real samples out of a complex FFT, and its power. */
#include "exact_floats.h"

#include "front_end.h"

#define L KWS_LANES
#define POINT (2 * L)

/* Bin 0, and in `last` the bin at half the sample rate. */
static void power_of_ends(float *restrict first, float *restrict last)
{
    for (int32_t l = 0; l < L; l++) {
        const float sum = 2.0f * (first[l] + first[L + l]);
        const float difference = 2.0f * (first[l] - first[L + l]);
        first[l] = sum * sum;
        last[l] = difference * difference;
    }
}

/* Bins k and n_points - k, of which `a` and `b` hold the points.
 *
 * The points are E + iO, where E and O are the spectra of the even and the odd samples. Twice E is
 * a + conj(b), twice O is -i (a - conj(b)); the bins are E + root * O, and conj(E - root * O). */
static void power_of_pair(float *restrict a, float *restrict b, const float *root)
{
    const float cosine = root[0], sine = root[1];
    for (int32_t l = 0; l < L; l++) {
        const float even_re = a[l] + b[l], even_im = a[L + l] - b[L + l];
        const float odd_re = a[L + l] + b[L + l], odd_im = b[l] - a[l];
        const float turned_re = odd_re * cosine - odd_im * sine;
        const float turned_im = odd_re * sine + odd_im * cosine;
        const float a_re = even_re + turned_re, a_im = even_im + turned_im;
        const float b_re = even_re - turned_re, b_im = even_im - turned_im;
        a[l] = a_re * a_re + a_im * a_im;
        b[l] = b_re * b_re + b_im * b_im;
    }
}

static void power_of_point(float *restrict a)
{
    for (int32_t l = 0; l < L; l++) {
        const float re = 2.0f * a[l], im = 2.0f * a[L + l];
        a[l] = re * re + im * im;
    }
}

void kws_power_even(float *points, int32_t n_points, const float *roots)
{
    power_of_ends(points, points + n_points * POINT);
    for (int32_t k = 1; 2 * k < n_points; k++)
        power_of_pair(points + k * POINT, points + (n_points - k) * POINT, roots + 2 * k);
    if (n_points > 1 && n_points % 2 == 0)
        power_of_point(points + n_points / 2 * POINT);
}

void kws_power_odd(float *points, int32_t n_points)
{
    for (int32_t k = 0; k <= n_points / 2; k++)
        power_of_point(points + k * POINT);
}
