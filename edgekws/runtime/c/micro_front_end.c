/* Window, channels, noise, gain and logarithm of the micro front end. */
#include "micro_front_end.h"

#include <string.h>

#define NOISE_BITS 10
#define SHARE_BITS 14
#define LEAST_SIGNAL 819 /* 0.05, with SHARE_BITS */
#define LOG_2 45426      /* with 16 bits behind the point */

/* The number of bits of x. */
static int32_t bits(uint32_t x)
{
    int32_t count = 0;

    for (int32_t step = 16; step > 0; step /= 2) {
        if (x >> step) {
            x >>= step;
            count += step;
        }
    }
    return count + (x > 0);
}

int32_t kws_micro_window(const int16_t *pcm, const int16_t *window, kws_micro_point *points)
{
    int32_t peak = 0;

    for (int32_t i = 0; i < KWS_MICRO_FRAME; i++) {
        const int32_t shaped = pcm[i] * window[i] >> 12;
        const int16_t magnitude = (int16_t)(shaped < 0 ? -shaped : shaped); /* -32768 wraps */
        if (magnitude > peak || magnitude < 0)
            peak = magnitude < 0 ? 0 : magnitude;
    }
    const int32_t shift = 15 - bits((uint32_t)peak);
    for (int32_t i = 0; i < KWS_MICRO_HALF; i++) {
        const int32_t place = (i & 3) << 6 | (i & 12) << 2 | (i & 48) >> 2 | i >> 6;
        kws_micro_point *point = &points[place];
        if (2 * i < KWS_MICRO_FRAME) {
            point->re = (int16_t)((pcm[2 * i] * window[2 * i] >> 12) * (1 << shift));
            point->im = (int16_t)((pcm[2 * i + 1] * window[2 * i + 1] >> 12) * (1 << shift));
        } else {
            point->re = point->im = 0;
        }
    }
    return shift;
}

/* The square root, rounded; one that needs 16 bits is not rounded up to need 17. */
static uint32_t square_root(uint64_t x)
{
    uint64_t rest = x, root = 0;
    uint64_t place = (uint64_t)1 << 62;

    while (place > rest)
        place >>= 2;
    for (; place > 0; place >>= 2) {
        if (rest >= root + place) {
            rest -= root + place;
            root = (root >> 1) + place;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root + (rest > root && root != 0xffff);
}

static void filter(const kws_micro_tables *tables, const uint32_t *energy, int32_t shift,
                   uint32_t *channels)
{
    const int16_t *weight = tables->weights;

    for (int32_t channel = 0; channel < KWS_MICRO_CHANNELS; channel++) {
        const uint32_t *bin = energy + tables->bins[2 * channel];
        uint64_t total = 0;
        for (int32_t left = tables->bins[2 * channel + 1]; left > 0; left--)
            total += *bin++ * (uint64_t)*weight++;
        channels[channel] = square_root(total) >> shift;
    }
}

/* Follow the noise in the channels, and take it from them. */
static void reduce(const uint16_t *shares, uint32_t *channels, uint32_t *noise)
{
    for (int32_t i = 0; i < KWS_MICRO_CHANNELS; i++) {
        const uint32_t share = shares[i % 2], scaled = channels[i] << NOISE_BITS;
        const uint64_t estimate =
            (uint64_t)scaled * share + (uint64_t)noise[i] * ((1u << SHARE_BITS) - share);
        noise[i] = (uint32_t)(estimate >> SHARE_BITS);
        const uint32_t left = (scaled - (noise[i] < scaled ? noise[i] : scaled)) >> NOISE_BITS;
        const uint32_t least = (uint32_t)((uint64_t)channels[i] * LEAST_SIGNAL >> SHARE_BITS);
        channels[i] = left > least ? left : least;
    }
}

void kws_micro_channels(const kws_micro_tables *tables, const int16_t *pcm,
                        kws_micro_scratch *scratch)
{
    const int32_t shift = kws_micro_window(pcm, tables->window, scratch->points);

    kws_micro_fft(scratch->points, tables->roots);
    kws_micro_energy(scratch->points, tables->half_roots, scratch->frame.energy);
    filter(tables, scratch->frame.energy, shift, scratch->channels);
    reduce(tables->shares, scratch->channels, scratch->noise);
}

/* The gain at an estimate of the noise, by a parabola for each number of bits. */
static uint32_t gain(const int32_t *gains, uint32_t noise)
{
    if (noise <= 2)
        return (uint32_t)gains[noise];
    const int32_t count = bits(noise);
    const int32_t *row = gains + 3 + 3 * (count - 2);
    const uint32_t shifted = count < 11 ? noise << (11 - count) : noise >> (count - 11);
    const int32_t place = (int32_t)(shifted & 0x3ff);
    const int64_t rise = (int64_t)((row[2] * place >> 5) + row[1] * 32) * place;
    return (uint32_t)(row[0] + (int32_t)((rise + (1 << 14)) >> 15));
}

/* The natural logarithm of eight times a value, with 6 bits behind the point. */
static uint16_t logarithm(const uint16_t *logs, uint32_t value)
{
    const uint32_t raised = value > 0 ? value << 3 : 1;
    const int32_t whole = bits(raised) - 1;
    const uint32_t rest = raised - (1u << whole);
    const uint32_t fraction = whole < 16 ? rest << (16 - whole) : rest >> (whole - 16);
    const uint32_t segment = fraction >> 9;
    const int32_t start = logs[segment], step = logs[segment + 1] - start;
    const int32_t inside = (int32_t)(fraction & 0x1ff);
    const uint32_t log2 =
        ((uint32_t)whole << 16) + fraction + (uint32_t)(start + (step * inside >> 16));
    const uint32_t natural = (uint32_t)(((uint64_t)LOG_2 * log2 + (1 << 15)) >> 16);
    return (uint16_t)(((natural << 6) + (1 << 15)) >> 16);
}

uint16_t kws_micro_feature(const kws_micro_tables *tables, uint32_t channel, uint32_t noise)
{
    const uint32_t ratio = (uint32_t)((uint64_t)channel * gain(tables->gains, noise) >> 6);

    return logarithm(tables->logs, ratio < 1 << 13 ? ratio * ratio >> 20 : (ratio >> 6) - 64);
}

void kws_micro_run_in(const kws_micro_tables *tables, const int16_t *clip, int32_t samples,
                      kws_micro_scratch *scratch)
{
    const int32_t step = KWS_MICRO_FRAME / 3, begin = KWS_MICRO_RUN_IN * step;

    memset(scratch->noise, 0, sizeof scratch->noise);
    for (int32_t first = 0; first < begin; first += step) {
        for (int32_t i = 0; i < KWS_MICRO_FRAME; i++) {
            const int32_t to_clip = begin - first - i; /* from 1: there, and back again */
            const int32_t place = to_clip > 0 ? (to_clip - 1) % (2 * samples) : -to_clip;
            scratch->frame.samples[i] = clip[place < samples ? place : 2 * samples - 1 - place];
        }
        kws_micro_channels(tables, scratch->frame.samples, scratch);
    }
}
