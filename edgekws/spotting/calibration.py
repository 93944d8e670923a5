"""Choice of smoothing, thresholds and refractory time for a rate of false alarms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.core.events import Emit, progress
from edgekws.metrics.event_intervals import alarms_per_hour
from edgekws.metrics.event_tradeoff import LOWEST, Point, outcome_at, tracks, tradeoff
from edgekws.metrics.events import HOUR_S
from edgekws.metrics.score_tracks import Timing, Track, peaks
from edgekws.runtime.detect import UNIT
from edgekws.spotting import proof
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
from edgekws.spotting.tail import Tail, tail_of
from edgekws.spotting.thresholds import Candidate, Worth, allocate, centred, worth

SMOOTHING_MS = (0, 60, 100, 150, 200, 300, 400, 600, 800)
REFRACTORY_MS = (250, 500, 1000, 2000)
"""Candidates; smoothing is no longer than the window."""

FAR_TOO_MANY, AT_LEAST = 4, 12
"""Multiple of the allowed false alarms at which the search for lower thresholds ends, and how many
a keyword has by then, to fit their tail to."""

LEAST_EXPECTED = 0.1
"""False alarms of each keyword to expect in as much other speech, at least: in a few minutes, fewer
cannot be aimed for without missing what is said. Then none is counted in these.
"""

LEAST_MEASURED = 8
"""Least labels with times for which a keyword gets a length and an offset of its own."""

CLEAR = 0.3
"""A smoothed posterior above it locates a keyword."""


Values = NDArray[np.float64]


class _Choice(NamedTuple):
    worth: Worth
    timing: Timing
    settings: dict[str, Any]
    chosen: dict[str, Candidate]


class _Limit(NamedTuple):
    """The most false alarms, of all keywords: expected in as much other speech, and counted."""

    expected: float
    counted: int


def calibrate_on(
    scores: Scores,
    max_fa_per_hour: float,
    tolerance_s: float,
    emit: Emit,
    origin: Mapping[str, str],
) -> tuple[dict[str, Any], EventEvaluation]:
    """Return the manifest's `detection` chosen on scores, and the bundle's results with it.

    `origin` holds fingerprints of the scored recordings, for the manifest. Of all candidate
    smoothings, refractory times and thresholds, those with the fewest mistakes near spoken
    keywords (misses, confusions, repeats) are chosen, with at most `max_fa_per_hour` false alarms
    of all keywords together to expect in other keyword-free audio of this kind (see `tail`). If
    labels have times, `timing_offset_ms` makes the median error of an event's end zero, and
    `keyword_ms` is the median length of a label; `timing_offsets_ms` and `keyword_lengths_ms` are
    those of each keyword with enough labels.

    Raises:
        DataError: there is no keyword-free audio.
    """
    settings = choose(scores, max_fa_per_hour, tolerance_s, emit)
    evaluation = evaluate_settings(scores, settings, tolerance_s)
    notes = [*_false_alarm_evidence(scores, max_fa_per_hour, tolerance_s), *_notes(evaluation)]
    evaluation = replace(evaluation, notes=tuple(notes))
    settings["calibration"] = {"max_fa_per_hour": max_fa_per_hour, **_record(evaluation), **origin}
    return settings, evaluation


def choose(
    scores: Scores, max_fa_per_hour: float, tolerance_s: float, emit: Emit
) -> dict[str, Any]:
    """Return the manifest's `detection` with the best settings on the recordings."""
    free_hours = float(free_s(scores, tolerance_s).sum()) / HOUR_S
    allowed, least = max_fa_per_hour * free_hours, LEAST_EXPECTED * len(scores.keywords)
    limit = _Limit(max(allowed, least), int(allowed + 1e-9) if allowed >= least else 0)
    settings = {**scores.settings, **_lengths(scores)}
    best: _Choice | None = None
    spans = _spans(scores)
    for number, span in enumerate(spans):
        progress(emit, "calibrate", number, len(spans))
        keyword_tracks = tracks(scores.counts, scores.axis, span)
        with_offsets = {**settings, **_first_offsets(scores, keyword_tracks, span)}
        for timing in _timings(scores, span):
            choice = _best_thresholds(
                scores, keyword_tracks, timing, with_offsets, limit, tolerance_s
            )
            if best is None or choice.worth < best.worth:
                best = choice
    progress(emit, "calibrate", len(spans), len(spans))
    assert best is not None
    return _settings(scores, _refined(scores, best, limit, tolerance_s))


def _spans(scores: Scores) -> list[int]:
    """Return the smoothings in decisions."""
    interval_ms = 1000 * scores.axis.interval_s
    within = (ms for ms in SMOOTHING_MS if ms <= 1000 * scores.window_s)
    return sorted({max(1, round(ms / interval_ms)) for ms in within})


def _timings(scores: Scores, span: int) -> list[Timing]:
    interval_ms = 1000 * scores.axis.interval_s
    times = sorted({round(ms / interval_ms) for ms in REFRACTORY_MS})
    return [Timing(span, refractory, longest(scores)) for refractory in times]


def _best_thresholds(
    scores: Scores,
    keyword_tracks: Sequence[Track],
    timing: Timing,
    settings: dict[str, Any],
    limit: _Limit,
    tolerance_s: float,
) -> _Choice:
    """Return the best thresholds for one smoothing and refractory time.

    `settings` place the events.
    """
    tried_thresholds = candidates(scores, keyword_tracks, timing)
    at, tried = {}, {}
    for word, track in zip(scores.keywords, keyword_tracks, strict=True):
        evaluate = partial(
            _point, track=track, keyword=word, timing=timing, axis=scores.axis,
            placing=placing_of(settings, word), tolerance_s=tolerance_s,
        )  # fmt: skip
        points = _worth_trying(evaluate, tried_thresholds[word], limit)
        tail = tail_of(points)
        at[word] = partial(_candidate, evaluate=evaluate, tail=tail)
        tried[word] = [
            Candidate(point, tail.expected(point.threshold))
            for point in points
            if point.false_alarms <= limit.counted
        ]
    chosen = allocate(tried, limit.expected)
    left = limit.expected - worth(chosen)[1]
    for word, strictest in chosen.items():
        chosen[word] = centred(strictest, tried[word], at[word], left + strictest.expected)
        left -= chosen[word].expected - strictest.expected
    return _Choice(worth(chosen), timing, settings, chosen)


def _point(threshold: float, **rest: Any) -> Point:
    """Return the point at one threshold; `rest` are the arguments of `tradeoff`."""
    return tradeoff([threshold], **rest)[0]


def _candidate(threshold: float, evaluate: Callable[[float], Point], tail: Tail) -> Candidate:
    return Candidate(evaluate(threshold), tail.expected(threshold))


def _worth_trying(
    point: Callable[[float], Point], thresholds: Sequence[float], limit: _Limit
) -> list[Point]:
    """Return the points from the highest threshold down to one with far too many false alarms."""
    points: list[Point] = []
    for threshold in reversed(thresholds):
        points.append(point(threshold))
        if points[-1].false_alarms > max(FAR_TOO_MANY * (1 + limit.counted), AT_LEAST):
            break
    return points[::-1]


def _lengths(scores: Scores) -> dict[str, Any]:
    """Return the settings that hold the median lengths of the labels with times, in ms."""
    axis = scores.axis
    lengths_ms = {
        word: 1000 * (axis.labels[word].end - axis.labels[word].start)[axis.timed[word]]
        for word in scores.keywords
    }
    return _measured(scores.settings, "keyword_ms", "keyword_lengths_ms", lengths_ms)


def _first_offsets(scores: Scores, keyword_tracks: Sequence[Track], span: int) -> dict[str, Any]:
    """Return the settings that hold the median offsets of clear peaks at labels with times."""
    axis, offsets_ms = scores.axis, {}
    for word, track in zip(scores.keywords, keyword_tracks, strict=True):
        values, decisions = peaks(track)
        times_s = axis.seconds(decisions - (span - 1) / 2)
        clear = values >= CLEAR * span * UNIT
        times_s, values = times_s[clear], values[clear]
        timed, offsets = axis.timed[word], []
        for start, end in zip(*(of[timed] for of in axis.labels[word]), strict=True):
            near = np.flatnonzero((times_s >= start) & (times_s <= end + scores.window_s))
            if len(near):
                offsets.append(float(times_s[near[values[near].argmax()]] - end))
        offsets_ms[word] = 1000 * np.array(offsets)
    return _measured(scores.settings, "timing_offset_ms", "timing_offsets_ms", offsets_ms)


def _measured(
    before: Mapping[str, Any], shared: str, each: str, values_ms: Mapping[str, Values]
) -> dict[str, Any]:
    """Return the settings `shared` and `each`: the medians of all values, and of each keyword's.

    Settings without enough values stay as they were `before`.
    """
    together = np.concatenate(list(values_ms.values()))
    enough = {word: of for word, of in values_ms.items() if len(of) >= LEAST_MEASURED}
    medians = {word: round(float(np.median(of)), 1) for word, of in enough.items()}
    measured: dict[str, Any] = {}
    if len(together):
        measured[shared] = round(float(np.median(together)), 1)
    if medians:
        measured[each] = {**before.get(each, {}), **medians}
    return measured


def _refined(scores: Scores, best: _Choice, limit: _Limit, tolerance_s: float) -> _Choice:
    """Return the choice with the offsets of its own hits, and thresholds for these offsets."""
    keyword_tracks = tracks(scores.counts, scores.axis, best.timing.span)
    offsets_ms = {}
    for word, track in zip(scores.keywords, keyword_tracks, strict=True):
        placing = placing_of(best.settings, word)
        threshold = best.chosen[word].point.threshold
        rest = (word, best.timing, scores.axis, placing, tolerance_s)
        result = outcome_at(threshold, track, *rest)
        errors_s = result.end_errors_s[scores.axis.timed[word][result.hit_labels]]
        offsets_ms[word] = 1000 * (placing.offset_s + errors_s)
    offsets = _measured(best.settings, "timing_offset_ms", "timing_offsets_ms", offsets_ms)
    return _best_thresholds(
        scores, keyword_tracks, best.timing, best.settings | offsets, limit, tolerance_s
    )


def _settings(scores: Scores, best: _Choice) -> dict[str, Any]:
    interval_ms = 1000 * scores.axis.interval_s
    return {
        **{key: value for key, value in best.settings.items() if key != "calibration"},
        "smoothing_ms": round(best.timing.span * interval_ms, 3),
        "refractory_ms": round(best.timing.refractory * interval_ms, 3),
        "thresholds": {word: chosen.point.threshold for word, chosen in best.chosen.items()},
        "source": "calibrated",
    }


def _false_alarm_evidence(
    scores: Scores, max_fa_per_hour: float, tolerance_s: float
) -> Iterator[str]:
    """Yield a note if the recordings are too few to show the rate of false alarms."""
    seconds = free_s(scores, tolerance_s)
    none = alarms_per_hour(np.zeros(len(seconds), np.int64), seconds, scores.axis.groups)
    shown = f"{proof.span(float(seconds.sum()))} free of keywords"
    limit = f"{max_fa_per_hour:g} false alarms per hour"
    if none.ci95 is None:
        yield f"{shown}, of one speaker, cannot show {limit} for others"
    elif none.ci95[1] > max_fa_per_hour:
        yield (
            f"{shown} cannot show {limit}: even with none in them, up to {none.ci95[1]:.1f} "
            f"per hour are possible (95 %, {none.basis.kind})"
        )


def _notes(evaluation: EventEvaluation) -> Iterator[str]:
    """Yield notes on keywords that are always missed, and on thresholds that are guesses."""
    for keyword in evaluation.keywords:
        if not keyword.labels:
            yield f"{keyword.keyword} is not among the positives: its threshold is a guess"
        elif keyword.misses == keyword.labels:
            low = min(keyword.curve, key=lambda point: point.misses)
            reason = "hits would exceed the limit of false alarms"
            if low.misses == keyword.labels:
                reason = f"it is no hit at any threshold from {LOWEST:g} on"
            yield f"{keyword.keyword} is always missed: {reason}"


def _record(evaluation: EventEvaluation) -> dict[str, Any]:
    """Return the counts and curves behind the settings, for the manifest."""
    names = ("threshold", "misses", "false_alarms")
    return {
        "tolerance_s": evaluation.tolerance_s,
        "recordings": evaluation.recordings,
        "audio_s": round(evaluation.audio_s, 1),
        "keyword_free_s": round(evaluation.keyword_free_s, 1),
        "false_alarms": evaluation.total.false_alarms,
        "keywords": {
            keyword.keyword: {
                "labels": keyword.labels,
                "misses": keyword.misses,
                "false_alarms": keyword.false_alarms,
                "repeats": keyword.repeats,
                "confusions": keyword.confusions,
                "curve": [[getattr(p, name) for name in names] for p in thinned(keyword.curve)],
            }
            for keyword in evaluation.keywords
        },
        "curve_columns": list(names),
    }
