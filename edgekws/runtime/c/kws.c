/* SPDX-License-Identifier: Apache-2.0 */
/* Samples to keywords: front end, network and detector, one behind the other. See kws.h. */
#include "kws.h"

#include <string.h>

#define HOP_FRAMES (KWS_HOP_SAMPLES / KWS_FRAME_STEP)

#define SILENCE 32 /* samples at once: the array takes room in flash */

static const int16_t silence[SILENCE];

/* Compute the hop whose samples are complete; return the events of its decision, if it has one. */
static int32_t hop(kws_state *state, kws_event *events)
{
    uint8_t *features = kws_network_features(state->network);
    kws_real logits[KWS_LABELS];

#if KWS_STREAMING
    kws_front_end(state->samples, HOP_FRAMES, features, &state->scratch);
    kws_network_run(state->network, logits);
    if (!kws_detector_hop(&state->detector)) {
        return 0;
    }
#else
    kws_network_slide(state->network, HOP_FRAMES);
    kws_front_end(state->samples, HOP_FRAMES,
                  features + (KWS_FRAMES - HOP_FRAMES) * KWS_MEL_BANDS, &state->scratch);
    if (!kws_detector_hop(&state->detector)) {
        return 0;
    }
    kws_network_run(state->network, logits);
#endif
    return kws_detector_decide(&state->detector, logits, events);
}

static int32_t push(kws_state *state, const int16_t *pcm, int32_t n, kws_event *events)
{
    int32_t reported = 0;

    while (n > 0) {
        const int32_t taken =
            kws_hop_take(&state->hop, state->samples, KWS_HOP_SPAN, pcm, n);
        pcm += taken;
        n -= taken;
        if (state->hop.filled == KWS_HOP_SPAN) {
            reported += hop(state, events + reported);
            kws_hop_advance(&state->hop, state->samples, KWS_HOP_SAMPLES);
        }
    }
    return reported;
}

/* Push half a window of silence. */
static int32_t push_silence(kws_state *state, kws_event *events)
{
    int32_t reported = 0;

    for (int32_t left = KWS_WINDOW_SAMPLES / 2; left > 0; left -= SILENCE) {
        const int32_t n = left < SILENCE ? left : SILENCE;
        reported += push(state, silence, n, events + reported);
    }
    return reported;
}

void kws_init(kws_state *state)
{
    memset(state, 0, sizeof *state);
    kws_detector_init(&state->detector);
    kws_reset(state);
}

void kws_reset(kws_state *state)
{
    kws_event none[KWS_KEYWORDS];

    kws_front_end_reset(&state->scratch);
    kws_network_reset(state->network);
    kws_detector_reset(&state->detector);
    state->hop.filled = 0;
    state->fed = 0;
    push_silence(state, none); /* half a window has no decision */
}

int32_t kws_push(kws_state *state, const int16_t *pcm, int32_t n, kws_event *events)
{
    state->fed += n;
    return push(state, pcm, n, events);
}

int32_t kws_flush(kws_state *state, kws_event *events)
{
    int32_t reported = push_silence(state, events);

    for (int32_t i = 0; i < reported; i++) {
        events[i].end = state->fed; /* a keyword ends with the stream at the latest */
    }
    reported += kws_detector_flush(&state->detector, state->fed, events + reported);
    kws_reset(state);
    return reported;
}

void kws_switch(kws_state *state, int32_t keyword, int32_t on)
{
    kws_detector_switch(&state->detector, keyword, on);
}

#if KWS_STREAMING
void kws_logits(kws_state *state, const int16_t clip[KWS_WINDOW_SAMPLES],
                kws_real logits[KWS_LABELS])
{
    uint8_t *features = kws_network_features(state->network);

#if KWS_RUN_IN
    kws_front_end_run_in(clip, &state->scratch);
#else
    kws_front_end_reset(&state->scratch);
#endif
    kws_network_reset(state->network);
    /* the first hop may begin before the clip, so that the last one ends with it */
    for (int32_t end = 1 + (KWS_WINDOW_FRAMES - 1) % HOP_FRAMES; end <= KWS_WINDOW_FRAMES;
         end += HOP_FRAMES) {
        const int32_t missing = end < HOP_FRAMES ? HOP_FRAMES - end : 0;
        const int32_t first = end - HOP_FRAMES + missing;
        memset(features, KWS_FEATURE_ZERO, (size_t)missing * KWS_MEL_BANDS);
        kws_front_end(clip + first * KWS_FRAME_STEP, HOP_FRAMES - missing,
                      features + missing * KWS_MEL_BANDS, &state->scratch);
        kws_network_run(state->network, logits);
    }
}
#else
void kws_logits(kws_state *state, const int16_t clip[KWS_WINDOW_SAMPLES],
                kws_real logits[KWS_LABELS])
{
#if KWS_RUN_IN
    kws_front_end_run_in(clip, &state->scratch);
#else
    kws_front_end_reset(&state->scratch);
#endif
    kws_front_end(clip, KWS_FRAMES, kws_network_features(state->network), &state->scratch);
    kws_network_run(state->network, logits);
}
#endif

int32_t kws_classify(kws_state *state, const int16_t clip[KWS_WINDOW_SAMPLES],
                     kws_score scores[KWS_LABELS])
{
    kws_real logits[KWS_LABELS];
    int32_t posteriors[KWS_LABELS], best = 0;

    kws_logits(state, clip, logits);
    kws_posteriors(logits, KWS_LABELS, posteriors);
    for (int32_t label = 0; label < KWS_LABELS; label++) {
#if defined(KWS_INTEGER)
        scores[label] = posteriors[label];
#else
        scores[label] = (float)posteriors[label] / KWS_UNIT;
#endif
        best = kws_less(logits[best], logits[label]) ? label : best;
    }
    kws_reset(state);
    return best;
}
