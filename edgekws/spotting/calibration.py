"""Smoothing, thresholds and refractory time from scores, for a rate of false alarms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from edgekws.core.events import Emit, progress
from edgekws.metrics.event_intervals import alarms_per_hour
from edgekws.metrics.event_tradeoff import Placing, Point, outcome_at, tracks, tradeoff
from edgekws.metrics.events import HOUR_S
from edgekws.metrics.score_tracks import Timing, Track, peaks
from edgekws.runtime.detect import UNIT
from edgekws.spotting.results import (
    EventEvaluation,
    candidates,
    evaluate_settings,
    free_s,
    longest,
    placing_of,
    thinned,
)
from edgekws.spotting.scores import Scores
from edgekws.spotting.thresholds import Worth, allocate, centred, worth

SMOOTHING_MS = (0, 60, 100, 150, 200, 300, 400, 600, 800)
REFRACTORY_MS = (250, 500, 1000, 2000)
"""What is tried; smoothing no longer than the window."""

FAR_TOO_MANY = 4
"""So many times the false alarms that are allowed end the search for lower thresholds."""

CLEAR = 0.3
"""A smoothed posterior above it tells where a keyword is heard."""


class _Choice(NamedTuple):
    worth: Worth
    timing: Timing
    placing: Placing
    points: dict[str, Point]


def calibrate_on(
    scores: Scores,
    max_fa_per_hour: float,
    tolerance_s: float,
    emit: Emit,
    origin: Mapping[str, str],
) -> tuple[dict[str, Any], EventEvaluation]:
    """Return the manifest's `detection` chosen on scores, and how the bundle does with it.

    `origin` are fingerprints of what the scores are of, for the manifest. Of all smoothings,
    refractory times and thresholds that are tried those are taken that make the fewest mistakes
    where keywords are said (misses, confusions, repeats), with at most `max_fa_per_hour` false
    alarms of all keywords together in the audio that is free of keywords. `timing_offset_ms` then
    makes the median error of an event's end zero, and `keyword_ms` is the median length of a label,
    where labels have times.

    Raises:
        DataError: there is no audio that is free of keywords.
    """
    settings = choose(scores, max_fa_per_hour, tolerance_s, emit)
    made = evaluate_settings(scores, settings, tolerance_s)
    notes = [*_proof(scores, max_fa_per_hour, tolerance_s), *_notes(made)]
    made = replace(made, notes=tuple(notes))
    settings["calibration"] = {"max_fa_per_hour": max_fa_per_hour, **_record(made), **origin}
    return settings, made


def choose(
    scores: Scores, max_fa_per_hour: float, tolerance_s: float, emit: Emit
) -> dict[str, Any]:
    """Return the manifest's `detection` with the settings that are best on the recordings."""
    free_hours = float(free_s(scores, tolerance_s).sum()) / HOUR_S
    allowed = int(max_fa_per_hour * free_hours + 1e-9)
    placing = _keyword_length(scores)
    best: _Choice | None = None
    spans = _spans(scores)
    for number, span in enumerate(spans):
        progress(emit, "calibrate", number, len(spans))
        found = tracks(scores.counts, scores.axis, span)
        here = _first_offset(scores, found, span, placing)
        for timing in _timings(scores, span):
            made = _chosen(scores, found, timing, here, allowed, tolerance_s)
            if best is None or made.worth < best.worth:
                best = made
    progress(emit, "calibrate", len(spans), len(spans))
    assert best is not None
    return _settings(scores, _refined(scores, best, allowed, tolerance_s))


def _spans(scores: Scores) -> list[int]:
    """Return the smoothings in decisions."""
    interval_ms = 1000 * scores.axis.interval_s
    within = (ms for ms in SMOOTHING_MS if ms <= 1000 * scores.window_s)
    return sorted({max(1, round(ms / interval_ms)) for ms in within})


def _timings(scores: Scores, span: int) -> list[Timing]:
    interval_ms = 1000 * scores.axis.interval_s
    times = sorted({round(ms / interval_ms) for ms in REFRACTORY_MS})
    return [Timing(span, refractory, longest(scores)) for refractory in times]


def _chosen(
    scores: Scores,
    found: Sequence[Track],
    timing: Timing,
    placing: Placing,
    allowed: int,
    tolerance_s: float,
) -> _Choice:
    """Return the best thresholds for one smoothing and refractory time."""
    tried = candidates(scores, found, timing)
    at = {
        word: partial(
            _point, found=track, keyword=word, timing=timing, axis=scores.axis, placing=placing,
            tolerance_s=tolerance_s,
        )
        for word, track in zip(scores.keywords, found, strict=True)
    }  # fmt: skip
    points = {word: _worth_trying(at[word], tried[word], allowed) for word in scores.keywords}
    chosen = allocate(points, allowed)
    middle = {word: centred(one, points[word], at[word]) for word, one in chosen.items()}
    return _Choice(worth(middle), timing, placing, middle)


def _point(threshold: float, **rest: Any) -> Point:
    """Return what becomes of labels and events at one threshold; `rest` is that of `tradeoff`."""
    return tradeoff([threshold], **rest)[0]


def _worth_trying(
    point: Callable[[float], Point], thresholds: Sequence[float], allowed: int
) -> list[Point]:
    """Return the points from the highest threshold down to where false alarms are far too many."""
    points: list[Point] = []
    for threshold in reversed(thresholds):
        points.append(point(threshold))
        if points[-1].false_alarms > FAR_TOO_MANY * (1 + allowed):
            break
    return points[::-1]


def _keyword_length(scores: Scores) -> Placing:
    """Return the placing of the bundle with the median length of the labels that have times."""
    own = placing_of(scores.settings)
    axis = scores.axis
    lengths = [
        (axis.labels[word].end - axis.labels[word].start)[axis.timed[word]]
        for word in scores.keywords
    ]
    every = np.concatenate(lengths)
    return own._replace(keyword_s=float(np.median(every))) if len(every) else own


def _first_offset(scores: Scores, found: Sequence[Track], span: int, placing: Placing) -> Placing:
    """Return the placing whose offset is the median over the clear peaks at labels with times."""
    axis, apart = scores.axis, []
    for word, track in zip(scores.keywords, found, strict=True):
        values, decisions = peaks(track)
        heard = axis.seconds(decisions - (span - 1) / 2)
        clear = values >= CLEAR * span * UNIT
        heard, values = heard[clear], values[clear]
        timed = axis.timed[word]
        for start, end in zip(*(of[timed] for of in axis.labels[word]), strict=True):
            near = np.flatnonzero((heard >= start) & (heard <= end + scores.window_s))
            if len(near):
                apart.append(float(heard[near[values[near].argmax()]] - end))
    return placing._replace(offset_s=float(np.median(apart))) if apart else placing


def _refined(scores: Scores, best: _Choice, allowed: int, tolerance_s: float) -> _Choice:
    """Return the choice with the offset of its own hits, and the thresholds that go with it."""
    found = tracks(scores.counts, scores.axis, best.timing.span)
    errors = []
    for word, track in zip(scores.keywords, found, strict=True):
        threshold = best.points[word].threshold
        rest = (word, best.timing, scores.axis, best.placing, tolerance_s)
        one = outcome_at(threshold, track, *rest)
        errors.append(one.end_errors_s[scores.axis.timed[word][one.hit_labels]])
    every = np.concatenate(errors)
    if not len(every):
        return best
    placing = best.placing._replace(offset_s=best.placing.offset_s + float(np.median(every)))
    return _chosen(scores, found, best.timing, placing, allowed, tolerance_s)


def _settings(scores: Scores, best: _Choice) -> dict[str, Any]:
    interval_ms = 1000 * scores.axis.interval_s
    return {
        **{key: value for key, value in scores.settings.items() if key != "calibration"},
        "smoothing_ms": round(best.timing.span * interval_ms, 3),
        "refractory_ms": round(best.timing.refractory * interval_ms, 3),
        "keyword_ms": round(1000 * best.placing.keyword_s, 1),
        "timing_offset_ms": round(1000 * best.placing.offset_s, 1),
        "thresholds": {word: one.threshold for word, one in best.points.items()},
        "source": "calibrated",
    }


def _proof(scores: Scores, max_fa_per_hour: float, tolerance_s: float) -> Iterator[str]:
    """Say what the recordings cannot show of false alarms."""
    seconds = free_s(scores, tolerance_s)
    none = alarms_per_hour(np.zeros(len(seconds), np.int64), seconds, scores.axis.groups)
    shown = f"{seconds.sum() / 60:.0f} minutes free of keywords"
    limit = f"{max_fa_per_hour:g} false alarms an hour"
    if none.ci95 is None:
        yield f"{shown} are of one speaker, and cannot show {limit} of others"
    elif none.ci95[1] > max_fa_per_hour:
        yield (
            f"{shown} cannot show {limit}: even with none in them, up to {none.ci95[1]:.1f} an "
            f"hour may come (95 %, {none.basis.kind})"
        )


def _notes(made: EventEvaluation) -> Iterator[str]:
    """Say which keyword is given up, and which threshold is a guess."""
    for one in made.keywords:
        if not one.labels:
            yield f"{one.keyword} is not among the positives: its threshold is a guess"
        elif one.misses == one.labels:
            yield f"{one.keyword} is always missed: hits would break the limit of false alarms"


def _record(made: EventEvaluation) -> dict[str, Any]:
    """Return the counts and curves that the settings come from, for the manifest."""
    names = ("threshold", "misses", "false_alarms")
    return {
        "tolerance_s": made.tolerance_s,
        "recordings": made.recordings,
        "audio_s": round(made.audio_s, 1),
        "keyword_free_s": round(made.keyword_free_s, 1),
        "false_alarms": made.total.false_alarms,
        "keywords": {
            one.keyword: {
                "labels": one.labels,
                "misses": one.misses,
                "false_alarms": one.false_alarms,
                "repeats": one.repeats,
                "confusions": one.confusions,
                "curve": [[getattr(p, name) for name in names] for p in thinned(one.curve)],
            }
            for one in made.keywords
        },
        "curve_columns": list(names),
    }
