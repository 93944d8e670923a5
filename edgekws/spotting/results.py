"""Misses and false alarms of a bundle in continuous audio, with confidence intervals."""

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
from edgekws.runtime.detect import placing
from edgekws.spotting.scores import Scores

ALL_KEYWORDS = "all keywords"

MOST_POINTS = 60
"""Most points of a curve in a manifest or a report."""

LEAST_S = 1.0
"""Least keyword-free audio for which false alarms are reported."""


@dataclass(frozen=True, kw_only=True)
class KeywordEvents:
    """Results for one keyword by the rules of `metrics.events`.

    `end_error_ms` is the median distance between the ends of an event and its label,
    `end_bias_ms` the median of event minus label; `delay_ms` and `delay_p90_ms` are the median and
    90th percentile of the time from a label's end to its report; `None` if no hit label has an
    end. `curve` holds the points of the trade-off over thresholds. The interval of a figure is
    `None` without a figure and with a single speaker.
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
    """Results of a bundle on labelled recordings, with its settings and the amount of audio."""

    settings: dict[str, Any]
    tolerance_s: float
    recordings: int
    audio_s: float
    keyword_free_s: float
    keywords: tuple[KeywordEvents, ...]
    total: KeywordEvents
    notes: tuple[str, ...] = ()


_EVALUATION = TypeAdapter(EventEvaluation)


def as_details(evaluation: EventEvaluation) -> dict[str, Any]:
    """Return an evaluation as JSON, its curves thinned, for `from_details`."""
    keywords = tuple(replace(k, curve=tuple(thinned(k.curve))) for k in evaluation.keywords)
    thin = replace(evaluation, keywords=keywords)
    content: dict[str, Any] = _EVALUATION.dump_python(thin, mode="json")
    return {"continuous": content}


def from_details(details: Mapping[str, Any]) -> EventEvaluation | None:
    """Return the evaluation in the details of a result, `None` if there is none."""
    content = details.get("continuous")
    return None if content is None else _EVALUATION.validate_python(content)


def event_measurements(evaluation: EventEvaluation) -> tuple[Measurement, ...]:
    """Return misses, false alarms per hour and delay of all keywords together."""
    total = evaluation.total
    alarms, missed = total.false_alarms_per_hour_basis, total.miss_rate_basis
    measurements = [
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
        measurements.insert(0, Measurement("miss_rate", total.miss_rate, "", *share))
    if total.delay_ms is not None:
        hits = total.labels - total.misses
        measurements.append(Measurement("detection_delay_ms", total.delay_ms, "ms", hits))
    return tuple(measurements)


def thinned(curve: Sequence[Point]) -> list[Point]:
    """Return at most `MOST_POINTS` points of a curve, including the first and the last."""
    if len(curve) <= MOST_POINTS:
        return list(curve)
    indices = np.linspace(0, len(curve) - 1, MOST_POINTS).round().astype(int)
    return [curve[i] for i in indices]


def timing_of(settings: Mapping[str, Any], scores: Scores) -> Timing:
    """Return the timing of the manifest's `detection`, as the runtime counts it."""
    interval_s = scores.axis.interval_s
    return Timing(
        max(1, round(settings["smoothing_ms"] / 1000 / interval_s)),
        round(settings["refractory_ms"] / 1000 / interval_s),
        longest(scores),
    )


def longest(scores: Scores) -> int:
    """Return the longest run in decisions, the length of the window."""
    return max(1, round(scores.window_s / scores.axis.interval_s))


def placing_of(settings: Mapping[str, Any], keyword: str) -> Placing:
    """Return the placing of a keyword's events from the manifest's `detection`."""
    return Placing(*placing(dict(settings), keyword))


def candidates(
    scores: Scores, keyword_tracks: Sequence[Track], timing: Timing
) -> dict[str, list[float]]:
    """Return the candidate thresholds of each keyword."""
    reach_s = scores.window_s + timing.span * scores.axis.interval_s
    return {
        word: thresholds(track, timing.span, scores.axis.labels[word], scores.axis, reach_s)
        for word, track in zip(scores.keywords, keyword_tracks, strict=True)
    }


def evaluate_settings(
    scores: Scores, settings: Mapping[str, Any], tolerance_s: float, notes: Sequence[str] = ()
) -> EventEvaluation:
    """Return the results of the bundle with the given settings, and every keyword's trade-off.

    Raises:
        DataError: there is no keyword-free audio.
    """
    timing = timing_of(settings, scores)
    lowest = min(LOWEST, *settings["thresholds"].values())
    keyword_tracks = tracks(scores.counts, scores.axis, timing.span, lowest)
    tried_thresholds = candidates(scores, keyword_tracks, timing)
    seconds = free_s(scores, tolerance_s)
    rows, counted = [], []
    for word, track in zip(scores.keywords, keyword_tracks, strict=True):
        rest = (word, timing, scores.axis, placing_of(settings, word), tolerance_s)
        threshold = settings["thresholds"][word]
        result = outcome_at(threshold, track, *rest)
        delays = delays_s(result, threshold, track, word, timing, scores.axis)
        counts = _counted(result, delays, word, scores)
        curve = corners(tradeoff(tried_thresholds[word], track, *rest))
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
    """Return the keyword-free seconds of each recording.

    Raises:
        DataError: there are fewer than `LEAST_S`.
    """
    seconds = scores.axis.keyword_free_s(tolerance_s)
    if seconds.sum() < LEAST_S:
        raise DataError(
            f"{seconds.sum():.1f} s of keyword-free audio are too little to measure false alarms; "
            "give more with --negatives"
        )
    return seconds


@dataclass(frozen=True)
class _Counted:
    """Counts of one keyword: labels and misses by speaker group, `(groups,)`, and the rest.

    `false_alarms` are per recording, `(recordings,)`. `end_errors_s` and `delays_s` cover the hits
    whose label has an end.
    """

    labels: Ints
    misses: Ints
    false_alarms: Ints
    repeats: int
    confusions: int
    end_errors_s: NDArray[np.float64]
    delays_s: NDArray[np.float64]


def _counted(result: Outcome, late_s: NDArray[np.float64], word: str, scores: Scores) -> _Counted:
    axis, said_by = scores.axis, scores.said_by[word]
    groups, recordings = len(set(scores.people.codes.tolist())), len(axis.begins)
    labels = np.bincount(said_by, minlength=groups)
    return _Counted(
        labels,
        labels - np.bincount(said_by[result.hit_labels], minlength=groups),
        np.bincount(recording_of(result.false_alarms_s, axis.recordings), minlength=recordings),
        result.repeats,
        result.confusions,
        result.end_errors_s[axis.timed[word][result.hit_labels]],
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
        np.sum([getattr(counts, name) for counts in counted], axis=0)
        for name in ("labels", "misses", "false_alarms")
    )
    said, missed, alarms = int(labels.sum()), int(misses.sum()), int(false_alarms.sum())
    each = Groups(np.arange(len(labels)), scores.people.speakers)
    misses_doubt = miss_rate(misses, labels, each) if said else None
    alarms_doubt = alarms_per_hour(false_alarms, seconds, scores.axis.groups)
    errors = np.concatenate([counts.end_errors_s for counts in counted])
    delays = np.concatenate([counts.delays_s for counts in counted])
    return KeywordEvents(
        keyword=keyword,
        threshold=threshold,
        labels=said,
        misses=missed,
        miss_rate=missed / said if said else None,
        miss_rate_ci95=misses_doubt.ci95 if misses_doubt else None,
        miss_rate_basis=misses_doubt.basis if misses_doubt else None,
        false_alarms=alarms,
        false_alarms_per_hour=alarms * HOUR_S / float(seconds.sum()),
        false_alarms_per_hour_ci95=alarms_doubt.ci95,
        false_alarms_per_hour_basis=alarms_doubt.basis,
        repeats=sum(counts.repeats for counts in counted),
        confusions=sum(counts.confusions for counts in counted),
        end_error_ms=1000 * float(np.median(np.abs(errors))) if len(errors) else None,
        end_bias_ms=1000 * float(np.median(errors)) if len(errors) else None,
        delay_ms=1000 * float(np.median(delays)) if len(delays) else None,
        delay_p90_ms=1000 * float(np.quantile(delays, 0.9)) if len(delays) else None,
        curve=tuple(curve),
    )
