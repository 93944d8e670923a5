/* Window and FFT of a frame in 32-bit integers. */
#include "integer_front_end.h"

int32_t kws_integer_gain(const int16_t *pcm, int32_t n_fft, int32_t most)
{
    int32_t any = 0, gain = 0;
    for (int32_t i = 0; i < n_fft; i++)
        any |= pcm[i] < 0 ? -1 - pcm[i] : pcm[i];
    while (gain < most && (any << gain) < 16384)
        gain++;
    return gain;
}

/* A sample times a weight with 23 bits behind the point: full scale is 2^30. */
static int32_t windowed(int32_t sample, int32_t weight)
{
    return sample * (weight >> 8) + (sample * (weight & 0xff) >> 8);
}

/* Multiply a point by a root, up to 3 too small, in products of 32 bits: the smallest CPUs have no
 * others. Of the last 16 bits of a part, 15 count, so that no sum of products leaves 32 bits. */
static void turn(kws_integer_point *point, const int32_t *root)
{
    const int32_t re_high = point->part[0] >> 16, re_low = (point->part[0] & 0xffff) >> 1;
    const int32_t im_high = point->part[1] >> 16, im_low = (point->part[1] & 0xffff) >> 1;
    const int32_t cosine = root[0] >> 8, cosine_low = root[0] & 0xff;
    const int32_t sine = root[1] >> 8, sine_low = root[1] & 0xff;
    point->part[0] = (re_high * cosine - im_high * sine) * 2 +
                     ((re_high * cosine_low - im_high * sine_low) >> 7) +
                     ((re_low * cosine - im_low * sine) >> 14);
    point->part[1] = (re_high * sine + im_high * cosine) * 2 +
                     ((re_high * sine_low + im_high * cosine_low) >> 7) +
                     ((re_low * sine + im_low * cosine) >> 14);
}

void kws_integer_window_even(const int16_t *pcm, int32_t gain, const int32_t *window,
                             const uint16_t *places, int32_t n_fft, kws_integer_point *points)
{
    for (int32_t i = 0; i < n_fft; i += 2) {
        kws_integer_point *point = points + *places++;
        point->part[0] = windowed(pcm[i] * (1 << gain), window[i]);
        point->part[1] = windowed(pcm[i + 1] * (1 << gain), window[i + 1]);
    }
}

void kws_integer_window_odd(const int16_t *pcm, int32_t gain, const int32_t *window,
                            const uint16_t *places, int32_t n_fft, kws_integer_point *points)
{
    const int32_t factor = 1 << gain;
    for (int32_t i = 0; i < n_fft; i++) {
        points[places[i]].part[0] = windowed(pcm[i] * factor, window[i]);
        points[places[i]].part[1] = 0;
    }
}

void kws_integer_radix2(kws_integer_point *points, int32_t n_points, int32_t length,
                        const int32_t *roots, int32_t stride)
{
    for (int32_t start = 0; start < n_points; start += 2 * length) {
        for (int32_t j = 0; j < length; j++) {
            kws_integer_point *a = points + start + j, *b = a + length;
            if (j > 0)
                turn(b, roots + 2 * j * stride);
            for (int32_t i = 0; i < 2; i++) {
                const int32_t half_a = a->part[i] >> 1, half_b = b->part[i] >> 1;
                a->part[i] = half_a + half_b;
                b->part[i] = half_a - half_b;
            }
        }
    }
}

static void butterfly4(kws_integer_point *a, kws_integer_point *b, kws_integer_point *c,
                       kws_integer_point *d)
{
    const int32_t a_re = a->part[0] >> 2, a_im = a->part[1] >> 2;
    const int32_t b_re = b->part[0] >> 2, b_im = b->part[1] >> 2;
    const int32_t c_re = c->part[0] >> 2, c_im = c->part[1] >> 2;
    const int32_t d_re = d->part[0] >> 2, d_im = d->part[1] >> 2;
    a->part[0] = a_re + c_re + b_re + d_re;
    a->part[1] = a_im + c_im + b_im + d_im;
    b->part[0] = a_re - c_re + b_im - d_im;
    b->part[1] = a_im - c_im - b_re + d_re;
    c->part[0] = a_re + c_re - b_re - d_re;
    c->part[1] = a_im + c_im - b_im - d_im;
    d->part[0] = a_re - c_re - b_im + d_im;
    d->part[1] = a_im - c_im + b_re - d_re;
}

void kws_integer_radix4(kws_integer_point *points, int32_t n_points, int32_t length,
                        const int32_t *roots, int32_t stride)
{
    for (int32_t start = 0; start < n_points; start += 4 * length) {
        for (int32_t j = 0; j < length; j++) {
            kws_integer_point *a = points + start + j;
            kws_integer_point *b = a + length, *c = b + length, *d = c + length;
            if (j > 0) {
                turn(b, roots + 2 * j * stride);
                turn(c, roots + 4 * j * stride);
                turn(d, roots + 6 * j * stride);
            }
            butterfly4(a, b, c, d);
        }
    }
}

void kws_integer_radix(kws_integer_point *points, int32_t n_points, int32_t length, int32_t radix,
                       const int32_t *roots, int32_t stride, kws_integer_point *butterfly)
{
    const int32_t whole = stride * length * radix; /* a full turn */
    const int64_t divisor = (int64_t)radix << 15;
    for (int32_t start = 0; start < n_points; start += radix * length) {
        for (int32_t j = 0; j < length; j++) {
            kws_integer_point *first = points + start + j;
            for (int32_t q = 0; q < radix; q++)
                butterfly[q] = first[q * length];
            for (int32_t p = 0; p < radix; p++) {
                const int32_t angle = (j + p * length) * stride;
                int64_t re = (int64_t)butterfly[0].part[0] * 32768;
                int64_t im = (int64_t)butterfly[0].part[1] * 32768;
                for (int32_t q = 1, turned = angle; q < radix; q++) {
                    const int64_t x = butterfly[q].part[0], y = butterfly[q].part[1];
                    const int32_t *root = roots + 2 * turned;
                    re += (x * root[0] - y * root[1]) >> 8;
                    im += (x * root[1] + y * root[0]) >> 8;
                    turned += angle;
                    turned -= turned >= whole ? whole : 0;
                }
                first[p * length].part[0] = (int32_t)(re / divisor);
                first[p * length].part[1] = (int32_t)(im / divisor);
            }
        }
    }
}

/* The power of half a point, below 2^30 a part, without its last `shift` bits: from products of 15
 * bits. */
static uint64_t power(int32_t re, int32_t im, int32_t shift)
{
    const uint32_t x = (uint32_t)(re < 0 ? -re : re), y = (uint32_t)(im < 0 ? -im : im);
    const uint32_t x_high = x >> 15, x_low = x & 0x7fff, y_high = y >> 15, y_low = y & 0x7fff;
    const uint32_t high = x_high * x_high + y_high * y_high;
    const uint32_t middle = x_high * x_low + y_high * y_low;
    const uint32_t low = (x_low * x_low + y_low * y_low) >> shift;
    return ((uint64_t)(high >> (shift + 2)) << 32 | high << (30 - shift)) +
           ((uint64_t)(middle >> (16 + shift)) << 32 | middle << (16 - shift)) + low;
}

/* Bins k and n_points - k: see power_of_pair in front_end_power.c. */
static void power_of_pair(kws_integer_point *a, kws_integer_point *b, const int32_t *root,
                          int32_t shift)
{
    const int32_t a_re = a->part[0] >> 1, a_im = a->part[1] >> 1;
    const int32_t b_re = b->part[0] >> 1, b_im = b->part[1] >> 1;
    const int32_t even_re = (a_re + b_re) >> 1, even_im = (a_im - b_im) >> 1;
    kws_integer_point odd;
    odd.part[0] = a_im + b_im;
    odd.part[1] = b_re - a_re;
    turn(&odd, root);
    odd.part[0] >>= 1;
    odd.part[1] >>= 1;
    a->power = power(even_re + odd.part[0], even_im + odd.part[1], shift);
    b->power = power(even_re - odd.part[0], even_im - odd.part[1], shift);
}

void kws_integer_power_even(kws_integer_point *points, int32_t n_points, const int32_t *roots,
                            int32_t shift)
{
    const int32_t re = points[0].part[0] >> 1, im = points[0].part[1] >> 1;
    points[0].power = power(re + im, 0, shift);
    points[n_points].power = power(re - im, 0, shift);
    for (int32_t k = 1; 2 * k < n_points; k++)
        power_of_pair(points + k, points + n_points - k, roots + 2 * k, shift);
    if (n_points > 1 && n_points % 2 == 0) {
        kws_integer_point *middle = points + n_points / 2;
        middle->power = power(middle->part[0] >> 1, middle->part[1] >> 1, shift);
    }
}

void kws_integer_power_odd(kws_integer_point *points, int32_t n_points, int32_t shift)
{
    for (int32_t k = 0; k <= n_points / 2; k++)
        points[k].power = power(points[k].part[0] >> 1, points[k].part[1] >> 1, shift);
}
