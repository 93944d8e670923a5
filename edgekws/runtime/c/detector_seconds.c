/* Times of an event in seconds: the only floating point of the detector. */
#include "exact_floats.h"

#include "detector.h"

static double not_negative(double value)
{
    return value > 0.0 ? value : 0.0;
}

static double unbounded_end_s(const kws_timing *timing, const kws_event *event)
{
    /* An average over the span stands for its middle. */
    const double run = (double)event->start + (double)event->moment / (double)event->weight;
    const double centre = run - (timing->span - 1) / 2.0;
    const double hop = timing->first + centre * timing->every;
    const double end = hop * timing->hop_samples + timing->frames_end - timing->silence;
    return not_negative(end / timing->sample_rate - timing->offsets_s[event->keyword]);
}

double kws_event_start_s(const kws_timing *timing, const kws_event *event)
{
    return not_negative(unbounded_end_s(timing, event) - timing->lengths_s[event->keyword]);
}

double kws_event_end_s(const kws_timing *timing, const kws_event *event)
{
    const double end_s = unbounded_end_s(timing, event);
    const double last_s = (double)event->end / timing->sample_rate;
    return end_s < last_s ? end_s : last_s;
}

double kws_event_score(const kws_timing *timing, const kws_event *event)
{
    return event->peak / ((double)timing->span * KWS_UNIT);
}
