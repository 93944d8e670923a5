"""The worst false alarms and misses of a bundle in continuous audio, to be heard and seen.

Strict thresholds leave few false alarms or none; close calls, the highest scores below a threshold
where no keyword is said, then show what a keyword is nearly confused with.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
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
"""False alarms and close calls that a step keeps, and misses."""

LONGEST_S = 2.0
"""Of a longer label, the part before the highest score is kept."""

AROUND_S = 0.3
"""Audio before and after a mistake."""

_Kind = Literal["false alarm", "close call", "miss"]

_PREFIX = "data:audio/flac;base64,"


@dataclass(frozen=True)
class Mistake:
    """A false alarm, nearly one, or a keyword that was missed, with its highest smoothed posterior.

    `recording` is its index, `start_s` and `end_s` are in it; `file` is its path where that means
    something to a user, and `audio` a FLAC file as a data URI.
    """

    kind: _Kind
    keyword: str
    score: float
    threshold: float
    recording: int
    start_s: float
    end_s: float
    file: str = ""
    audio: str = ""


_MISTAKES = TypeAdapter(tuple[Mistake, ...])


def as_details(mistakes: Sequence[Mistake]) -> dict[str, Any]:
    """Return mistakes as JSON, for `from_details`."""
    return {"mistakes": _MISTAKES.dump_python(tuple(mistakes), mode="json")}


def from_details(details: Mapping[str, Any]) -> tuple[Mistake, ...]:
    """Return the mistakes in the details of a result."""
    return _MISTAKES.validate_python(details.get("mistakes", ()))


def as_record(mistake: Mistake) -> dict[str, Any]:
    """Return a mistake for programs: its file and times, without its audio."""
    return {k: v for k, v in asdict(mistake).items() if k not in ("recording", "audio")}


def worst(
    scores: Scores, settings: Mapping[str, Any], tolerance_s: float, most: int = MOST
) -> tuple[Mistake, ...]:
    """Return the false alarms with the highest scores, and the misses with the lowest.

    There are at most `most` of each; close calls follow where there are fewer false alarms.
    """
    span = timing_of(settings, scores).span
    lowest = min(LOWEST, *settings["thresholds"].values())
    keyword_tracks = tracks(scores.counts, scores.axis, span, lowest)
    mistakes = [
        mistake
        for word, track in zip(scores.keywords, keyword_tracks, strict=True)
        for mistake in _mistakes(word, track, scores, settings, tolerance_s)
    ]
    alarms, calls, misses = (
        sorted((m for m in mistakes if m.kind == kind), key=lambda m: m.score)
        for kind in ("false alarm", "close call", "miss")
    )
    return (*[*alarms[::-1], *calls[::-1]][:most], *misses[:most])


def _mistakes(
    word: str, track: Track, scores: Scores, settings: Mapping[str, Any], tolerance_s: float
) -> Iterator[Mistake]:
    axis, threshold = scores.axis, settings["thresholds"][word]
    timing = timing_of(settings, scores)
    times = axis.seconds(track.decisions)
    reach_s = scores.window_s + timing.span * axis.interval_s
    for kind, start, end in _spans(word, track, scores, settings, tolerance_s):
        first = int(np.searchsorted(times, start))
        values = track.values[first : np.searchsorted(times, end + reach_s, side="right")]
        peak = float(values.max(initial=0)) / (timing.span * UNIT)
        if kind == "close call" and peak >= threshold:  # a false alarm, or close to a keyword
            continue
        if end - start > LONGEST_S:
            last = times[first + values.argmax()] if len(values) else start
            start = min(max(start, last - LONGEST_S), end - LONGEST_S)
            end = start + LONGEST_S
        number = int(recording_of(np.array([start]), axis.recordings)[0])
        zero = float(axis.recordings.start[number])
        place = (round(float(start) - zero, 3), round(float(end) - zero, 3))
        yield Mistake(kind, word, round(peak, 4), threshold, number, *place)


def _spans(
    word: str, track: Track, scores: Scores, settings: Mapping[str, Any], tolerance_s: float
) -> Iterator[tuple[_Kind, float, float]]:
    """Yield where a keyword was missed, and where its score is high though it is not said."""
    axis, threshold, labels = scores.axis, settings["thresholds"][word], scores.axis.labels[word]
    timing, placing = timing_of(settings, scores), placing_of(settings, word)
    outcome = partial(
        outcome_at, track=track, keyword=word, timing=timing, axis=axis, placing=placing,
        tolerance_s=tolerance_s,
    )  # fmt: skip
    missed = np.setdiff1d(np.arange(len(labels.start)), outcome(threshold).hit_labels)
    yield from (("miss", *span) for span in zip(*(d[missed] for d in labels), strict=True))
    limits: dict[_Kind, float] = {"false alarm": threshold, "close call": min(threshold, LOWEST)}
    for kind, limit in limits.items():
        detected = events(runs(track, level(limit, timing.span), timing), axis, placing)
        alarms = np.isin(detected.start, outcome(limit).false_alarms_s)
        yield from ((kind, *span) for span in zip(*(d[alarms] for d in detected), strict=True))


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
