/* Samples of a stream → hops. */
#ifndef KWS_FRONT_END_HOP_H
#define KWS_FRONT_END_HOP_H

#include <stdint.h>

/* Samples of a stream, kept until those of a hop are complete. */
typedef struct {
    int32_t filled;
} kws_hop;

/* Take samples until `samples` holds `size` of them; return how many were taken. */
int32_t kws_hop_take(kws_hop *hop, int16_t *samples, int32_t size, const int16_t *pcm, int32_t n);

/* Drop the first `step` samples: those that the next hop does not need. */
void kws_hop_advance(kws_hop *hop, int16_t *samples, int32_t step);

#endif
