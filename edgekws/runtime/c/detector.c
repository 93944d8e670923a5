/* Posteriors → runs above a threshold: smoothing, one event a run, refractory time. */
#include "detector.h"

#include <string.h>

void kws_tracks_reset(const kws_detector_settings *settings, kws_clock *clock, kws_track *tracks,
                      int32_t *counts)
{
    const int32_t keywords = settings->keywords;
    clock->decisions = 0;
    clock->to_next = settings->first;
    clock->oldest = 0;
    memset(counts, 0, (size_t)KWS_COUNTS_SIZE(settings->span, keywords) * sizeof *counts);
    for (int32_t k = 0; k < keywords; k++) {
        const uint8_t off = tracks[k].off;
        memset(&tracks[k], 0, sizeof tracks[k]);
        tracks[k].off = off;
    }
}

int32_t kws_clock_hop(const kws_detector_settings *settings, kws_clock *clock)
{
    if (clock->to_next > 0) {
        clock->to_next--;
        return 0;
    }
    clock->to_next = settings->every - 1;
    return 1;
}

void kws_track_switch(kws_track *track, int32_t on)
{
    track->off = !on;
    if (!on)
        track->above = 0;
}

static void report(kws_track *track, int64_t decision, int32_t refractory, kws_event *event)
{
    track->reported = 1;
    track->free = decision + refractory;
    event->peak = track->peak;
    event->decision = decision;
    event->start = track->start;
    event->weight = track->weight;
    event->moment = track->moment;
    event->end = INT64_MAX;
}

static void begin_run(kws_track *track, int64_t decision)
{
    track->above = 1;
    track->reported = decision < track->free;
    track->start = decision;
    track->weight = 0;
    track->moment = 0;
    track->peak = 0;
}

static void add_to_run(kws_track *track, int64_t decision, int32_t threshold)
{
    const int64_t weight = (int64_t)track->sum - threshold + 1;
    track->weight += weight;
    track->moment += weight * (decision - track->start);
    if (track->sum > track->peak)
        track->peak = track->sum;
}

/* Follow a keyword through one decision; return whether it made an event. */
static int32_t follow(kws_track *track, int64_t decision, int32_t threshold,
                      const kws_detector_settings *settings, kws_event *event)
{
    if (track->sum < threshold) {
        const int32_t ends = track->above && !track->reported;
        track->above = 0;
        if (ends)
            report(track, decision, settings->refractory, event);
        return ends;
    }
    if (!track->above)
        begin_run(track, decision);
    if (track->reported)
        return 0;
    add_to_run(track, decision, threshold);
    if (decision - track->start + 1 < settings->longest)
        return 0;
    report(track, decision, settings->refractory, event);
    return 1;
}

int32_t kws_tracks_decide(const kws_detector_settings *settings, kws_clock *clock,
                          kws_track *tracks, int32_t *counts, const int32_t *posteriors,
                          kws_event *events)
{
    int32_t *oldest = counts + clock->oldest * settings->keywords;
    int32_t n = 0;
    for (int32_t k = 0; k < settings->keywords; k++) {
        const int32_t posterior = posteriors[settings->columns[k]];
        tracks[k].sum += posterior - oldest[k];
        oldest[k] = posterior;
        if (tracks[k].off)
            continue;
        events[n].keyword = k;
        n += follow(&tracks[k], clock->decisions, settings->thresholds[k], settings, &events[n]);
    }
    clock->oldest = (clock->oldest + 1) % settings->span;
    clock->decisions++;
    return n;
}

int32_t kws_tracks_flush(const kws_detector_settings *settings, kws_clock *clock,
                         kws_track *tracks, int32_t *counts, int64_t samples, kws_event *events)
{
    int32_t n = 0;
    for (int32_t k = 0; k < settings->keywords; k++) {
        if (!tracks[k].above || tracks[k].reported)
            continue;
        report(&tracks[k], clock->decisions, settings->refractory, &events[n]);
        events[n].keyword = k;
        events[n].end = samples;
        n++;
    }
    kws_tracks_reset(settings, clock, tracks, counts);
    return n;
}
