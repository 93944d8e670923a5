"""What a bundle's detector makes of labelled recordings: gone through once, for all settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.reading import read_blocks
from edgekws.core.canonical import sha256_of
from edgekws.core.events import Emit, progress
from edgekws.errors import DataError
from edgekws.metrics.event_intervals import group_recordings
from edgekws.metrics.event_tradeoff import APART_S, Axis
from edgekws.metrics.events import Spans
from edgekws.runtime import detect
from edgekws.runtime.detect import UNIT, Detector
from edgekws.spotting.labelled_audio import Label, Labelled
from edgekws.spotting.streams import Blocks

TOLERANCE_S = 0.25
"""By so much an event may lie beside its label."""


@dataclass(frozen=True)
class Scores:
    """Posteriors of the keywords over recordings, and the settings that the bundle came with.

    `counts` holds `(D, keywords)` for each recording, in units of the runtime.
    """

    settings: dict[str, Any]
    keywords: tuple[str, ...]
    counts: list[NDArray[np.int64]]
    axis: Axis
    window_s: float

    @property
    def audio_s(self) -> float:
        """Seconds of all recordings."""
        return float(self.axis.durations_s.sum())


def fingerprint(recordings: Sequence[Labelled]) -> str:
    """Return a hash over names and sizes of the files, and what is labelled in them."""
    told = [(one.path.name, one.path.stat().st_size, repr(one.labels)) for one in recordings]
    return sha256_of(sorted(told))


def listen(
    detector: Detector, manifest: dict[str, Any], recordings: Sequence[Labelled], emit: Emit
) -> Scores:
    """Let a detector hear recordings, each as a stream of its own.

    Raises:
        DataError: a recording cannot be read, or is empty, or is over before a label begins.
    """
    window_s: float = manifest["contract"]["front_end"]["window_s"]
    columns = [detector.labels.index(word) for word in detector.trigger.keywords]
    counts, durations = [], []
    for number, one in enumerate(recordings):
        progress(emit, "listen", number, len(recordings), unit="recordings")
        posteriors, duration_s = _posteriors(detector, one, window_s)
        counts.append(np.rint(posteriors[:, columns] * UNIT).astype(np.int64))
        durations.append(duration_s)
    progress(emit, "listen", len(recordings), len(recordings))
    axis = _axis(detector, manifest, recordings, counts, np.array(durations))
    settings = manifest["detection"]
    return Scores(settings, tuple(detector.trigger.keywords), counts, axis, window_s)


def _posteriors(
    detector: Detector, one: Labelled, window_s: float
) -> tuple[NDArray[np.float64], float]:
    """Return the posteriors `(D, n_labels)` that the trigger would get, and the seconds heard."""
    parts = [np.zeros((0, len(detector.labels)))]
    for block in _blocks(one, detector.sample_rate):
        parts += detector.posteriors(block)
    duration_s = detector.heard_s
    # As the end of a stream is heard: before silence, so that the last word is in the middle once.
    silence = np.zeros(round(window_s * detector.sample_rate) // 2, np.float32)
    parts += detector.posteriors(silence)
    detector.reset()
    if not duration_s:
        raise DataError(f"{one.path}: holds no samples; take it out")
    for label in one.labels:
        if label.start_s >= duration_s:
            raise DataError(
                f"{one.path}: {label.keyword} is labelled from {label.start_s:g} s on, and the "
                f"recording ends at {duration_s:g} s; correct start_s"
            )
    return np.concatenate(parts), duration_s


def _blocks(one: Labelled, sample_rate: int) -> Blocks:
    return read_blocks(one.path, sample_rate, 1.0, one.start_s, one.end_s)


def _axis(
    detector: Detector,
    manifest: dict[str, Any],
    recordings: Sequence[Labelled],
    counts: Sequence[NDArray[np.int64]],
    durations_s: NDArray[np.float64],
) -> Axis:
    front_end, settings = manifest["contract"]["front_end"], manifest["detection"]
    hop_s = settings["hop_frames"] * front_end["hop_length"] / front_end["sample_rate"]
    interval_s = detect.decision_hops(settings["hop_ms"], 1000 * hop_s) * hop_s
    apart = round(APART_S / interval_s)
    lengths = np.array([len(one) + apart for one in counts])
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    said = [
        (label, zero, duration)
        for one, zero, duration in zip(recordings, begins * interval_s, durations_s, strict=True)
        for label in one.labels
    ]
    every = _spans(said)
    words = {
        word: [one for one in said if one[0].keyword == word] for word in detector.trigger.keywords
    }
    return Axis(
        begins=begins,
        durations_s=durations_s,
        interval_s=interval_s,
        first_s=detector.seconds(0),
        labels={word: _spans(own) for word, own in words.items()},
        timed={word: _timed(own) for word, own in words.items()},
        every_label=every,
        groups=group_recordings([(one.speaker, str(one.path)) for one in recordings]),
    )


def _spans(said: Sequence[tuple[Label, float, float]]) -> Spans:
    """Return labels on the axis in order; none lasts longer than its recording."""
    ends = [
        length if label.end_s is None else min(label.end_s, length) for label, _, length in said
    ]
    zero = np.array([begin for _, begin, _ in said], float)
    start = zero + np.array([label.start_s for label, _, _ in said], float)
    order = np.argsort(start, kind="stable")
    return Spans(start[order], (zero + np.array(ends, float))[order])


def _timed(said: Sequence[tuple[Label, float, float]]) -> NDArray[np.bool_]:
    start = np.array([begin + label.start_s for label, begin, _ in said], float)
    timed = np.array([label.end_s is not None for label, _, _ in said], bool)
    found: NDArray[np.bool_] = timed[np.argsort(start, kind="stable")]
    return found
