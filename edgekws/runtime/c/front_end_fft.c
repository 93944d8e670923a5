/* Passes of a complex FFT in place, one transform a lane. */
#include "exact_floats.h"

#include <string.h>

#include "front_end.h"

#define L KWS_LANES
#define POINT (2 * L)

/* Multiply a point by a root of unity. */
static void turn(float *restrict point, const float *root)
{
    const float cosine = root[0], sine = root[1];
    for (int32_t l = 0; l < L; l++) {
        const float re = point[l], im = point[L + l];
        point[l] = re * cosine - im * sine;
        point[L + l] = re * sine + im * cosine;
    }
}

static void butterfly2(float *restrict a, float *restrict b)
{
    for (int32_t l = 0; l < POINT; l++) {
        const float sum = a[l] + b[l], difference = a[l] - b[l];
        a[l] = sum;
        b[l] = difference;
    }
}

static void butterfly4(float *restrict a, float *restrict b, float *restrict c, float *restrict d)
{
    for (int32_t l = 0; l < L; l++) {
        const float ac_re = a[l] + c[l], ac_im = a[L + l] + c[L + l];
        const float ca_re = a[l] - c[l], ca_im = a[L + l] - c[L + l];
        const float bd_re = b[l] + d[l], bd_im = b[L + l] + d[L + l];
        const float db_re = b[l] - d[l], db_im = b[L + l] - d[L + l];
        a[l] = ac_re + bd_re;
        a[L + l] = ac_im + bd_im;
        b[l] = ca_re + db_im;
        b[L + l] = ca_im - db_re;
        c[l] = ac_re - bd_re;
        c[L + l] = ac_im - bd_im;
        d[l] = ca_re - db_im;
        d[L + l] = ca_im + db_re;
    }
}

/* `butterfly4` of b, c, d times a root of unity each. */
static void turned_butterfly4(float *restrict a, float *restrict b, float *restrict c,
                              float *restrict d, const float *root_b, const float *root_c,
                              const float *root_d)
{
    const float b_cos = root_b[0], b_sin = root_b[1];
    const float c_cos = root_c[0], c_sin = root_c[1];
    const float d_cos = root_d[0], d_sin = root_d[1];
    for (int32_t l = 0; l < L; l++) {
        const float b_re = b[l] * b_cos - b[L + l] * b_sin;
        const float b_im = b[l] * b_sin + b[L + l] * b_cos;
        const float c_re = c[l] * c_cos - c[L + l] * c_sin;
        const float c_im = c[l] * c_sin + c[L + l] * c_cos;
        const float d_re = d[l] * d_cos - d[L + l] * d_sin;
        const float d_im = d[l] * d_sin + d[L + l] * d_cos;
        const float ac_re = a[l] + c_re, ac_im = a[L + l] + c_im;
        const float ca_re = a[l] - c_re, ca_im = a[L + l] - c_im;
        const float bd_re = b_re + d_re, bd_im = b_im + d_im;
        const float db_re = b_re - d_re, db_im = b_im - d_im;
        a[l] = ac_re + bd_re;
        a[L + l] = ac_im + bd_im;
        b[l] = ca_re + db_im;
        b[L + l] = ca_im - db_re;
        c[l] = ac_re - bd_re;
        c[L + l] = ac_im - bd_im;
        d[l] = ca_re - db_im;
        d[L + l] = ca_im + db_re;
    }
}

void kws_fft_radix2(float *points, int32_t n_points, int32_t length, const float *roots,
                    int32_t stride)
{
    for (int32_t start = 0; start < n_points; start += 2 * length) {
        for (int32_t j = 0; j < length; j++) {
            float *a = points + (start + j) * POINT, *b = a + length * POINT;
            if (j > 0)
                turn(b, roots + 2 * j * stride);
            butterfly2(a, b);
        }
    }
}

void kws_fft_radix4(float *points, int32_t n_points, int32_t length, const float *roots,
                    int32_t stride)
{
    const int32_t step = length * POINT;
    for (int32_t start = 0; start < n_points; start += 4 * length) {
        float *a = points + start * POINT;
        butterfly4(a, a + step, a + 2 * step, a + 3 * step);
        for (int32_t j = 1; j < length; j++) {
            const float *root = roots + 2 * j * stride;
            a += POINT;
            turned_butterfly4(a, a + step, a + 2 * step, a + 3 * step, root, root + 2 * j * stride,
                              root + 4 * j * stride);
        }
    }
}

/* Add a point times a root of unity. */
static void add_turned(float *restrict sum, const float *restrict point, const float *root)
{
    const float cosine = root[0], sine = root[1];
    for (int32_t l = 0; l < L; l++) {
        sum[l] += point[l] * cosine - point[L + l] * sine;
        sum[L + l] += point[l] * sine + point[L + l] * cosine;
    }
}

void kws_fft_radix(float *points, int32_t n_points, int32_t length, int32_t radix,
                   const float *roots, int32_t stride, float *butterfly)
{
    const int32_t whole = stride * length * radix; /* a full turn */
    for (int32_t start = 0; start < n_points; start += radix * length) {
        for (int32_t j = 0; j < length; j++) {
            float *first = points + (start + j) * POINT;
            for (int32_t q = 0; q < radix; q++)
                memcpy(butterfly + q * POINT, first + q * length * POINT, POINT * sizeof(float));
            for (int32_t p = 0; p < radix; p++) {
                float *output = first + p * length * POINT;
                const int32_t angle = (j + p * length) * stride;
                memcpy(output, butterfly, POINT * sizeof(float));
                for (int32_t q = 1, turned = angle; q < radix; q++) {
                    add_turned(output, butterfly + q * POINT, roots + 2 * turned);
                    turned += angle;
                    turned -= turned >= whole ? whole : 0;
                }
            }
        }
    }
}
