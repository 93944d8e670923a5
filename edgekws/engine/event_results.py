"""Misses and false alarms of a bundle in continuous audio, with their doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.engine.event_scores import Scores
from edgekws.errors import DataError
from edgekws.metrics.event_tradeoff import (
    LOWEST,
    Placing,
    Point,
    corners,
    outcome_at,
    thresholds,
    tracks,
    tradeoff,
)
from edgekws.metrics.events import HOUR_S, Outcome, hourly_interval, miss_interval
from edgekws.metrics.score_tracks import Timing, Track

ALL_KEYWORDS = "all keywords"

LEAST_S = 1.0
"""With less keyword-free audio nothing is said of false alarms."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class KeywordEvents:
    """What became of the labels and events of one keyword, by the rules of `metrics.events`.

    `end_error_ms` is the median distance of an event's end to that of its label, `end_bias_ms` the
    median of event minus label; `None` where no label that was hit has an end. `curve` holds the
    points of the trade-off over thresholds.
    """

    keyword: str
    threshold: float | None
    labels: int
    misses: int
    miss_rate: float | None
    miss_rate_ci95: Interval | None
    false_alarms: int
    false_alarms_per_hour: float
    false_alarms_per_hour_ci95: Interval
    repeats: int
    confusions: int
    end_error_ms: float | None
    end_bias_ms: float | None
    curve: tuple[Point, ...] = ()


@dataclass(frozen=True)
class EventEvaluation:
    """A bundle on labelled recordings: with which settings, how much audio, and how it did."""

    settings: dict[str, Any]
    tolerance_s: float
    recordings: int
    audio_s: float
    keyword_free_s: float
    keywords: tuple[KeywordEvents, ...]
    total: KeywordEvents
    notes: tuple[str, ...] = ()


def timing_of(settings: Mapping[str, Any], scores: Scores) -> Timing:
    """Return the timing of the manifest's `detection`, as the runtime counts it."""
    interval_s = scores.axis.interval_s
    return Timing(
        max(1, round(settings["smoothing_ms"] / 1000 / interval_s)),
        round(settings["refractory_ms"] / 1000 / interval_s),
        longest(scores),
    )


def longest(scores: Scores) -> int:
    """Return the longest run, in decisions: it is as long as the window."""
    return max(1, round(scores.window_s / scores.axis.interval_s))


def placing_of(settings: Mapping[str, Any]) -> Placing:
    """Return where events are, by the manifest's `detection`."""
    return Placing(settings["timing_offset_ms"] / 1000, settings["keyword_ms"] / 1000)


def candidates(scores: Scores, found: Sequence[Track], timing: Timing) -> dict[str, list[float]]:
    """Return the thresholds of each keyword that are worth trying."""
    reach_s = scores.window_s + timing.span * scores.axis.interval_s
    return {
        word: thresholds(track, timing.span, scores.axis.labels[word], scores.axis, reach_s)
        for word, track in zip(scores.keywords, found, strict=True)
    }


def evaluate_settings(
    scores: Scores, settings: Mapping[str, Any], tolerance_s: float, notes: Sequence[str] = ()
) -> EventEvaluation:
    """Return how the bundle does with settings, and the trade-off of every keyword.

    Raises:
        DataError: there is no keyword-free audio.
    """
    timing, placing = timing_of(settings, scores), placing_of(settings)
    lowest = min(LOWEST, *settings["thresholds"].values())
    found = tracks(scores.counts, scores.axis, timing.span, lowest)
    tried = candidates(scores, found, timing)
    seconds = free_s(scores, tolerance_s)
    rows, outcomes = [], []
    for word, track in zip(scores.keywords, found, strict=True):
        rest = (word, timing, scores.axis, placing, tolerance_s)
        threshold = settings["thresholds"][word]
        one = outcome_at(threshold, track, *rest)
        curve = corners(tradeoff(tried[word], track, *rest))
        outcomes.append((one, _errors(one, scores.axis.timed[word])))
        rows.append(_row(word, threshold, [outcomes[-1]], seconds, curve))
    return EventEvaluation(
        {key: value for key, value in settings.items() if key != "calibration"},
        tolerance_s,
        len(scores.counts),
        scores.audio_s,
        seconds,
        tuple(rows),
        _row(ALL_KEYWORDS, None, outcomes, seconds, ()),
        tuple(notes),
    )


def free_s(scores: Scores, tolerance_s: float) -> float:
    """Return the seconds of keyword-free audio.

    Raises:
        DataError: there is none.
    """
    seconds = scores.keyword_free_s(tolerance_s)
    if seconds < LEAST_S:
        raise DataError(
            f"{max(0.0, seconds):.1f} s of keyword-free audio tell nothing of false alarms; give "
            "more with --negatives"
        )
    return seconds


def _errors(one: Outcome, timed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the errors of ends where the label has one."""
    found: NDArray[np.float64] = one.end_errors_s[timed[one.hit_labels]]
    return found


def _row(
    keyword: str,
    threshold: float | None,
    outcomes: Sequence[tuple[Outcome, NDArray[np.float64]]],
    seconds: float,
    curve: Sequence[Point],
) -> KeywordEvents:
    labels, misses, false_alarms, repeats, confusions = (
        sum(getattr(one, name) for one, _ in outcomes)
        for name in ("labels", "misses", "false_alarms", "repeats", "confusions")
    )
    errors = np.concatenate([errors for _, errors in outcomes])
    return KeywordEvents(
        keyword,
        threshold,
        labels,
        misses,
        misses / labels if labels else None,
        miss_interval(misses, labels) if labels else None,
        false_alarms,
        false_alarms * HOUR_S / seconds,
        hourly_interval(false_alarms, seconds),
        repeats,
        confusions,
        1000 * float(np.median(np.abs(errors))) if len(errors) else None,
        1000 * float(np.median(errors)) if len(errors) else None,
        tuple(curve),
    )
