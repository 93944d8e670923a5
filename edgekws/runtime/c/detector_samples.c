/* Times of an event in samples, without floating point. */
#include "detector.h"

static int64_t floor_quotient(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t not_negative(int64_t value)
{
    return value > 0 ? value : 0;
}

static int64_t unbounded_end(const kws_timing *timing, const kws_event *event)
{
    /* An average over the span stands for its middle. */
    const int64_t step = (int64_t)timing->every * timing->hop_samples;
    const int64_t half_steps = 2 * event->moment - (timing->span - 1) * event->weight;
    const int64_t in_run = floor_quotient(half_steps * step, 2 * event->weight);
    const int64_t centre = event->start * step + in_run;
    const int64_t first = (int64_t)timing->first * timing->hop_samples;
    const int64_t end = first + centre + timing->frames_end - timing->silence;
    return not_negative(end - timing->offsets[event->keyword]);
}

int64_t kws_event_start_sample(const kws_timing *timing, const kws_event *event)
{
    return not_negative(unbounded_end(timing, event) - timing->lengths[event->keyword]);
}

int64_t kws_event_end_sample(const kws_timing *timing, const kws_event *event)
{
    const int64_t end = unbounded_end(timing, event);
    return end < event->end ? end : event->end;
}
