/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Front end and network on a board, one call at a time, with the ticks of each.
 *
 * Each request is a word: FRONT_END and the samples of a window give ticks and quantized features;
 * NETWORK and the features of a run give ticks and logits; RESET begins a stream and gives nothing;
 * LOOP and a count give the ticks of so many turns of a loop of two instructions.
 */
#include "board.h"
#include "kws_front_end.h"
#include "kws_network.h"

enum { FRONT_END, NETWORK, RESET, LOOP };

static kws_front_end_scratch scratch;
static int16_t pcm[KWS_WINDOW_SAMPLES];
static uint8_t features[KWS_WINDOW_FRAMES * KWS_MEL_BANDS];
static uint8_t memory[KWS_NETWORK_MEMORY];

static void run_front_end(void)
{
    board_read(pcm, sizeof pcm);
#if KWS_RUN_IN
    kws_front_end_run_in(pcm, &scratch);
#else
    kws_front_end_reset(&scratch);
#endif
    const uint32_t begin = board_ticks();
    kws_front_end(pcm, KWS_WINDOW_FRAMES, features, &scratch);
    const uint32_t ticks = board_ticks_since(begin);
    board_write(&ticks, sizeof ticks);
    board_write(features, sizeof features);
}

static void run_network(void)
{
    kws_real logits[KWS_N_LABELS];
    board_read(kws_network_features(memory), (size_t)KWS_FRAMES * KWS_N_MELS);
    const uint32_t begin = board_ticks();
    kws_network_run(memory, logits);
    const uint32_t ticks = board_ticks_since(begin);
    board_write(&ticks, sizeof ticks);
    board_write(logits, sizeof logits);
}

static void run_loop(void)
{
    uint32_t turns;
    board_read(&turns, sizeof turns);
    const uint32_t begin = board_ticks();
    __asm__ volatile(".syntax unified\n1: subs %0, #1\n\tbne 1b" : "+l"(turns) : : "cc");
    const uint32_t ticks = board_ticks_since(begin);
    board_write(&ticks, sizeof ticks);
}

int main(void)
{
    uint32_t request;

    kws_network_reset(memory);
    while (board_read(&request, sizeof request)) {
        if (request == FRONT_END) {
            run_front_end();
        } else if (request == NETWORK) {
            run_network();
        } else if (request == RESET) {
            kws_network_reset(memory);
        } else {
            run_loop();
        }
    }
    return 0;
}
