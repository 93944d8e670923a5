"""List the clips of a dataset as training does, or as far as possible."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekws.audio.folders import audio_files, ignored_line
from edgekws.core.corpus import SPLITS, Clip
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit
from edgekws.curation.source import DataSource
from edgekws.datasets.listing.labels import word_name
from edgekws.datasets.listing.manifest_rows import filtered, recordings
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.tables import Table, read_table
from edgekws.datasets.listing.word_folders import LISTS, Recording, word_folders
from edgekws.errors import DataError

NO_SPLIT = "–"
"""The split of an unlisted clip if no clips could be held out."""


@dataclass(frozen=True)
class Piece:
    """One listed clip; `speaker` is empty if unknown, `end_s=None` is the end of the file."""

    path: Path
    label: str
    split: str
    speaker: str
    start_s: float = 0.0
    end_s: float | None = None

    @property
    def name(self) -> str:
        """The file, and the part of it."""
        if not self.start_s and self.end_s is None:
            return str(self.path)
        end = "end" if self.end_s is None else f"{self.end_s:g}"
        return f"{self.path} ({self.start_s:g}–{end} s)"


@dataclass
class Inventory:
    """The listed clips; `refused` is why training would reject them, `rows` are wrong rows.

    `kind_of_test` and `clips` are those of `core.corpus.Listing`, empty if training would reject
    them.
    """

    pieces: list[Piece]
    notes: list[str] = field(default_factory=list)
    refused: str = ""
    rows: list[str] = field(default_factory=list)
    kind_of_test: str = ""
    clips: tuple[Clip, ...] = ()

    @property
    def splits(self) -> list[str]:
        """The splits that have clips, in their order."""
        present = {piece.split for piece in self.pieces}
        return [split for split in (*SPLITS, NO_SPLIT) if split in present]


def take_inventory(source: DataSource, emit: Emit) -> Inventory:
    """List the clips, including those that training rejects, with the reason.

    Raises:
        DataError: nothing can be listed.
    """
    dataset, seed = source.dataset, source.seed
    try:
        listing = dataset.list_clips(source.front_end, seed, cache_folder(), emit)
    except DataError as error:
        inventory = _partial_inventory(dataset, error)
        if not inventory.pieces:
            raise
        return inventory
    pieces = [
        Piece(c.path, c.label, c.split, c.speaker or "", c.start_s, c.end_s) for c in listing.clips
    ]
    return Inventory(
        pieces, list(listing.notes), kind_of_test=listing.kind_of_test, clips=listing.clips
    )


def _partial_inventory(dataset: Any, error: DataError) -> Inventory:
    if dataset.kind == "manifest":
        return _of_table(dataset, error)
    if dataset.kind == "folder":
        return _of_folder(dataset, error)
    raise error


def _of_table(dataset: Any, error: DataError) -> Inventory:
    table = read_table(dataset.path.expanduser())
    root = (dataset.root or dataset.path.parent).expanduser()
    rule = _rule(dataset, dataset.columns.speaker)
    rows = filtered(table, dataset.where)
    listed = recordings(table, rows, dataset.columns, root, rule)
    return Inventory(_pieces(listed, rule), [], str(error), _wrong_rows(table, rule))


def _wrong_rows(table: Table, rule: Rule) -> list[str]:
    """Return the problems of the rows without leaks, which are found in the clips themselves."""
    leak = f"(speakers are known by {rule.source})"
    return [problem for problem in table.problems if not problem.endswith(leak)]


def _of_folder(dataset: Any, error: DataError) -> Inventory:
    root = dataset.root.expanduser()
    noise = dataset.noise.expanduser() if dataset.noise else None
    ignored: Counter[str] = Counter()
    splits = _listed_splits(root)
    listed = [
        Recording(path, word_name(folder.name), splits.get(path.relative_to(root).as_posix()))
        for folder in (word_folders(root, noise, ignored) if root.is_dir() else ())
        for path in audio_files(folder, ignored)
    ]
    return Inventory(_pieces(listed, _rule(dataset)), ignored_line(ignored), str(error))


def _listed_splits(root: Path) -> dict[str, Any]:
    """Return the split of every file that a list or table names."""
    splits: dict[str, Any] = {}
    for name, split in LISTS.items():
        splits |= {line.strip(): split for line in _lines(root / name)}
    val = "dev" if (root / "test.csv").is_file() else "test"
    for name, split in (("train.csv", "train"), ("val.csv", val), ("test.csv", "test")):
        for line in list(_lines(root / name))[1:]:
            splits[line.partition(",")[0].strip()] = split
    return splits


def _lines(path: Path) -> Iterator[str]:
    if path.is_file():
        yield from path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _rule(dataset: Any, column: str | None = None) -> Rule:
    return Rule(dataset.speaker_pattern, dataset.dev_fraction, dataset.test_fraction, column)


def _pieces(listed: Sequence[Recording], rule: Rule) -> list[Piece]:
    has_splits = any(recording.split for recording in listed)
    rest = "train" if has_splits else NO_SPLIT
    return [
        Piece(
            r.path,
            r.word,
            r.split or rest,
            r.speaker or rule.speaker(r.path, r.word) or "",
            r.start_s,
            r.end_s,
        )
        for r in listed
    ]
