/* SPDX-License-Identifier: Apache-2.0 */
/* One inference on fixed input, for a latency harness; see edgekws/runtime/latency.py. */
#include <stddef.h>
#include <stdint.h>

#if KWS_TIMES_FRONT_END
#include "kws_front_end.h"
#endif
#if KWS_TIMES_NETWORK
#include "kws_network.h"
#endif
#if KWS_TIMES_FRONT_END && KWS_TIMES_NETWORK
#define FRAMES KWS_FRAMES
#elif KWS_TIMES_FRONT_END
#define FRAMES KWS_WINDOW_FRAMES
#endif

typedef struct {
#if KWS_TIMES_NETWORK
    uint8_t network[KWS_NETWORK_MEMORY];
    kws_real logits[KWS_N_LABELS];
#elif KWS_TIMES_FRONT_END
    uint8_t features[FRAMES * KWS_MEL_BANDS];
#endif
#if KWS_TIMES_FRONT_END
    kws_front_end_scratch scratch;
    int16_t pcm[KWS_FRAME_SAMPLES + (FRAMES - 1) * KWS_FRAME_STEP];
#endif
} timing_state;

size_t kws_timing_bytes(void)
{
    return sizeof(timing_state);
}

/* Fill the input with noise. */
void kws_timing_begin(timing_state *state)
{
    uint32_t noise = 1;

#if KWS_TIMES_NETWORK
    uint8_t *features = kws_network_features(state->network);
    kws_network_reset(state->network);
    for (size_t i = 0; i < (size_t)KWS_FRAMES * KWS_N_MELS; i++) {
        noise = noise * 1664525u + 1013904223u;
        features[i] = (uint8_t)(noise >> 24);
    }
#endif
#if KWS_TIMES_FRONT_END
    kws_front_end_reset(&state->scratch);
    for (size_t i = 0; i < sizeof state->pcm / sizeof *state->pcm; i++) {
        noise = noise * 1664525u + 1013904223u;
        state->pcm[i] = (int16_t)((int32_t)(noise >> 18) - 8192);
    }
#endif
}

void kws_timing_run(timing_state *state)
{
#if KWS_TIMES_FRONT_END && KWS_TIMES_NETWORK
    kws_front_end(state->pcm, FRAMES, kws_network_features(state->network), &state->scratch);
#elif KWS_TIMES_FRONT_END
    kws_front_end(state->pcm, FRAMES, state->features, &state->scratch);
#endif
#if KWS_TIMES_NETWORK
    kws_network_run(state->network, state->logits);
#endif
}
