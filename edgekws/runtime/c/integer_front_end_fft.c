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

/* Hide from the compiler that a number is the same as before: what was computed from it is computed
 * again, where there are too few registers to keep it. */
#if defined(__GNUC__) && defined(__ARM_ARCH_6M__)
#define COMPUTE_AGAIN(number) __asm__("" : "+r"(number))
#else
#define COMPUTE_AGAIN(number)
#endif

/* x * cosine - y * sine, up to 2 too small, in products of 32 bits: the smallest CPUs have no
 * others. Of the last 16 bits of x and y, 14 count, so that no sum of products leaves 32 bits. */
static inline int32_t rotated(int32_t x, int32_t y, int32_t cosine, int32_t sine)
{
    return (x >> 16) * cosine - (y >> 16) * sine +
           ((((x & 0xffff) >> 2) * cosine - ((y & 0xffff) >> 2) * sine) >> 14);
}

/* Multiply a point by a root. */
static void turn(kws_integer_point *point, const int32_t *root)
{
    int32_t re = point->part[0], im = point->part[1];
    const int32_t cosine = root[0], sine = root[1];
    point->part[0] = rotated(re, im, cosine, sine);
    COMPUTE_AGAIN(re);
    COMPUTE_AGAIN(im);
    point->part[1] = rotated(im, re, cosine, -sine);
}

void kws_integer_window_even(const int16_t *pcm, int32_t gain, const uint16_t *window,
                             const uint16_t *places, int32_t n_fft, kws_integer_point *points)
{
    const int32_t factor = 1 << gain;
    for (const int16_t *end = pcm + n_fft; pcm < end; pcm += 2, window += 2) {
        kws_integer_point *point = points + *places++;
        point->part[0] = pcm[0] * factor * window[0] >> 1;
        point->part[1] = pcm[1] * factor * window[1] >> 1;
    }
}

void kws_integer_window_odd(const int16_t *pcm, int32_t gain, const uint16_t *window,
                            const uint16_t *places, int32_t n_fft, kws_integer_point *points)
{
    const int32_t factor = 1 << gain;
    for (int32_t i = 0; i < n_fft; i++) {
        points[places[i]].part[0] = pcm[i] * factor * window[i] >> 1;
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

/* Store the sums of one part before reading the other: the smallest CPUs have eight registers. */
static void butterfly4(kws_integer_point *a, kws_integer_point *b, kws_integer_point *c,
                       kws_integer_point *d)
{
    int32_t x = a->part[0] >> 2, y = c->part[0] >> 2;
    const int32_t even_re = x - y, sum_re = x + y;
    x = b->part[0] >> 2, y = d->part[0] >> 2;
    const int32_t odd_re = x - y, rest_re = x + y;
    a->part[0] = sum_re + rest_re;
    c->part[0] = sum_re - rest_re;
    x = a->part[1] >> 2, y = c->part[1] >> 2;
    const int32_t even_im = x - y, sum_im = x + y;
    x = b->part[1] >> 2, y = d->part[1] >> 2;
    const int32_t odd_im = x - y, rest_im = x + y;
    a->part[1] = sum_im + rest_im;
    c->part[1] = sum_im - rest_im;
    b->part[0] = even_re + odd_im;
    d->part[0] = even_re - odd_im;
    b->part[1] = even_im - odd_re;
    d->part[1] = even_im + odd_re;
}

void kws_integer_radix4(kws_integer_point *points, int32_t n_points, int32_t length,
                        const int32_t *roots, int32_t stride)
{
    const kws_integer_point *end = points + n_points;
    for (int32_t j = 0; j < length; j++) {
        const int32_t *root = roots + 2 * j * stride;
        for (kws_integer_point *a = points + j; a < end; a += 4 * length) {
            kws_integer_point *b = a + length, *c = b + length, *d = c + length;
            if (j > 0) {
                turn(b, root);
                turn(c, root + 2 * j * stride);
                turn(d, root + 4 * j * stride);
            }
            butterfly4(a, b, c, d);
        }
    }
}

void kws_integer_radix(kws_integer_point *points, int32_t n_points, int32_t length, int32_t radix,
                       const int32_t *roots, int32_t stride, kws_integer_point *butterfly)
{
    const int32_t whole = stride * length * radix; /* a full turn */
    const int64_t divisor = (int64_t)radix << 16;
    for (int32_t start = 0; start < n_points; start += radix * length) {
        for (int32_t j = 0; j < length; j++) {
            kws_integer_point *first = points + start + j;
            for (int32_t q = 0; q < radix; q++)
                butterfly[q] = first[q * length];
            for (int32_t p = 0; p < radix; p++) {
                const int32_t angle = (j + p * length) * stride;
                int64_t re = (int64_t)butterfly[0].part[0] * 65536;
                int64_t im = (int64_t)butterfly[0].part[1] * 65536;
                for (int32_t q = 1, turned = angle; q < radix; q++) {
                    const int64_t x = butterfly[q].part[0], y = butterfly[q].part[1];
                    const int32_t *root = roots + 2 * turned;
                    re += x * root[0] - y * root[1];
                    im += x * root[1] + y * root[0];
                    turned += angle;
                    turned -= turned >= whole ? whole : 0;
                }
                first[p * length].part[0] = (int32_t)(re / divisor);
                first[p * length].part[1] = (int32_t)(im / divisor);
            }
        }
    }
}

/* The power of half a point, below 2^30 a part, without its last `shift` bits: from the first 15
 * bits of the larger part. */
static uint64_t power(int32_t re, int32_t im, int32_t shift)
{
    const int32_t any = (re ^ re >> 31) | (im ^ im >> 31);
    int32_t bits = any >> 22 ? 8 : 0;
    bits += any >> bits >> 18 ? 4 : 0;
    bits += any >> bits >> 16 ? 2 : 0;
    bits += any >> bits >> 15;
    re >>= bits;
    im >>= bits;
    const uint32_t sum = (uint32_t)(re * re) + (uint32_t)(im * im);
    const int32_t left = 2 * bits - shift;
    if (left < 0)
        return sum >> -left;
    return (uint64_t)(sum >> 1 >> (31 - left)) << 32 | sum << left;
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
