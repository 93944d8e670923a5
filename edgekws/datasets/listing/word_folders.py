"""Recordings in the layout of Speech Commands: a folder per word, and lists of the splits."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edgekws.audio.folders import audio_files, is_hidden
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Split
from edgekws.datasets.listing.labels import BACKGROUND_NOISE, label_problem, misnamed, word_name
from edgekws.datasets.listing.tables import read_table, read_text
from edgekws.errors import DataError

LISTS: dict[str, Split] = {"validation_list.txt": "dev", "testing_list.txt": "test"}
_TABLES = ("train.csv", "val.csv", "test.csv")
_COLUMNS = ("file", "class")
_MANIFEST, _ABOUT = "manifest.csv", "about.json"
"""The files of a folder written by `data synth` or `data augment`."""


class Recording(NamedTuple):
    """A file or a part of it, its word, and its split by a list.

    `None` means not given; `end_s=None` is the end of the file. `synthesizer` is the engine that
    spoke it, `None` for a person.
    """

    path: Path
    word: str
    split: Split | None
    speaker: str | None = None
    start_s: float = 0.0
    end_s: float | None = None
    synthesizer: str | None = None


@dataclass
class Recordings:
    """The recordings of a dataset.

    `given_by` names the lists or tables; `ignored` counts other files by reason.
    """

    recordings: list[Recording]
    given_by: tuple[str, ...] = ()
    ignored: Counter[str] = field(default_factory=Counter)
    empty: list[Path] = field(default_factory=list)


def find_recordings(root: Path, noise: Path | None) -> Recordings:
    """Read the tables, or else the word folders and their lists, under `root`.

    Raises:
        DataError: `root` is missing, a table or list is wrong, or there are both.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; dataset.root is relative to {Path.cwd()}")
    tables = [name for name in _TABLES if (root / name).is_file()]
    lists = [name for name in LISTS if (root / name).is_file()]
    if tables and lists:
        raise DataError(f"{root}: the splits are given twice, by {tables[0]} and {lists[0]}")
    contents = _by_folder(root, noise)
    if tables:
        contents = _by_tables(root, tables, contents)
    elif contents.empty:
        raise DataError(f"{contents.empty[0]}: holds no recordings; fill the folder or remove it")
    elif lists:
        contents = _with_lists(root, lists, contents)
    spoken_by = _synthesizers(root)
    contents.recordings = [
        r._replace(synthesizer=spoken_by.get(r.path)) for r in contents.recordings
    ]
    return contents


def _synthesizers(root: Path) -> dict[Path, str]:
    """Return the engine of every synthetic file, if edgekws wrote the folder."""
    if not ((root / _ABOUT).is_file() and (root / _MANIFEST).is_file()):
        return {}
    cells = [row.cells for row in read_table(root / _MANIFEST).rows]
    return {root / row["path"]: row["synthesizer"] for row in cells if row.get("synthesizer")}


def _by_folder(root: Path, noise: Path | None) -> Recordings:
    contents = Recordings([])
    _refuse_misnamed(root, noise)
    for folder in word_folders(root, noise, contents.ignored):
        word = word_name(folder.name)
        if problem := label_problem(word):
            raise DataError(f"{str(folder)!r}: {problem}")
        files = audio_files(folder, contents.ignored)
        if not files:
            contents.empty.append(folder)
        contents.recordings += [Recording(path, word, None) for path in files]
    return contents


def _refuse_misnamed(root: Path, noise: Path | None) -> None:
    """Raise `DataError` for `_noise_` and similar names, which would be skipped for their `_`."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        advice = misnamed(folder.name) if folder.name.startswith("_") else None
        if advice and not (noise and folder.resolve() == noise.resolve()):
            raise DataError(f"{root}: {advice}")


def word_folders(root: Path, noise: Path | None, ignored: Counter[str]) -> list[Path]:
    """Return the word folders in `root`, by name; count others in `ignored`.

    `noise` and `_background_noise_` are neither.
    """
    folders = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if folder.name == BACKGROUND_NOISE or (noise and folder.resolve() == noise.resolve()):
            continue
        filler = folder.name in (UNKNOWN, SILENCE)
        if is_hidden(folder.name) or (folder.name.startswith("_") and not filler):
            ignored[f"folder {folder.name}"] += 1
        else:
            folders.append(folder)
    return folders


def _with_lists(root: Path, lists: list[str], contents: Recordings) -> Recordings:
    known = {recording.path.relative_to(root).as_posix() for recording in contents.recordings}
    split_of: dict[str, Split] = {}
    for name in lists:
        for number, line in enumerate(read_text(root / name).splitlines(), 1):
            file = line.strip()
            if not file:
                continue
            where = f"{root / name}:{number}"
            if file not in known:
                raise DataError(f"{where}: {file} is not among the recordings under {root}")
            if split_of.setdefault(file, LISTS[name]) != LISTS[name]:
                raise DataError(f"{where}: {file} is in both lists; keep it in one")
    recordings = [
        r._replace(split=split_of.get(r.path.relative_to(root).as_posix()))
        for r in contents.recordings
    ]
    return Recordings(recordings, tuple(lists), contents.ignored)


def _by_tables(root: Path, tables: list[str], contents: Recordings) -> Recordings:
    if "train.csv" not in tables:
        raise DataError(f"{root}: has {tables[0]} but no train.csv; add it (columns file,class)")
    meaning: dict[str, Split | None] = {"train.csv": None, "val.csv": "test", "test.csv": "test"}
    if "test.csv" in tables:
        meaning["val.csv"] = "dev"
    listed: dict[Path, Recording] = {}
    for name in tables:
        for where, row in _rows(root / name):
            path = root / row["file"]
            if not path.is_relative_to(root) or ".." in path.parts:
                raise DataError(f"{where}: {row['file']} is outside {root}; move it there")
            if path in listed:
                raise DataError(f"{where}: {row['file']} is listed twice; keep it in one place")
            if not os.path.isfile(path):  # noqa: PTH113 a name may be too long for Path.is_file
                raise DataError(f"{where}: there is no file {path}")
            listed[path] = Recording(path, word_name(row["class"]), meaning[name])
    for folder in contents.empty:
        contents.ignored[f"empty folder {folder.name}"] += 1
    unlisted = sum(recording.path not in listed for recording in contents.recordings)
    if unlisted:
        contents.ignored[f"in none of {', '.join(tables)}"] += unlisted
    return Recordings(list(listed.values()), tuple(tables), contents.ignored)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    table = read_table(path)
    for column in _COLUMNS:
        if column not in table.columns:
            has = ", ".join(table.columns) or "nothing"
            raise DataError(f"{path}:1: has no column {column!r}, but {has}; needed: file,class")
    table.refuse()
    for row in table.rows:
        where = f"{path}:{row.line}"
        if not row.cells["file"] or not row.cells["class"]:
            raise DataError(f"{where}: file or class is empty")
        if problem := label_problem(row.cells["class"]):
            raise DataError(f"{where}: class: {problem}")
        yield where, row.cells
