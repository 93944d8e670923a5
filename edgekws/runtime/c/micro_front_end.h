/* The micro front end of TensorFlow Lite Micro in integers, one frame of 480 samples at a time.
 *
 * The steps and their integers are those of runtime/micro_front_end.py and runtime/micro_fft.py.
 * Right shifts of negative numbers round down, as on every compiler that is known.
 */
#ifndef KWS_MICRO_FRONT_END_H
#define KWS_MICRO_FRONT_END_H

#include <stdint.h>

#define KWS_MICRO_FRAME 480
#define KWS_MICRO_HALF 256 /* points of the complex FFT */
#define KWS_MICRO_CHANNELS 40
#define KWS_MICRO_RUN_IN 100 /* frames before a lone clip */

/* A point of the FFT: real and imaginary part. */
typedef struct {
    int16_t re, im;
} kws_micro_point;

/* What a frame is computed in; only the noise is kept between frames. */
typedef struct {
    uint32_t noise[KWS_MICRO_CHANNELS];
    uint32_t channels[KWS_MICRO_CHANNELS];
    kws_micro_point points[KWS_MICRO_HALF];
    union {
        int16_t samples[KWS_MICRO_FRAME];
        uint32_t energy[KWS_MICRO_HALF];
    } frame;
} kws_micro_scratch;

/* The tables of the front end, with 12 bits behind the point of window and weights, 15 of roots. */
typedef struct {
    const int16_t *window;
    const kws_micro_point *roots;      /* (cos, sin) of -2 pi k / 256 */
    const kws_micro_point *half_roots; /* (cos, sin) of -pi (k / 256 + 0.5), k from 1 */
    const uint8_t *bins;               /* first bin and number of bins of each channel */
    const int16_t *weights;
    const uint16_t *shares; /* of a new frame in the noise: even and odd channels */
    const int32_t *gains;   /* 0, 1, 2; then value, slope and curve for each number of bits from 2 */
    const uint16_t *logs;
} kws_micro_tables;

/* Window a frame at full scale, and store its points for the FFT; return the shift. */
int32_t kws_micro_window(const int16_t *pcm, const int16_t *window, kws_micro_point *points);

/* Transform 256 points, over 256. */
void kws_micro_fft(kws_micro_point *points, const kws_micro_point *roots);

/* Compute the energies of bins 1 … 255 of the 512 real samples that the points were. */
void kws_micro_energy(const kws_micro_point *points, const kws_micro_point *half_roots,
                      uint32_t *energy);

/* Compute the magnitudes of the channels of a frame, and take the noise from them. */
void kws_micro_channels(const kws_micro_tables *tables, const int16_t *pcm,
                        kws_micro_scratch *scratch);

/* The feature of a channel: its logarithm, with the gain that belongs to its noise. */
uint16_t kws_micro_feature(const kws_micro_tables *tables, uint32_t channel, uint32_t noise);

/* Forget the noise, and estimate it from the frames before a lone clip: the clip backwards. */
void kws_micro_run_in(const kws_micro_tables *tables, const int16_t *clip, int32_t samples,
                      kws_micro_scratch *scratch);

#endif
