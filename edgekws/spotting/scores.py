"""What a bundle's detector makes of labelled recordings: gone through once, for all settings."""

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
"""By so much an event may lie beside its label."""

COUNTS = "counts.npz"
MANIFEST = "manifest.json"

_Said = tuple[Label, float, float, int]
"""A label, when its recording begins on the axis, how long that is, and the speaker's group."""


@dataclass(frozen=True)
class Scores:
    """Posteriors of the keywords over recordings, and the settings that the bundle came with.

    `counts` holds `(D, keywords)` for each recording, in units of the runtime. `said_by` holds the
    group of the speaker of every label of a keyword, `people` are these groups.
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
    counts, durations = [], []
    for number, one in enumerate(recordings):
        progress(emit, "listen", number, len(recordings), unit="recordings")
        blocks = _blocks(one, detector.sample_rate)
        posteriors, duration_s = keyword_posteriors(detector, blocks, window_s)
        _check_labels(one, duration_s)
        counts.append(np.rint(posteriors * UNIT).astype(np.int64))
        durations.append(duration_s)
    progress(emit, "listen", len(recordings), len(recordings))
    return _scores(manifest, recordings, counts, np.array(durations), detector.seconds(0))


def read_scores(folder: Path) -> Scores:
    """Return the scores of streams that were heard into `folder`.

    It holds the streams' table, the manifest of the bundle, and what `runtime.hear_streams` wrote.
    """
    recordings = read_streams(folder)
    with np.load(folder / COUNTS) as heard:
        counts = [heard[f"counts_{i}"].astype(np.int64) for i in range(len(recordings))]
        durations, first_s = heard["seconds"], float(heard["first_s"])
    return _scores(read_json(folder / MANIFEST), recordings, counts, durations, first_s)


def _check_labels(one: Labelled, duration_s: float) -> None:
    if not duration_s:
        raise DataError(f"{one.path}: holds no samples; take it out")
    for label in one.labels:
        if label.start_s >= duration_s:
            raise DataError(
                f"{one.path}: {label.keyword} is labelled from {label.start_s:g} s on, and the "
                f"recording ends at {duration_s:g} s; correct start_s"
            )


def _blocks(one: Labelled, sample_rate: int) -> Blocks:
    return read_blocks(one.path, sample_rate, 1.0, one.start_s, one.end_s)


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
    apart = round(APART_S / interval_s)
    lengths = np.array([len(one) + apart for one in counts])
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    spoken = [(one, label) for one in recordings for label in one.labels]
    people = group_recordings([(i.speaker or one.speaker, str(one.path)) for one, i in spoken])
    groups = iter(people.codes.tolist())
    said = sorted(
        (
            (label, zero, duration, next(groups))
            for one, zero, duration in zip(
                recordings, begins * interval_s, durations_s, strict=True
            )
            for label in one.labels
        ),
        key=lambda one: one[1] + one[0].start_s,
    )
    keywords = tuple(w for w in manifest["contract"]["labels"] if w not in detect.FILLERS)
    words = {word: [one for one in said if one[0].keyword == word] for word in keywords}
    axis = Axis(
        begins=begins,
        durations_s=durations_s,
        interval_s=interval_s,
        first_s=first_s,
        labels={word: _spans(own) for word, own in words.items()},
        timed={word: _timed(own) for word, own in words.items()},
        every_label=_spans(said),
        groups=group_recordings([(one.speaker, str(one.path)) for one in recordings]),
    )
    said_by = {word: np.array([g for *_, g in own], np.int64) for word, own in words.items()}
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
