"""The cache: its entries, the recipes that used them and when, and removal of entries."""

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekws.core.store import entries_of, exclusive_use, is_complete, last_use
from edgekws.errors import writing

DAY_S = 86_400.0


@dataclass(frozen=True)
class Entry:
    """One result in the cache, or the rest of an interrupted one.

    `kind` is its folder, `size` in bytes, `used` the time of its last use in seconds since the
    epoch, `recipes` the names of the recipes that used it; `complete` is whether it was finished.
    """

    path: Path
    kind: str
    size: int
    used: float
    recipes: tuple[str, ...]
    complete: bool


def contents(folder: Path) -> tuple[Entry, ...]:
    """Return the entries of a cache folder, most recently used first."""
    entries = (_entry(path) for path in entries_of(folder))
    return tuple(sorted(entries, key=lambda entry: (-entry.used, entry.path)))


def total(entries: Iterable[Entry]) -> int:
    """Return the total size of entries in bytes."""
    return sum(entry.size for entry in entries)


def prune(
    folder: Path,
    *,
    older_than_s: float | None = None,
    most_bytes: int | None = None,
    recipe: str | None = None,
    dry_run: bool = False,
) -> tuple[Entry, ...]:
    """Remove the entries of a cache folder that meet all given conditions; return them.

    Args:
        folder: the cache; no other process may be using it.
        older_than_s: not used for this long.
        most_bytes: least recently used, until at most this much is left.
        recipe: used only by this recipe.
        dry_run: remove nothing.

    Raises:
        UsageError: another process is using the cache.
        MachineError: an entry cannot be removed.
    """
    with exclusive_use(folder):
        entries = contents(folder)
        chosen = _chosen(entries, older_than_s, most_bytes, recipe)
        for entry in () if dry_run else chosen:
            with writing(entry.path, "allow writing there"):
                shutil.rmtree(entry.path)
    return tuple(chosen)


def _chosen(
    entries: Sequence[Entry],
    older_than_s: float | None,
    most_bytes: int | None,
    recipe: str | None,
) -> list[Entry]:
    chosen = list(entries)
    if recipe is not None:
        chosen = [entry for entry in chosen if entry.recipes == (recipe,)]
    if older_than_s is not None:
        chosen = [entry for entry in chosen if time.time() - entry.used > older_than_s]
    if most_bytes is not None:
        chosen = _oldest(chosen, total(entries) - most_bytes)
    return chosen


def _entry(path: Path) -> Entry:
    used, recipes = last_use(path)
    size = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
    return Entry(path, path.parent.name, size, used, recipes, is_complete(path))


def _oldest(entries: Sequence[Entry], excess: int) -> list[Entry]:
    """Return the least recently used entries with at least `excess` bytes in total."""
    chosen: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: entry.used):
        if total(chosen) >= excess:
            break
        chosen.append(entry)
    return chosen
