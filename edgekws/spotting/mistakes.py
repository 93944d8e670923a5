"""The worst false alarms and misses of a bundle in continuous audio, to be heard and seen."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from pydantic import TypeAdapter

from edgekws.metrics.event_tradeoff import LOWEST, events, outcome_at, tracks
from edgekws.metrics.events import recording_of
from edgekws.metrics.score_tracks import Track, level, runs
from edgekws.runtime.detect import UNIT
from edgekws.spotting.results import placing_of, timing_of
from edgekws.spotting.scores import Scores

MOST = 3
"""Mistakes of each kind that are kept."""

LONGEST_S = 2.0
"""Of a longer label, the part before the highest score is kept."""

AROUND_S = 0.3
"""Audio before and after a mistake."""

_PREFIX = "data:audio/flac;base64,"


@dataclass(frozen=True)
class Mistake:
    """A false alarm, or a keyword that was missed, with its highest smoothed posterior.

    `recording` is its index, `start_s` and `end_s` are in it; `audio` is a FLAC file as a data
    URI.
    """

    kind: Literal["false alarm", "miss"]
    keyword: str
    score: float
    threshold: float
    recording: int
    start_s: float
    end_s: float
    audio: str = ""


_MISTAKES = TypeAdapter(tuple[Mistake, ...])


def as_details(mistakes: Sequence[Mistake]) -> dict[str, Any]:
    """Return mistakes as JSON, for `from_details`."""
    return {"mistakes": _MISTAKES.dump_python(tuple(mistakes), mode="json")}


def from_details(details: Mapping[str, Any]) -> tuple[Mistake, ...]:
    """Return the mistakes in the details of a result."""
    return _MISTAKES.validate_python(details.get("mistakes", ()))


def worst(scores: Scores, settings: Mapping[str, Any], tolerance_s: float) -> tuple[Mistake, ...]:
    """Return the false alarms with the highest scores and the misses with the lowest."""
    span = timing_of(settings, scores).span
    lowest = min(LOWEST, *settings["thresholds"].values())
    keyword_tracks = tracks(scores.counts, scores.axis, span, lowest)
    mistakes = [
        mistake
        for word, track in zip(scores.keywords, keyword_tracks, strict=True)
        for mistake in _mistakes(word, track, scores, settings, tolerance_s)
    ]
    alarms = sorted((m for m in mistakes if m.kind == "false alarm"), key=lambda m: -m.score)
    misses = sorted((m for m in mistakes if m.kind == "miss"), key=lambda m: m.score)
    return (*alarms[:MOST], *misses[:MOST])


def _mistakes(
    word: str, track: Track, scores: Scores, settings: Mapping[str, Any], tolerance_s: float
) -> Iterator[Mistake]:
    axis, threshold = scores.axis, settings["thresholds"][word]
    timing, placing = timing_of(settings, scores), placing_of(settings, word)
    result = outcome_at(threshold, track, word, timing, axis, placing, tolerance_s)
    detected = events(runs(track, level(threshold, timing.span), timing), axis, placing)
    labels = axis.labels[word]
    missed = np.setdiff1d(np.arange(len(labels.start)), result.hit_labels)
    alarms = np.isin(detected.start, result.false_alarms_s)
    spans = [("false alarm", *span) for span in zip(*(d[alarms] for d in detected), strict=True)]
    spans += [("miss", *span) for span in zip(*(side[missed] for side in labels), strict=True)]
    times = axis.seconds(track.decisions)
    reach_s = scores.window_s + timing.span * axis.interval_s
    for kind, start, end in spans:
        near = np.flatnonzero((times >= start) & (times <= end + reach_s))
        values = track.values[near]
        peak = float(values.max(initial=0)) / (timing.span * UNIT)
        if end - start > LONGEST_S:
            last = times[near[values.argmax()]] if len(near) else start
            start = min(max(start, last - LONGEST_S), end - LONGEST_S)
            end = start + LONGEST_S
        number = int(recording_of(np.array([start]), axis.recordings)[0])
        zero = float(axis.recordings.start[number])
        place = (round(float(start) - zero, 3), round(float(end) - zero, 3))
        yield Mistake(kind, word, round(peak, 4), threshold, number, *place)


def with_audio(mistakes: Sequence[Mistake], recordings: Sequence[Path]) -> tuple[Mistake, ...]:
    """Return mistakes with their audio, cut from the recordings that the indices mean."""
    return tuple(replace(m, audio=_audio(m, recordings[m.recording])) for m in mistakes)


def samples_of(mistake: Mistake) -> tuple[np.ndarray[tuple[int], np.dtype[np.float32]], int]:
    """Return the samples `(n,)` of a mistake's audio, and their rate."""
    content = base64.b64decode(mistake.audio.removeprefix(_PREFIX))
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    return samples, rate


def _audio(mistake: Mistake, recording: Path) -> str:
    with soundfile.SoundFile(recording) as file:
        first = max(0, round((mistake.start_s - AROUND_S) * file.samplerate))
        last = min(len(file), round((mistake.end_s + AROUND_S) * file.samplerate))
        file.seek(min(first, last))
        samples, rate = file.read(max(0, last - first), dtype="int16"), file.samplerate
    written = io.BytesIO()
    soundfile.write(written, samples, rate, format="FLAC", subtype="PCM_16")
    return _PREFIX + base64.b64encode(written.getvalue()).decode("ascii")
