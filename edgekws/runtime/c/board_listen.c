/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples in, events out, on a board: the program that flash and RAM are taken from.
 *
 * The input is 16-bit samples; for every KWS_FRAME_STEP of them the output has the ticks that they
 * took and the number of events, then the events; at the end the deepest stack in bytes.
 */
#include "board.h"
#include "kws.h"

static kws_state state;
static kws_event events[KWS_EVENTS(KWS_FRAME_STEP)];
static int16_t pcm[KWS_FRAME_STEP];

int main(void)
{
    uint32_t row[2];

    board_mark_stack();
    kws_init(&state);
    while (board_read(pcm, sizeof pcm)) {
        const uint32_t begin = board_ticks();
        row[1] = (uint32_t)kws_push(&state, pcm, KWS_FRAME_STEP, events);
        row[0] = board_ticks_since(begin);
        board_write(row, sizeof row);
        board_write(events, row[1] * sizeof *events);
    }
    row[0] = board_stack_used();
    board_write(row, sizeof *row);
    return 0;
}
