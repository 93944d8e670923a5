/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of kws.h for a caller without C types: events are rows of numbers. */
#include <stddef.h>

#include "kws.h"

#define COLUMNS 4 /* keyword, start and end in seconds, score */

static int32_t write_rows(const kws_event *events, int32_t n, double *rows)
{
    for (int32_t i = 0; i < n; i++) {
        rows[i * COLUMNS] = events[i].keyword;
        rows[i * COLUMNS + 1] = kws_event_start_s(&kws_detector_timing, &events[i]);
        rows[i * COLUMNS + 2] = kws_event_end_s(&kws_detector_timing, &events[i]);
        rows[i * COLUMNS + 3] = kws_event_score(&kws_detector_timing, &events[i]);
    }
    return n;
}

/* Bytes of a state. */
size_t kws_library_bytes(void)
{
    return sizeof(kws_state);
}

/* Rows that up to a hop of samples, or a flush, can give. */
int32_t kws_library_rows(void)
{
    return KWS_EVENTS(KWS_HOP_SAMPLES) > KWS_FLUSH_EVENTS ? KWS_EVENTS(KWS_HOP_SAMPLES)
                                                          : KWS_FLUSH_EVENTS;
}

int32_t kws_library_hop(void)
{
    return KWS_HOP_SAMPLES;
}

/* Take up to a hop of samples. */
int32_t kws_library_push(kws_state *state, const int16_t *pcm, int32_t n, double *rows)
{
    kws_event events[KWS_EVENTS(KWS_HOP_SAMPLES)];
    return write_rows(events, kws_push(state, pcm, n, events), rows);
}

int32_t kws_library_flush(kws_state *state, double *rows)
{
    kws_event events[KWS_FLUSH_EVENTS];
    return write_rows(events, kws_flush(state, events), rows);
}
