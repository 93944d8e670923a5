"""Misses and false alarms of a bundle in continuous audio, with their doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.errors import DataError
from edgekws.metrics.event_intervals import Basis, alarms_per_hour, miss_rate
from edgekws.metrics.event_tradeoff import (
    LOWEST,
    Axis,
    Placing,
    Point,
    corners,
    outcome_at,
    thresholds,
    tracks,
    tradeoff,
)
from edgekws.metrics.events import HOUR_S, Outcome, recording_of
from edgekws.metrics.intervals import Interval
from edgekws.metrics.score_tracks import Ints, Timing, Track
from edgekws.metrics.tallies import Groups
from edgekws.spotting.scores import Scores

ALL_KEYWORDS = "all keywords"

LEAST_S = 1.0
"""With less keyword-free audio nothing is said of false alarms."""


@dataclass(frozen=True, kw_only=True)
class KeywordEvents:
    """What became of the labels and events of one keyword, by the rules of `metrics.events`.

    `end_error_ms` is the median distance of an event's end to that of its label, `end_bias_ms` the
    median of event minus label; `None` where no label that was hit has an end. `curve` holds the
    points of the trade-off over thresholds. The interval of a figure is `None` where there is no
    figure, and where all is from one speaker.
    """

    keyword: str
    threshold: float | None
    labels: int
    misses: int
    miss_rate: float | None
    miss_rate_ci95: Interval | None
    miss_rate_basis: Basis | None
    false_alarms: int
    false_alarms_per_hour: float
    false_alarms_per_hour_ci95: Interval | None
    false_alarms_per_hour_basis: Basis
    repeats: int
    confusions: int
    end_error_ms: float | None
    end_bias_ms: float | None
    curve: tuple[Point, ...] = ()


@dataclass(frozen=True, kw_only=True)
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
    rows, counted = [], []
    for word, track in zip(scores.keywords, found, strict=True):
        rest = (word, timing, scores.axis, placing, tolerance_s)
        threshold = settings["thresholds"][word]
        counts = _counted(outcome_at(threshold, track, *rest), word, scores.axis)
        curve = corners(tradeoff(tried[word], track, *rest))
        counted.append(counts)
        rows.append(_row(word, threshold, [counts], seconds, scores.axis.groups, curve))
    return EventEvaluation(
        settings={key: value for key, value in settings.items() if key != "calibration"},
        tolerance_s=tolerance_s,
        recordings=len(scores.counts),
        audio_s=scores.audio_s,
        keyword_free_s=float(seconds.sum()),
        keywords=tuple(rows),
        total=_row(ALL_KEYWORDS, None, counted, seconds, scores.axis.groups, ()),
        notes=tuple(notes),
    )


def free_s(scores: Scores, tolerance_s: float) -> NDArray[np.float64]:
    """Return the seconds of each recording that are free of keywords.

    Raises:
        DataError: there are none.
    """
    seconds = scores.axis.keyword_free_s(tolerance_s)
    if seconds.sum() < LEAST_S:
        raise DataError(
            f"{seconds.sum():.1f} s of keyword-free audio tell nothing of false alarms; give "
            "more with --negatives"
        )
    return seconds


@dataclass(frozen=True)
class _Counted:
    """Labels, misses and false alarms of a keyword by recording, `(recordings,)`, and the rest.

    `end_errors_s` holds those of the hits whose label has an end.
    """

    labels: Ints
    misses: Ints
    false_alarms: Ints
    repeats: int
    confusions: int
    end_errors_s: NDArray[np.float64]


def _counted(one: Outcome, word: str, axis: Axis) -> _Counted:
    count = len(axis.begins)
    said = recording_of(axis.labels[word].start, axis.recordings)
    labels = np.bincount(said, minlength=count)
    return _Counted(
        labels,
        labels - np.bincount(said[one.hit_labels], minlength=count),
        np.bincount(recording_of(one.false_alarms_s, axis.recordings), minlength=count),
        one.repeats,
        one.confusions,
        one.end_errors_s[axis.timed[word][one.hit_labels]],
    )


def _row(
    keyword: str,
    threshold: float | None,
    counted: Sequence[_Counted],
    seconds: NDArray[np.float64],
    groups: Groups,
    curve: Sequence[Point],
) -> KeywordEvents:
    labels, misses, false_alarms = (
        np.sum([getattr(one, name) for one in counted], axis=0)
        for name in ("labels", "misses", "false_alarms")
    )
    said, missed, alarms = int(labels.sum()), int(misses.sum()), int(false_alarms.sum())
    of_misses = miss_rate(misses, labels, groups) if said else None
    of_alarms = alarms_per_hour(false_alarms, seconds, groups)
    errors = np.concatenate([one.end_errors_s for one in counted])
    return KeywordEvents(
        keyword=keyword,
        threshold=threshold,
        labels=said,
        misses=missed,
        miss_rate=missed / said if said else None,
        miss_rate_ci95=of_misses.ci95 if of_misses else None,
        miss_rate_basis=of_misses.basis if of_misses else None,
        false_alarms=alarms,
        false_alarms_per_hour=alarms * HOUR_S / float(seconds.sum()),
        false_alarms_per_hour_ci95=of_alarms.ci95,
        false_alarms_per_hour_basis=of_alarms.basis,
        repeats=sum(one.repeats for one in counted),
        confusions=sum(one.confusions for one in counted),
        end_error_ms=1000 * float(np.median(np.abs(errors))) if len(errors) else None,
        end_bias_ms=1000 * float(np.median(errors)) if len(errors) else None,
        curve=tuple(curve),
    )
