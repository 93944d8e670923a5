"""What a user of the C includes: labels, settings, one state, and the functions of `kws.c`."""

import string
from collections.abc import Mapping, Sequence

from edgekws.codegen.ir import Network

_PLAIN = frozenset(f"{string.ascii_letters}{string.digits} _-.,+")


def spotter_header(
    origin: str, version: str, network: Network, labels: Sequence[str], settings: Mapping[str, str]
) -> str:
    """Return `kws.h`; `settings` are printed as a comment, one a line."""
    listed = "".join(f" *   {name}: {value}\n" for name, value in settings.items())
    named = "".join(f" *   {number}  {_comment(label)}\n" for number, label in enumerate(labels))
    return f"""{origin}
/*
 * Keywords in 16-bit samples, one channel, at KWS_SAMPLE_RATE.
 *
 *     static kws_state state;                  // all the memory there is
 *     static kws_event events[KWS_EVENTS(160)];
 *
 *     kws_init(&state);
 *     for (;;) {{
 *         int32_t n = kws_push(&state, samples, 160, events);   // pieces of any length
 *         for (int32_t i = 0; i < n; i++)
 *             react_to(kws_keywords[events[i].keyword]);
 *     }}
 *
 * Labels:
{named} *
 * Detection, as calibrated:
{listed} */
#ifndef KWS_H
#define KWS_H

#ifdef __cplusplus
extern "C" {{
#endif

#include "front_end_hop.h"
#include "kws_detector.h"
#include "kws_front_end.h"
#include "kws_network.h"

#define KWS_VERSION {_string(version)}
#define KWS_STREAMING {int(network.streaming)} /* whether the network keeps frames between hops */
#define KWS_FEATURE_ZERO {network.input.zero} /* the quantized feature that stands for 0 */

/* Samples that the frames of a hop span. */
#define KWS_HOP_SPAN (KWS_FRAME_SAMPLES + KWS_HOP_SAMPLES - KWS_FRAME_STEP)

/* Elements of the array of events that kws_push needs for n samples, and kws_flush. */
#define KWS_EVENTS(n) (((n) / KWS_HOP_SAMPLES + 1) * KWS_KEYWORDS)
#define KWS_FLUSH_EVENTS (KWS_EVENTS(KWS_WINDOW_SAMPLES / 2) + KWS_KEYWORDS)

/* A stream, or a classifier of clips. Its size is a constant; nothing else is allocated. */
typedef struct {{
    int64_t fed; /* samples of the stream so far */
    kws_detector detector;
    kws_front_end_scratch scratch;
    kws_hop hop;
    int16_t samples[KWS_HOP_SPAN];
    uint8_t network[KWS_NETWORK_MEMORY];
}} kws_state;

/* The softmax of a label: 0 … 1, or in an integer build 0 … KWS_UNIT. */
#if defined(KWS_INTEGER)
typedef int32_t kws_score;
#else
typedef float kws_score;
#endif

extern const char *const kws_labels[KWS_LABELS];     /* UTF-8 */
extern const char *const kws_keywords[KWS_KEYWORDS]; /* those of the labels that make events */

/* Prepare a state; all keywords are on. */
void kws_init(kws_state *state);

/* Begin a stream; keywords stay switched as they are. */
void kws_reset(kws_state *state);

/* Take the next samples; write the events that they complete, and return how many. Times of an
 * event: kws_event_start_s(&kws_detector_timing, &event) and others in detector.h; in an integer
 * build only those in samples, kws_event_start_sample and kws_event_end_sample. */
int32_t kws_push(kws_state *state, const int16_t *pcm, int32_t n, kws_event *events);

/* End the stream; write its last events, return how many, and begin another one. */
int32_t kws_flush(kws_state *state, kws_event *events);

/* Switch a keyword (an index of kws_keywords) on or off. */
void kws_switch(kws_state *state, int32_t keyword, int32_t on);

/* Classify one window; return the label and write the softmax of all. A stream is reset. */
int32_t kws_classify(kws_state *state, const int16_t clip[KWS_WINDOW_SAMPLES],
                     kws_score scores[KWS_LABELS]);

/* Write the logits of one window, in an integer build the bits of floats. The state of a stream is
 * lost: call kws_reset before the next kws_push. */
void kws_logits(kws_state *state, const int16_t clip[KWS_WINDOW_SAMPLES],
                kws_real logits[KWS_LABELS]);

#ifdef __cplusplus
}}
#endif

#endif
"""


def labels_source(origin: str, labels: Sequence[str], columns: Sequence[int]) -> str:
    """Return `kws_labels.c`; `columns` are the labels that are keywords."""
    names = ",\n    ".join(_string(label) for label in labels)
    keywords = ",\n    ".join(_string(labels[column]) for column in columns)
    return f"""{origin}
#include "kws.h"

const char *const kws_labels[KWS_LABELS] = {{
    {names},
}};

const char *const kws_keywords[KWS_KEYWORDS] = {{
    {keywords},
}};
"""


def _string(text: str) -> str:
    """Return a text as a string literal in ASCII.

    >>> print(_string('où? "'))
    "o\\303\\271\\077 \\042"
    """
    plain = (chr(byte) if chr(byte) in _PLAIN else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'


def _comment(text: str) -> str:
    """Return a text without what could end a comment, or a line of one."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown.replace("*/", "* /").replace("\\", "\\ ").replace("??", "? ?")
