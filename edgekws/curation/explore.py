"""Explore a dataset: measure every clip, find repeated audio, and list what to fix."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.effective_speakers import Speakers, count_speakers, describe
from edgekws.audio.inspection import Sound, inspect
from edgekws.audio.parallel import in_parallel
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit
from edgekws.curation.evidence import Evidence, Finding
from edgekws.curation.findings import findings
from edgekws.curation.listing import Inventory, Piece, take_inventory
from edgekws.curation.repeats import repeats
from edgekws.curation.source import DataSource
from edgekws.errors import DataError

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
BINS = 40


@dataclass(frozen=True)
class Histogram:
    """Number of clips of each split between the `edges` `(bins + 1,)`."""

    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Exploration:
    """Statistics and findings of a dataset.

    `counts` and `speakers` are by label and split; `spread` has the percentiles 0, 5, 25, 50, 75,
    95 and 100 of `length_s`, `rms_dbfs`, `peak_dbfs` and `range_db` (loud against quiet frames)
    over all readable clips, `levels` those of `rms_dbfs` for each label; `clips_per_speaker` is
    sorted by number, largest first. `kind_of_test` is that of `core.corpus.Listing`;
    `effective_speakers` are those of train and test. `rows` has every clip with its measurements.
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
    kind_of_test: str
    effective_speakers: dict[str, Speakers]
    rows: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the rows, for JSON."""
        values = asdict(self)
        del values["rows"]
        return values | {"percentiles": list(PERCENTILES)}


def explore(source: DataSource, emit: Emit) -> Exploration:
    """Measure every clip of a dataset on all cores; report problems instead of rejecting the data.

    Raises:
        DataError: nothing can be listed, or no clip can be read.
    """
    inventory = take_inventory(source, emit)
    pieces = inventory.pieces
    results = in_parallel(lambda i: _inspected(pieces[i]), len(pieces), emit, "measuring clips")
    sounds = [result if isinstance(result, Sound) else None for result in results]
    if not any(sounds):
        first = next((result for result in results if isinstance(result, str)), "it lists no clips")
        raise DataError(f"{source.source}: none of its {len(pieces)} clips can be read: {first}")
    errors = ["" if isinstance(result, Sound) else result for result in results]
    groups, notes = repeats(pieces, sounds, emit)
    root = _common(pieces)
    evidence = Evidence(source, inventory, sounds, errors, groups, root)
    problems = tuple(findings(evidence))
    speakers = count_speakers(inventory.clips, cache_folder(), emit)
    notes = [*inventory.notes, *notes, *filter(None, [describe(speakers)])]
    return _explored(source, inventory, sounds, errors, problems, notes, speakers)


def _inspected(piece: Piece) -> Sound | str:
    try:
        return inspect(piece.path, piece.start_s, piece.end_s)
    except DataError as error:
        return str(error)


def _common(pieces: Sequence[Piece]) -> Path:
    """Return the common folder of all clips, absolute only if their paths are mixed."""
    absolute = len({piece.path.is_absolute() for piece in pieces}) > 1
    paths = [piece.path.absolute() if absolute else piece.path for piece in pieces]
    return Path(commonpath([path.parent for path in paths]))


def _explored(
    source: DataSource,
    inventory: Inventory,
    sounds: Sequence[Sound | None],
    errors: Sequence[str],
    problems: tuple[Finding, ...],
    notes: Sequence[str],
    effective_speakers: dict[str, Speakers],
) -> Exploration:
    pieces, splits = inventory.pieces, inventory.splits
    readable = [sound for sound in sounds if sound is not None]
    counts = Counter((piece.label, piece.split) for piece in pieces)
    spoken = {(p.label, p.split, p.speaker) for p in pieces if p.speaker}
    voices = Counter(piece.speaker for piece in pieces if piece.speaker)
    labels = _ordered({piece.label for piece in pieces})
    return Exploration(
        source.name,
        source.source,
        len(pieces),
        len(readable),
        sum(sound.length_s for sound in readable) / 3600,
        tuple(labels),
        tuple(splits),
        {label: {split: counts[label, split] for split in splits} for label in labels},
        {
            label: {s: sum(1 for word, at, _ in spoken if (word, at) == (label, s)) for s in splits}
            for label in labels
        },
        {split: len({who for _, at, who in spoken if at == split}) for split in splits},
        dict(voices.most_common()),
        _tally(str(sound.sample_rate) for sound in readable),
        _tally(str(sound.channels) for sound in readable),
        _tally(piece.path.suffix.lower() for piece in pieces),
        {name: _percentiles([value(s) for s in readable]) for name, value in _MEASURES.items()},
        _levels(pieces, sounds, labels),
        {name: _histogram(name, pieces, sounds, splits) for name in _MEASURES},
        problems,
        tuple(notes),
        inventory.kind_of_test,
        effective_speakers,
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
    levels: dict[str, list[float]] = {label: [] for label in labels}
    for piece, sound in zip(pieces, sounds, strict=True):
        if sound is not None:
            levels[piece.label].append(sound.rms_dbfs)
    return {label: _percentiles(values) for label, values in levels.items() if values}


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
    """Return edges from the 0.5th to the 99.5th percentile; values beyond count at the ends."""
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
        values = {name: getattr(sound, name) for name in _COLUMNS}
        measured = {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
    return row | measured | {"error": error}


_COLUMNS = (
    "sample_rate", "channels", "length_s", "peak_dbfs", "rms_dbfs", "loud_dbfs", "quiet_dbfs",
    "clipped", "offset", "digest",
)  # fmt: skip
