"""A detector's posteriors on labelled recordings, computed once for all settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.reading import read_blocks
from edgekws.bundle.declared import read_json
from edgekws.core.canonical import sha256_of
from edgekws.core.events import Emit, progress
from edgekws.errors import DataError
from edgekws.metrics.event_intervals import group_recordings
from edgekws.metrics.event_tradeoff import APART_S, Axis
from edgekws.metrics.events import Spans
from edgekws.metrics.tallies import Groups
from edgekws.runtime import detect
from edgekws.runtime.detect import UNIT, Detector
from edgekws.runtime.hear_streams import keyword_posteriors
from edgekws.spotting.held_out import read_streams
from edgekws.spotting.labelled_audio import Label, Labelled
from edgekws.spotting.streams import Blocks

TOLERANCE_S = 0.25
"""Largest distance between an event and its label."""

COUNTS = "counts.npz"
MANIFEST = "manifest.json"

_Said = tuple[Label, float, float, int]
"""A label, the start of its recording on the axis, the recording's length, the speaker's group."""


@dataclass(frozen=True)
class Scores:
    """Posteriors of the keywords over recordings, and the bundle's settings.

    `counts` holds `(D, keywords)` for each recording, in the runtime's units. `said_by` holds the
    speaker group of every label of a keyword, `people` are these groups.
    """

    settings: dict[str, Any]
    keywords: tuple[str, ...]
    counts: list[NDArray[np.int64]]
    axis: Axis
    window_s: float
    said_by: dict[str, NDArray[np.int64]]
    people: Groups

    @property
    def audio_s(self) -> float:
        """Seconds of all recordings."""
        return float(self.axis.durations_s.sum())


def fingerprint(recordings: Sequence[Labelled]) -> str:
    """Return a hash over the names and sizes of the files, and their labels."""
    files = [(r.path.name, r.path.stat().st_size, repr(r.labels)) for r in recordings]
    return sha256_of(sorted(files))


def listen(
    detector: Detector, manifest: dict[str, Any], recordings: Sequence[Labelled], emit: Emit
) -> Scores:
    """Run a detector over recordings, each as a separate stream.

    Raises:
        DataError: a recording cannot be read, is empty, or ends before a label begins.
    """
    window_s: float = manifest["contract"]["front_end"]["window_s"]
    counts, durations = [], []
    for number, recording in enumerate(recordings):
        progress(emit, "listen", number, len(recordings), unit="recordings")
        blocks = _blocks(recording, detector.sample_rate)
        posteriors, duration_s = keyword_posteriors(detector, blocks, window_s)
        _check_labels(recording, duration_s)
        counts.append(np.rint(posteriors * UNIT).astype(np.int64))
        durations.append(duration_s)
    progress(emit, "listen", len(recordings), len(recordings))
    return _scores(manifest, recordings, counts, np.array(durations), detector.seconds(0))


def read_scores(folder: Path) -> Scores:
    """Return the scores stored in `folder`.

    It holds the streams' table, the bundle's manifest, and the output of `runtime.hear_streams`.
    """
    recordings = read_streams(folder)
    with np.load(folder / COUNTS) as arrays:
        counts = [arrays[f"counts_{i}"].astype(np.int64) for i in range(len(recordings))]
        durations, first_s = arrays["seconds"], float(arrays["first_s"])
    return _scores(read_json(folder / MANIFEST), recordings, counts, durations, first_s)


def _check_labels(recording: Labelled, duration_s: float) -> None:
    if not duration_s:
        raise DataError(f"{recording.path}: holds no samples; take it out")
    for label in recording.labels:
        if label.start_s >= duration_s:
            raise DataError(
                f"{recording.path}: {label.keyword} is labelled from {label.start_s:g} s on, and "
                f"the recording ends at {duration_s:g} s; correct start_s"
            )


def _blocks(recording: Labelled, sample_rate: int) -> Blocks:
    return read_blocks(recording.path, sample_rate, 1.0, recording.start_s, recording.end_s)


def _scores(
    manifest: dict[str, Any],
    recordings: Sequence[Labelled],
    counts: list[NDArray[np.int64]],
    durations_s: NDArray[np.float64],
    first_s: float,
) -> Scores:
    front_end, settings = manifest["contract"]["front_end"], manifest["detection"]
    hop_s = settings["hop_frames"] * front_end["hop_length"] / front_end["sample_rate"]
    interval_s = detect.decision_hops(settings["hop_ms"], 1000 * hop_s) * hop_s
    gap = round(APART_S / interval_s)
    lengths = np.array([len(decisions) + gap for decisions in counts])
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    spoken = [(recording, label) for recording in recordings for label in recording.labels]
    people = group_recordings([(i.speaker or r.speaker, str(r.path)) for r, i in spoken])
    groups = iter(people.codes.tolist())
    said = sorted(
        (
            (label, zero, duration, next(groups))
            for recording, zero, duration in zip(
                recordings, begins * interval_s, durations_s, strict=True
            )
            for label in recording.labels
        ),
        key=lambda placed: placed[1] + placed[0].start_s,
    )
    keywords = tuple(w for w in manifest["contract"]["labels"] if w not in detect.FILLERS)
    words = {word: [placed for placed in said if placed[0].keyword == word] for word in keywords}
    axis = Axis(
        begins=begins,
        durations_s=durations_s,
        interval_s=interval_s,
        first_s=first_s,
        labels={word: _spans(placed) for word, placed in words.items()},
        timed={word: _timed(placed) for word, placed in words.items()},
        every_label=_spans(said),
        groups=group_recordings([(r.speaker, str(r.path)) for r in recordings]),
    )
    said_by = {word: np.array([g for *_, g in placed], np.int64) for word, placed in words.items()}
    return Scores(settings, keywords, counts, axis, front_end["window_s"], said_by, people)


def _spans(said: Sequence[_Said]) -> Spans:
    """Return labels on the axis; none lasts longer than its recording."""
    ends = [
        zero + (length if label.end_s is None else min(label.end_s, length))
        for label, zero, length, _ in said
    ]
    starts = [zero + label.start_s for label, zero, *_ in said]
    return Spans(np.array(starts, float), np.array(ends, float))


def _timed(said: Sequence[_Said]) -> NDArray[np.bool_]:
    return np.array([label.end_s is not None for label, *_ in said], bool)
