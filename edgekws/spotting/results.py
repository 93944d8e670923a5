"""Misses and false alarms of a bundle in continuous audio, with their doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from edgekws.core.measurement import Measurement
from edgekws.errors import DataError
from edgekws.metrics.event_intervals import Basis, alarms_per_hour, miss_rate
from edgekws.metrics.event_tradeoff import (
    LOWEST,
    Placing,
    Point,
    corners,
    delays_s,
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

MOST_POINTS = 60
"""Points of a curve that a manifest or a report keeps."""

LEAST_S = 1.0
"""With less keyword-free audio nothing is said of false alarms."""


@dataclass(frozen=True, kw_only=True)
class KeywordEvents:
    """What became of the labels and events of one keyword, by the rules of `metrics.events`.

    `end_error_ms` is the median distance of an event's end to that of its label, `end_bias_ms` the
    median of event minus label, `delay_ms` and `delay_p90_ms` are median and 90th percentile of how
    long after its end a label was reported; `None` where no label that was hit has an end. `curve`
    holds the points of the trade-off over thresholds. The interval of a figure is `None` where
    there is no figure, and where all is from one speaker.
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
    delay_ms: float | None = None
    delay_p90_ms: float | None = None
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


_EVALUATION = TypeAdapter(EventEvaluation)


def as_details(made: EventEvaluation) -> dict[str, Any]:
    """Return an evaluation as JSON, its curves thinned, for `from_details`."""
    thin = tuple(replace(one, curve=tuple(thinned(one.curve))) for one in made.keywords)
    content: dict[str, Any] = _EVALUATION.dump_python(replace(made, keywords=thin), mode="json")
    return {"continuous": content}


def from_details(details: Mapping[str, Any]) -> EventEvaluation | None:
    """Return the evaluation that the details of a result hold, `None` where there is none."""
    content = details.get("continuous")
    return None if content is None else _EVALUATION.validate_python(content)


def event_measurements(made: EventEvaluation) -> tuple[Measurement, ...]:
    """Return misses, false alarms an hour and delay of all keywords together."""
    total = made.total
    alarms, missed = total.false_alarms_per_hour_basis, total.miss_rate_basis
    found = [
        Measurement(
            "false_alarms_per_hour",
            total.false_alarms_per_hour,
            "/h",
            None,
            total.false_alarms_per_hour_ci95,
            alarms.speakers or None,
        )
    ]
    if total.miss_rate is not None and missed is not None:
        share = (total.labels, total.miss_rate_ci95, missed.speakers or None)
        found.insert(0, Measurement("miss_rate", total.miss_rate, "", *share))
    if total.delay_ms is not None:
        hits = total.labels - total.misses
        found.append(Measurement("detection_delay_ms", total.delay_ms, "ms", hits))
    return tuple(found)


def thinned(curve: Sequence[Point]) -> list[Point]:
    """Return at most `MOST_POINTS` points of a curve, the first and the last among them."""
    if len(curve) <= MOST_POINTS:
        return list(curve)
    kept = np.linspace(0, len(curve) - 1, MOST_POINTS).round().astype(int)
    return [curve[i] for i in kept]


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
        one = outcome_at(threshold, track, *rest)
        late = delays_s(one, threshold, track, word, timing, scores.axis)
        counts = _counted(one, late, word, scores)
        curve = corners(tradeoff(tried[word], track, *rest))
        counted.append(counts)
        rows.append(_row(word, threshold, [counts], seconds, scores, curve))
    return EventEvaluation(
        settings={key: value for key, value in settings.items() if key != "calibration"},
        tolerance_s=tolerance_s,
        recordings=len(scores.counts),
        audio_s=scores.audio_s,
        keyword_free_s=float(seconds.sum()),
        keywords=tuple(rows),
        total=_row(ALL_KEYWORDS, None, counted, seconds, scores, ()),
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
    """What became of a keyword: labels and misses by who says them, `(groups,)`, and the rest.

    `false_alarms` are those of each recording, `(recordings,)`. `end_errors_s` and `delays_s` hold
    those of the hits whose label has an end.
    """

    labels: Ints
    misses: Ints
    false_alarms: Ints
    repeats: int
    confusions: int
    end_errors_s: NDArray[np.float64]
    delays_s: NDArray[np.float64]


def _counted(one: Outcome, late_s: NDArray[np.float64], word: str, scores: Scores) -> _Counted:
    axis, said_by = scores.axis, scores.said_by[word]
    groups, recordings = len(set(scores.people.codes.tolist())), len(axis.begins)
    labels = np.bincount(said_by, minlength=groups)
    return _Counted(
        labels,
        labels - np.bincount(said_by[one.hit_labels], minlength=groups),
        np.bincount(recording_of(one.false_alarms_s, axis.recordings), minlength=recordings),
        one.repeats,
        one.confusions,
        one.end_errors_s[axis.timed[word][one.hit_labels]],
        late_s,
    )


def _row(
    keyword: str,
    threshold: float | None,
    counted: Sequence[_Counted],
    seconds: NDArray[np.float64],
    scores: Scores,
    curve: Sequence[Point],
) -> KeywordEvents:
    labels, misses, false_alarms = (
        np.sum([getattr(one, name) for one in counted], axis=0)
        for name in ("labels", "misses", "false_alarms")
    )
    said, missed, alarms = int(labels.sum()), int(misses.sum()), int(false_alarms.sum())
    each = Groups(np.arange(len(labels)), scores.people.speakers)
    of_misses = miss_rate(misses, labels, each) if said else None
    of_alarms = alarms_per_hour(false_alarms, seconds, scores.axis.groups)
    errors = np.concatenate([one.end_errors_s for one in counted])
    late = np.concatenate([one.delays_s for one in counted])
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
        delay_ms=1000 * float(np.median(late)) if len(late) else None,
        delay_p90_ms=1000 * float(np.quantile(late, 0.9)) if len(late) else None,
        curve=tuple(curve),
    )
