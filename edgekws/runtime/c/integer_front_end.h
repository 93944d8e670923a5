/* The log-mel front end in integers, for CPUs without floating point: 32-bit data, 17-bit roots.
 *
 * The steps are those of front_end.h, one frame at a time. A pass of the FFT divides by its radix,
 * so that no sum leaves 32 bits: points of a full-scale signal stay below 2^30.5. Right shifts of
 * negative numbers round down, as on every compiler that is known.
 */
#ifndef KWS_INTEGER_FRONT_END_H
#define KWS_INTEGER_FRONT_END_H

#include <stdint.h>

/* A point of the FFT (real and imaginary part), later the power of a bin. */
typedef union {
    int32_t part[2];
    uint64_t power;
} kws_integer_point;

/* Points of a buffer: one more than the transform has, for the power at half the sample rate. */
#define KWS_INTEGER_POINTS_SIZE(n_points) ((n_points) + 1)

/* Return by how many bits, up to `most`, the samples of a frame may be shifted within 16 bits. */
int32_t kws_integer_gain(const int16_t *pcm, int32_t n_fft, int32_t most);

/* Window the samples of a frame and store them as points, shifted by `gain`: sample pair i at
 * `places[i]` (n_fft even), or sample i (n_fft odd). `window` has 16 bits behind the point. */
void kws_integer_window_even(const int16_t *pcm, int32_t gain, const uint16_t *window,
                             const uint16_t *places, int32_t n_fft, kws_integer_point *points);
void kws_integer_window_odd(const int16_t *pcm, int32_t gain, const uint16_t *window,
                            const uint16_t *places, int32_t n_fft, kws_integer_point *points);

/* Combine transforms of `length` points into those of radix * length, divided by the radix.
 *
 * `roots` holds (cos, -sin) of 2 pi k / n_fft with 16 bits behind the point; the root of the longer
 * transform is at `stride`. */
void kws_integer_radix2(kws_integer_point *points, int32_t n_points, int32_t length,
                        const int32_t *roots, int32_t stride);
void kws_integer_radix4(kws_integer_point *points, int32_t n_points, int32_t length,
                        const int32_t *roots, int32_t stride);

/* Any radix, in O(radix^2); `butterfly` holds `radix` points. */
void kws_integer_radix(kws_integer_point *points, int32_t n_points, int32_t length, int32_t radix,
                       const int32_t *roots, int32_t stride, kws_integer_point *butterfly);

/* Replace the points by the power of bins 0 … n_fft / 2, times 2^(58 - shift) / n_points^2. */
void kws_integer_power_even(kws_integer_point *points, int32_t n_points, const int32_t *roots,
                            int32_t shift);
void kws_integer_power_odd(kws_integer_point *points, int32_t n_points, int32_t shift);

/* Apply the mel filters as kws_mel does, add `floor`, and write the logarithms to base 2 with 16
 * bits behind the point; those of a frame without the gain it was given. Weights are at most 2^12. */
void kws_integer_log_mel(const kws_integer_point *points, const uint16_t *bins,
                         const uint16_t *weights, int32_t n_mels, uint64_t floor,
                         int32_t gain, int32_t *logs);

/* Subtract from the logarithms of a frame the running mean of each band over the frames that sound
 * so far: those with a logarithm above `silent`.
 *
 * A frame weighs `decay`, with 32 bits behind the point, of the next. `weight`, the sum of the
 * weights so far with 16 bits behind the point, and `means`, with 24, belong to a stream, which
 * begins with zeros. */
void kws_integer_subtract_running_mean(int32_t *logs, int32_t n_mels, int32_t silent,
                                       uint32_t decay, uint32_t *weight, int32_t *means);

/* Normalise and quantize: (logs * scale / 2^16 + shift) / 2^16, rounded to the nearest and
 * saturated to low … high (0 … 255, or -128 … 127 in two's complement). */
void kws_integer_features(const int32_t *logs, const int32_t *scale, const int32_t *shift,
                          int32_t n_mels, int32_t low, int32_t high, uint8_t *features);

#endif
