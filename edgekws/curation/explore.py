"""Looks at a dataset: every clip measured, the same audio found again, what to fix listed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.inspection import Sound, inspect
from edgekws.audio.parallel import in_parallel
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.events import Emit
from edgekws.curation.evidence import Evidence, Finding
from edgekws.curation.findings import findings
from edgekws.curation.listing import Inventory, Piece, take_inventory
from edgekws.curation.repeats import repeats
from edgekws.curation.source import Material
from edgekws.errors import DataError

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
BINS = 40


@dataclass(frozen=True)
class Histogram:
    """How many clips of each split lie between the `edges` `(bins + 1,)`."""

    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Exploration:
    """What is known of a dataset.

    `counts` and `speakers` are of label and split; `spread` has the percentiles 0, 5, 25, 50, 75,
    95 and 100 of `length_s`, `rms_dbfs`, `peak_dbfs` and `range_db` (loud against quiet frames)
    over all clips that could be read, `levels` those of `rms_dbfs` for each label;
    `clips_per_speaker` begins with who spoke most. `rows` has every clip with what was measured.
    """

    name: str
    source: str
    clips: int
    readable: int
    hours: float
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    speakers: dict[str, dict[str, int]]
    speakers_per_split: dict[str, int]
    clips_per_speaker: dict[str, int]
    sample_rates: dict[str, int]
    channels: dict[str, int]
    formats: dict[str, int]
    spread: dict[str, tuple[float, ...]]
    levels: dict[str, tuple[float, ...]]
    histograms: dict[str, Histogram]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the rows, for machines."""
        told = asdict(self)
        del told["rows"]
        return told | {"percentiles": list(PERCENTILES)}


def explore(material: Material, emit: Emit) -> Exploration:
    """Measure every clip of a dataset, on all cores; what is broken is told, not refused.

    Raises:
        DataError: nothing can be listed, or not one clip can be read.
    """
    inventory = take_inventory(material, emit)
    pieces = inventory.pieces
    heard = in_parallel(lambda i: _heard(pieces[i]), len(pieces), emit, "listening")
    sounds = [one if isinstance(one, Sound) else None for one in heard]
    if not any(sounds):
        first = next((one for one in heard if isinstance(one, str)), "it lists no clips")
        raise DataError(f"{material.source}: none of its {len(pieces)} clips can be read: {first}")
    errors = ["" if isinstance(one, Sound) else one for one in heard]
    groups, told = repeats(pieces, sounds, emit)
    root = _common(pieces)
    evidence = Evidence(material, inventory, sounds, errors, groups, root)
    found = tuple(findings(evidence))
    return _explored(material, inventory, sounds, errors, found, [*inventory.notes, *told])


def _heard(piece: Piece) -> Sound | str:
    try:
        return inspect(piece.path, piece.start_s, piece.end_s)
    except DataError as error:
        return str(error)


def _common(pieces: Sequence[Piece]) -> Path:
    """Return the folder that all clips are in, in the way that they are named."""
    absolute = len({piece.path.is_absolute() for piece in pieces}) > 1
    paths = [piece.path.absolute() if absolute else piece.path for piece in pieces]
    return Path(commonpath([path.parent for path in paths]))


def _explored(
    material: Material,
    inventory: Inventory,
    sounds: Sequence[Sound | None],
    errors: Sequence[str],
    found: tuple[Finding, ...],
    notes: Sequence[str],
) -> Exploration:
    pieces, splits = inventory.pieces, inventory.splits
    known = [sound for sound in sounds if sound is not None]
    counts = Counter((piece.label, piece.split) for piece in pieces)
    spoken = {(p.label, p.split, p.speaker) for p in pieces if p.speaker}
    voices = Counter(piece.speaker for piece in pieces if piece.speaker)
    labels = _ordered({piece.label for piece in pieces})
    return Exploration(
        material.name,
        material.source,
        len(pieces),
        len(known),
        sum(sound.length_s for sound in known) / 3600,
        tuple(labels),
        tuple(splits),
        {label: {split: counts[label, split] for split in splits} for label in labels},
        {
            label: {s: sum(1 for one, at, _ in spoken if (one, at) == (label, s)) for s in splits}
            for label in labels
        },
        {split: len({who for _, at, who in spoken if at == split}) for split in splits},
        dict(voices.most_common()),
        _tally(str(sound.sample_rate) for sound in known),
        _tally(str(sound.channels) for sound in known),
        _tally(piece.path.suffix.lower() for piece in pieces),
        {name: _percentiles([value(s) for s in known]) for name, value in _MEASURES.items()},
        _levels(pieces, sounds, labels),
        {name: _histogram(name, pieces, sounds, splits) for name in _MEASURES},
        found,
        tuple(notes),
        tuple(map(_row, pieces, sounds, errors)),
    )


_MEASURES: dict[str, Callable[[Sound], float]] = {
    "length_s": lambda s: s.length_s,
    "rms_dbfs": lambda s: s.rms_dbfs,
    "peak_dbfs": lambda s: s.peak_dbfs,
    "range_db": lambda s: s.loud_dbfs - s.quiet_dbfs,
}


def _ordered(labels: set[str]) -> list[str]:
    """Return labels sorted, the filler classes last."""
    return sorted(labels, key=lambda label: (label in (UNKNOWN, SILENCE), label))


def _tally(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _percentiles(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in np.percentile(values, PERCENTILES))


def _levels(
    pieces: Sequence[Piece], sounds: Sequence[Sound | None], labels: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    of: dict[str, list[float]] = {label: [] for label in labels}
    for piece, sound in zip(pieces, sounds, strict=True):
        if sound is not None:
            of[piece.label].append(sound.rms_dbfs)
    return {label: _percentiles(values) for label, values in of.items() if values}


def _histogram(
    name: str, pieces: Sequence[Piece], sounds: Sequence[Sound | None], splits: Sequence[str]
) -> Histogram:
    pairs = [(p.split, _MEASURES[name](s)) for p, s in zip(pieces, sounds, strict=True) if s]
    edges = _edges(np.array([value for _, value in pairs]))
    counts = {}
    for split in splits:
        values = np.clip([value for at, value in pairs if at == split], edges[0], edges[-1])
        counts[split] = tuple(int(n) for n in np.histogram(values, edges)[0])
    return Histogram(tuple(round(float(edge), 6) for edge in edges), counts)


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges from the 0.5th to the 99.5th percentile; what lies beyond goes to the ends."""
    low, high = np.percentile(values, [0.5, 99.5])
    if high - low < 1e-3:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _row(piece: Piece, sound: Sound | None, error: str) -> dict[str, Any]:
    end = "" if piece.end_s is None else piece.end_s
    row: dict[str, Any] = {
        "path": str(piece.path), "label": piece.label, "split": piece.split,
        "speaker": piece.speaker, "start_s": piece.start_s, "end_s": end,
    }  # fmt: skip
    measured: dict[str, Any] = dict.fromkeys(_COLUMNS, "")
    if sound is not None:
        told = {name: getattr(sound, name) for name in _COLUMNS}
        measured = {k: round(v, 5) if isinstance(v, float) else v for k, v in told.items()}
    return row | measured | {"error": error}


_COLUMNS = (
    "sample_rate", "channels", "length_s", "peak_dbfs", "rms_dbfs", "loud_dbfs", "quiet_dbfs",
    "clipped", "offset", "digest",
)  # fmt: skip
