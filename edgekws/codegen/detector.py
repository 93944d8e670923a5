"""The detector in C: its settings, and the calls of the kernels in `runtime/c/detector.h`."""

import math
from dataclasses import dataclass
from typing import Any

from edgekws.codegen.c_names import record
from edgekws.codegen.c_tables import table
from edgekws.runtime.detect import FILLERS, UNIT, decision_hops, placing

MOST_LABELS = 256
"""The odds of so many labels have a sum below 2^63."""

LONGEST_SPAN = (1 << 31) // UNIT - 1
"""The sum of so many posteriors is a 32-bit number."""


@dataclass(frozen=True)
class DetectorSettings:
    """What the Python runtime derives from a bundle's manifest, in decisions, hops and samples.

    `columns` are the labels that are keywords, `thresholds` those of their summed posteriors.
    `first` is the hop of the first decision; `frames_end` counts samples from the start of a hop to
    the end of its frames, `silence` those of digital silence before the stream. `offsets_s` and
    `lengths_s` are those of `runtime.detect.placing` for each keyword.
    """

    n_labels: int
    columns: tuple[int, ...]
    thresholds: tuple[int, ...]
    span: int
    refractory: int
    longest: int
    first: int
    every: int
    sample_rate: int
    hop_samples: int
    frames_end: int
    silence: int
    offsets_s: tuple[float, ...]
    lengths_s: tuple[float, ...]


def detector_settings(manifest: dict[str, Any]) -> DetectorSettings:
    """Return the settings of the detector of a bundle, as `runtime.detect` reads them.

    Raises:
        ValueError: its time between decisions is not a multiple of its hop, no label is a keyword,
            there are more labels or a longer smoothing than the kernels can count.
    """
    settings, contract = manifest["detection"], manifest["contract"]
    labels, front_end = contract["labels"], contract["front_end"]
    rate = front_end["sample_rate"]
    window_samples = round(front_end["window_s"] * rate)
    hop_samples = settings["hop_frames"] * front_end["hop_length"]
    every = decision_hops(settings["hop_ms"], 1000 * hop_samples / rate)
    interval_s = every * hop_samples / rate
    columns = tuple(i for i, label in enumerate(labels) if label not in FILLERS)
    span = max(1, round(settings["smoothing_ms"] / 1000 / interval_s))
    _check_sizes(len(labels), len(columns), span)
    full = span * UNIT
    placings = [placing(settings, labels[i]) for i in columns]
    thresholds = (math.ceil(settings["thresholds"][labels[i]] * full) for i in columns)
    return DetectorSettings(
        n_labels=len(labels),
        columns=columns,
        thresholds=tuple(min(max(1, t), full + 1) for t in thresholds),
        span=span,
        refractory=round(settings["refractory_ms"] / 1000 / interval_s),
        longest=max(1, round(window_samples / rate / interval_s)),
        first=-(-contract["input_shape"][-1] // settings["hop_frames"]) - 1,
        every=every,
        sample_rate=rate,
        hop_samples=hop_samples,
        frames_end=front_end["n_fft"] + hop_samples - front_end["hop_length"],
        silence=window_samples // 2,
        offsets_s=tuple(offset_s for offset_s, _ in placings),
        lengths_s=tuple(length_s for _, length_s in placings),
    )


def _check_sizes(n_labels: int, keywords: int, span: int) -> None:
    if not keywords:
        raise ValueError("no label is a keyword, so there is nothing to detect")
    if n_labels > MOST_LABELS:
        raise ValueError(f"{n_labels} labels are too many; up to {MOST_LABELS} can be counted")
    if span > LONGEST_SPAN:
        raise ValueError(
            f"smoothing over {span} decisions is too long; use a smoothing_ms of up to "
            f"{LONGEST_SPAN} times the time between decisions"
        )


def detector_header(settings: DetectorSettings) -> str:
    """Return `kws_detector.h`: the state of a detector and its functions."""
    keywords = len(settings.columns)
    return f"""\
#ifndef KWS_DETECTOR_TABLES_H
#define KWS_DETECTOR_TABLES_H

#include "detector.h"

#define KWS_LABELS {settings.n_labels}
#define KWS_KEYWORDS {keywords}
#define KWS_DECISION_HOPS {settings.every}
#define KWS_HOP_SAMPLES {settings.hop_samples}

/* A detector; the caller owns it. */
typedef struct {{
    kws_clock clock;
    kws_track tracks[KWS_KEYWORDS];
    int32_t counts[KWS_COUNTS_SIZE({settings.span}, KWS_KEYWORDS)];
}} kws_detector;

/* Switch all keywords on and begin a stream. */
void kws_detector_init(kws_detector *detector);

/* Begin a stream; keywords stay switched as they are. */
void kws_detector_reset(kws_detector *detector);

/* Switch a keyword on or off (0 … KWS_KEYWORDS - 1). */
void kws_detector_switch(kws_detector *detector, int32_t keyword, int32_t on);

/* Count a hop of the stream; return whether the network's logits are needed at it. */
int32_t kws_detector_hop(kws_detector *detector);

/* Take the logits (KWS_LABELS) of such a hop. Writes up to KWS_KEYWORDS events; returns how
 * many. */
int32_t kws_detector_decide(kws_detector *detector, const kws_real *logits, kws_event *events);

/* End a stream of `samples` samples. Writes up to KWS_KEYWORDS events; returns how many. */
int32_t kws_detector_flush(kws_detector *detector, int64_t samples, kws_event *events);

/* Where events are in the stream. */
extern const kws_timing kws_detector_timing;

#if defined(KWS_ADJUSTABLE)
/* The thresholds, of sums of {settings.span} posteriors: a program may change them at any time. */
extern int32_t kws_detector_thresholds[KWS_KEYWORDS];
#endif

#endif
"""


def detector_source(settings: DetectorSettings) -> str:
    """Return `kws_detector.c`: the settings of a detector and the calls of its kernels."""
    columns = table("uint16_t", "columns", settings.columns)
    constant = table("int32_t", "THRESHOLDS", settings.thresholds)
    thresholds = _THRESHOLD + constant.replace("static const int32_t", "THRESHOLD", 1)
    rate = settings.sample_rate
    fixed = _members(settings, ("span", "refractory", "longest", "first", "every"))
    numbers = {
        "labels": str(settings.n_labels),
        "keywords": str(len(settings.columns)),
        "columns": "columns",
        "thresholds": "THRESHOLDS",
        **fixed,
    }
    placed = ("sample_rate", "hop_samples", "frames_end", "silence", "first", "every", "span")
    names = ("offsets", "lengths", "offsets_s", "lengths_s")
    timing = {**_members(settings, placed), **dict(zip(names, names, strict=True))}
    samples = {"offsets": settings.offsets_s, "lengths": settings.lengths_s}
    placings = [
        *(table("int32_t", name, [round(s * rate) for s in of]) for name, of in samples.items()),
        *(_seconds(f"{name}_s", of) for name, of in samples.items()),
    ]
    return f"""\
#include "kws_detector.h"

#include <string.h>

{columns}
{thresholds}
{chr(10).join(placings)}
{record("kws_detector_settings", "settings", numbers)}
{record("kws_timing", "kws_detector_timing", timing).removeprefix("static ")}{_FUNCTIONS}"""


def _members(settings: DetectorSettings, names: tuple[str, ...]) -> dict[str, str]:
    return {name: str(getattr(settings, name)) for name in names}


def _seconds(name: str, values: tuple[float, ...]) -> str:
    """Return the definition of an array of seconds, in the digits that keep their bits."""
    return f"static const double {name}[{len(values)}] = {{{', '.join(map(repr, values))}}};"


_THRESHOLD = """\
#if defined(KWS_ADJUSTABLE)
#define THRESHOLD int32_t
#define THRESHOLDS kws_detector_thresholds
#else
#define THRESHOLD static const int32_t
#define THRESHOLDS thresholds
#endif
"""

_FUNCTIONS = """
void kws_detector_init(kws_detector *detector)
{
    memset(detector, 0, sizeof *detector);
    kws_detector_reset(detector);
}

void kws_detector_reset(kws_detector *detector)
{
    kws_tracks_reset(&settings, &detector->clock, detector->tracks, detector->counts);
}

void kws_detector_switch(kws_detector *detector, int32_t keyword, int32_t on)
{
    kws_track_switch(&detector->tracks[keyword], on);
}

int32_t kws_detector_hop(kws_detector *detector)
{
    return kws_clock_hop(&settings, &detector->clock);
}

int32_t kws_detector_decide(kws_detector *detector, const kws_real *logits, kws_event *events)
{
    int32_t posteriors[KWS_LABELS];
    kws_posteriors(logits, KWS_LABELS, posteriors);
    return kws_tracks_decide(&settings, &detector->clock, detector->tracks, detector->counts,
                             posteriors, events);
}

int32_t kws_detector_flush(kws_detector *detector, int64_t samples, kws_event *events)
{
    return kws_tracks_flush(&settings, &detector->clock, detector->tracks, detector->counts,
                            samples, events);
}
"""
