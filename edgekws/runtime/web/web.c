/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of kws.h for JavaScript: numbers in and out, arrays at places that functions
 * return. All memory is static.
 */
#include "kws.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define COLUMNS 4 /* keyword, start and end in seconds, score */
#define SHOWN_FRAMES (KWS_HOP_SAMPLES / KWS_FRAME_STEP)
#define MOST_EVENTS                                                                               \
    (KWS_EVENTS(KWS_HOP_SAMPLES) > KWS_FLUSH_EVENTS ? KWS_EVENTS(KWS_HOP_SAMPLES)                 \
                                                    : KWS_FLUSH_EVENTS)

static kws_state state;
static int16_t samples[KWS_WINDOW_SAMPLES > KWS_HOP_SAMPLES ? KWS_WINDOW_SAMPLES : KWS_HOP_SAMPLES];
static kws_event events[MOST_EVENTS];
static double rows[MOST_EVENTS * COLUMNS];
static float scores[KWS_KEYWORDS], logits[KWS_LABELS];
static uint8_t clip_features[KWS_WINDOW_FRAMES * KWS_MEL_BANDS];

static int32_t write_rows(int32_t n)
{
    const kws_timing *timing = &kws_detector_timing;

    for (int32_t i = 0; i < n; i++) {
        rows[i * COLUMNS] = events[i].keyword;
        rows[i * COLUMNS + 1] = kws_event_start_s(timing, &events[i]);
        rows[i * COLUMNS + 2] = kws_event_end_s(timing, &events[i]);
        rows[i * COLUMNS + 3] = kws_event_score(timing, &events[i]);
    }
    return n;
}

/* The smallest sum of posteriors whose score is at least `score`, as the generator rounds it. */
static int32_t sum_of(double score)
{
    const double full = (double)kws_detector_timing.span * KWS_UNIT, sum = score * full;
    const int32_t whole = sum <= 1.0 ? 1 : sum > full ? (int32_t)full + 1 : (int32_t)sum;
    return whole + (whole < sum && whole <= full);
}

EXPORT("start") void start(void)
{
    kws_init(&state);
}

EXPORT("reset") void reset(void)
{
    kws_reset(&state);
}

/* Take the first `n` samples, up to a hop; write the rows of events, and return how many. */
EXPORT("push") int32_t push(int32_t n)
{
    const int32_t count = write_rows(kws_push(&state, samples, n, events));

    for (int32_t keyword = 0; keyword < KWS_KEYWORDS; keyword++) {
        scores[keyword] = (float)state.detector.tracks[keyword].sum /
                          (float)(kws_detector_timing.span * KWS_UNIT);
    }
    return count;
}

EXPORT("flush") int32_t flush(void)
{
    return write_rows(kws_flush(&state, events));
}

EXPORT("set_threshold") void set_threshold(int32_t keyword, double score)
{
    kws_detector_thresholds[keyword] = sum_of(score);
}

/* Compute the quantized features and the logits of one window of samples. The stream is reset. */
EXPORT("classify") void classify(void)
{
#if KWS_RUN_IN
    kws_front_end_run_in(samples, &state.scratch);
#else
    kws_front_end_reset(&state.scratch);
#endif
    kws_front_end(samples, KWS_WINDOW_FRAMES, clip_features, &state.scratch);
    kws_logits(&state, samples, logits);
    kws_reset(&state);
}

/* The network alone, for a proof: frames are set at network_features. */
EXPORT("network_reset") void network_reset(void)
{
    kws_network_reset(state.network);
}

EXPORT("network_run") void network_run(void)
{
    kws_network_run(state.network, logits);
}

EXPORT("network_features") uint8_t *network_features(void)
{
    return kws_network_features(state.network);
}

/* The frames of the last hop. */
EXPORT("hop_features") uint8_t *hop_features(void)
{
    return network_features() + (KWS_FRAMES - SHOWN_FRAMES) * KWS_MEL_BANDS;
}

EXPORT("clip_features") uint8_t *clip_features_place(void)
{
    return clip_features;
}

EXPORT("samples") int16_t *samples_place(void)
{
    return samples;
}

EXPORT("rows") double *rows_place(void)
{
    return rows;
}

EXPORT("scores") float *scores_place(void)
{
    return scores;
}

EXPORT("logits") float *logits_place(void)
{
    return logits;
}
