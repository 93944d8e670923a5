/* The log-mel front end: 16-bit samples → normalised features of frames, in kernels.
 *
 * Frame t starts at sample t * hop. Frames are computed KWS_LANES at a time, one in each lane of a
 * vector register. A lane's arithmetic does not depend on the others, nor on their number: every
 * build gives the same bits, and a stream gives those of a window.
 *
 * The real FFT of `n_fft` samples is a complex one of half as many points (n_fft even), or of as
 * many (n_fft odd). A point is two rows of lanes: KWS_LANES real parts, then KWS_LANES imaginary
 * parts. The transform is done in place by passes of radix 4, 2 or any other (Cooley and Tukey,
 * 1965), of points that were stored in digit-reversed order.
 */
#ifndef KWS_FRONT_END_H
#define KWS_FRONT_END_H

#include <stdint.h>

/* Frames computed at once: one where there are no vector registers. More than fit into one register
 * spread the cost of what is done once for all lanes. */
#ifndef KWS_LANES
#if defined(__AVX__)
#define KWS_LANES 16
#elif defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__)
#define KWS_LANES 4
#else
#define KWS_LANES 1
#endif
#endif

/* Elements of the buffers that the kernels work in; the caller owns them. `points` has one row more
 * than the transform, for the power at half the sample rate. */
#if KWS_LANES == 1
#define KWS_COLUMNS_SIZE(n_fft, hop) 1
#else
#define KWS_COLUMNS_SIZE(n_fft, hop) ((hop) * KWS_COLUMNS(n_fft, hop))
#endif
#define KWS_COLUMNS(n_fft, hop) (KWS_LANES - 1 + ((n_fft) + (hop) - 1) / (hop))
#define KWS_POINTS_SIZE(n_points) (((n_points) + 1) * 2 * KWS_LANES)
#define KWS_BUTTERFLY_SIZE(radix) ((radix) * 2 * KWS_LANES)
#define KWS_MELS_SIZE(n_mels) ((n_mels) * KWS_LANES)

/* Transpose the samples of up to KWS_LANES frames: `columns[j][c]` is sample c * hop + j.
 *
 * Reads n_fft + (frames - 1) * hop samples. Returns where the samples are to be read from: with one
 * lane that is `pcm` itself. */
const int16_t *kws_columns(const int16_t *pcm, int32_t frames, int32_t n_fft, int32_t hop,
                           int16_t *columns);

/* Window the samples and store them as points, sample pair i at `places[i]` (n_fft even). */
void kws_window_even(const int16_t *columns, const float *window, const uint16_t *places,
                     int32_t n_fft, int32_t hop, float *points);

/* The same for an odd n_fft: sample i is the real part at `places[i]`. */
void kws_window_odd(const int16_t *columns, const float *window, const uint16_t *places,
                    int32_t n_fft, int32_t hop, float *points);

/* Combine transforms of `length` points into those of radix * length, all over `n_points`.
 *
 * `roots` holds (cos, -sin) of 2 pi k / n_fft; the root of the longer transform is at `stride`. */
void kws_fft_radix2(float *points, int32_t n_points, int32_t length, const float *roots,
                    int32_t stride);
void kws_fft_radix4(float *points, int32_t n_points, int32_t length, const float *roots,
                    int32_t stride);

/* Any radix, in O(radix^2); `butterfly` is a buffer of KWS_BUTTERFLY_SIZE(radix). */
void kws_fft_radix(float *points, int32_t n_points, int32_t length, int32_t radix,
                   const float *roots, int32_t stride, float *butterfly);

/* Replace the points by four times the power of bins 0 … n_fft / 2, in the real rows. */
void kws_power_even(float *points, int32_t n_points, const float *roots);
void kws_power_odd(float *points, int32_t n_points);

/* Apply triangular filters: `bins` holds the first bin and the number of bins of each, `weights`
 * theirs one after the other. Sums run from low to high frequency. */
void kws_mel(const float *points, const uint16_t *bins, const float *weights, int32_t n_mels,
             float *mels);

/* Replace each mel by log(mel + 1e-6) * scale + shift of its band.
 *
 * The logarithm is off by less than 1.5e-6 anywhere. */
void kws_log_normalise(float *mels, const float *scale, const float *shift, int32_t n_mels);

/* Write which lanes hold a frame that is not digital silence: a mel is above 1e-10. */
void kws_sounding(const float *mels, int32_t n_mels, int32_t *sounding);

/* Subtract from the normalised logarithms of the first `frames` lanes the running mean of each band
 * over the frames that sound so far, and add `shift`.
 *
 * A frame weighs `decay` of the next. `weight`, the sum of the weights so far, and `means` belong to
 * a stream, which begins with zeros. */
void kws_subtract_running_mean(float *rows, int32_t frames, int32_t n_mels,
                               const int32_t *sounding, float decay, const float *shift,
                               float *weight, float *means);

/* Parameters of PCEN; `silence` is bias^root. */
typedef struct {
    float decay, gain, bias, root, epsilon, silence;
} kws_pcen_settings;

/* Replace the mels of the first `frames` lanes by ((mel / (epsilon + mean)^gain + bias)^root -
 * silence) * scale + shift of their band, with running means as above. */
void kws_pcen(float *mels, int32_t frames, int32_t n_mels, const int32_t *sounding,
              const kws_pcen_settings *pcen, const float *scale, const float *shift,
              float *weight, float *means);

/* Write the features of the first `frames` lanes, `(frames, n_mels)`. */
void kws_features(const float *mels, int32_t frames, int32_t n_mels, float *features);

/* Write them quantized, as QuantizeLinear does: features / scale, rounded half to even, plus
 * `zero_point`, saturated to low … high (0 … 255, or -128 … 127 in two's complement). */
void kws_quantize_features(const float *mels, int32_t frames, int32_t n_mels, float scale,
                           int32_t zero_point, int32_t low, int32_t high, uint8_t *features);

#endif
