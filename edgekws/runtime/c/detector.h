/* Keywords in a stream: logits → posteriors → runs above a threshold → events.
 *
 * The posterior of a keyword is averaged over the last `span` decisions. A run begins where the
 * average reaches the keyword's threshold. It is reported when it falls below, or has lasted for
 * `longest` decisions. A run that begins less than `refractory` decisions after the last report of
 * its keyword is left out. All is counted in integers: no floating point but in detector_seconds.c.
 */
#ifndef KWS_DETECTOR_H
#define KWS_DETECTOR_H

#include "kws_real.h"

/* Posteriors are counted in units of 1 / KWS_UNIT. */
#define KWS_UNIT 65536

/* What does not change while a detector runs. */
typedef struct {
    int32_t labels;            /* logits of a decision */
    int32_t keywords;          /* labels that make events */
    const uint16_t *columns;   /* the label of each keyword */
    const int32_t *thresholds; /* of each keyword, for the sum of `span` posteriors */
    int32_t span;              /* decisions that are averaged */
    int32_t refractory;        /* decisions after a report in which no run may begin */
    int32_t longest;           /* decisions after which a run is reported */
    int32_t first;             /* hop of the first decision, counted from 0 */
    int32_t every;             /* hops between decisions */
} kws_detector_settings;

/* A keyword as it is followed. */
typedef struct {
    int64_t start;    /* decision at which its run began */
    int64_t weight;   /* sum of the heights above the threshold, and of their moments */
    int64_t moment;   /* about `start` */
    int64_t free;     /* first decision at which a run may begin that is reported */
    int32_t sum;      /* of the last `span` posteriors */
    int32_t peak;     /* highest sum of the run */
    uint8_t above;    /* a run is open */
    uint8_t reported; /* and needs no report any more */
    uint8_t off;      /* the keyword is switched off */
} kws_track;

/* Counters of a stream. */
typedef struct {
    int64_t decisions;
    int32_t to_next; /* hops before the next decision */
    int32_t oldest;  /* row of `counts` that the next posteriors replace */
} kws_clock;

/* A detected keyword. Its run has its centre at decision start + moment / weight. */
typedef struct {
    int32_t keyword;
    int32_t peak;     /* highest sum of `span` posteriors */
    int64_t decision; /* at which it was reported */
    int64_t start;
    int64_t weight;
    int64_t moment;
    int64_t end; /* samples of the stream if it has ended, otherwise INT64_MAX */
} kws_event;

/* Where decisions and events are in a stream, which half a window of silence precedes. */
typedef struct {
    int32_t sample_rate;
    int32_t hop_samples;
    int32_t frames_end; /* samples from the begin of a hop to the end of its frames */
    int32_t silence;    /* samples of silence before the stream */
    int32_t first;      /* hop of the first decision */
    int32_t every;      /* hops between decisions */
    int32_t span;       /* decisions that are averaged */
    /* Of each keyword: samples from its end to that of the window at its centre, and its length. */
    const int32_t *offsets;
    const int32_t *lengths;
    const double *offsets_s; /* both in seconds */
    const double *lengths_s;
} kws_timing;

/* Elements of the buffer of counts. */
#define KWS_COUNTS_SIZE(span, keywords) ((span) * (keywords))

/* Write the posterior (softmax) of each of up to 256 logits, in units of 1 / KWS_UNIT.
 *
 * Before rounding it is exact to n * 2^-38 of a unit: where a softmax in double precision rounds to
 * another count, it was that close to a tie itself. */
void kws_posteriors(const kws_real *logits, int32_t n, int32_t *posteriors);

/* Forget the stream; keywords stay switched as they are. */
void kws_tracks_reset(const kws_detector_settings *settings, kws_clock *clock, kws_track *tracks,
                      int32_t *counts);

/* Count a hop; return whether a decision falls on it. */
int32_t kws_clock_hop(const kws_detector_settings *settings, kws_clock *clock);

/* Take the posteriors (labels) of a decision; write up to one event a keyword, and return how
 * many. */
int32_t kws_tracks_decide(const kws_detector_settings *settings, kws_clock *clock,
                          kws_track *tracks, int32_t *counts, const int32_t *posteriors,
                          kws_event *events);

/* End a stream of `samples` samples: write the events of the runs that its end cuts off, return how
 * many, and forget the stream. */
int32_t kws_tracks_flush(const kws_detector_settings *settings, kws_clock *clock,
                         kws_track *tracks, int32_t *counts, int64_t samples, kws_event *events);

/* Switch a keyword on or off. One that is off makes no events, and its open run is dropped. */
void kws_track_switch(kws_track *track, int32_t on);

/* Estimate where the keyword began and ended: samples of the stream, rounded down. */
int64_t kws_event_start_sample(const kws_timing *timing, const kws_event *event);
int64_t kws_event_end_sample(const kws_timing *timing, const kws_event *event);

/* The same in seconds, and the highest smoothed posterior (detector_seconds.c). */
double kws_event_start_s(const kws_timing *timing, const kws_event *event);
double kws_event_end_s(const kws_timing *timing, const kws_event *event);
double kws_event_score(const kws_timing *timing, const kws_event *event);

#endif
