"""Which files of a folder are recordings: one answer for every command."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekws.audio.reading import AUDIO_SUFFIXES

SYSTEM_FOLDERS = frozenset(
    {"lost+found", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "@eaDir"}
)
"""Folders that file systems, archives and network drives make; nobody keeps recordings there."""


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is not shown to people: `.Trash`, `._a.wav`, `lost+found`."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def audio_files(folder: Path, ignored: Counter[str]) -> list[Path]:
    """Return the recordings directly in `folder` by name; count in `ignored` what is not one."""
    files, folders = _entries(folder, ignored)
    if folders:
        ignored["folder inside a folder"] += len(folders)
    return _recordings(files, ignored)


def audio_files_under(folder: Path, ignored: Counter[str]) -> list[Path]:
    """Return the recordings in `folder` and the folders under it, folder by folder, by name.

    Links are followed; `ignored` counts what is no recording.
    """
    return [path for files in walk(folder, ignored) for path in _recordings(files, ignored)]


def walk(folder: Path, ignored: Counter[str]) -> Iterator[list[Path]]:
    """Yield the files of `folder` and of every folder under it that is not hidden, by name.

    Links are followed; a folder that is reached twice, or through itself, is gone into once.
    """
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        with _unless_closed(here, ignored):
            state = here.stat()
            inode = state.st_dev, state.st_ino
            if inode in visited:
                ignored["link to a folder that is read already"] += 1
                continue
            visited.add(inode)
        files, folders = _entries(here, ignored)
        yield files
        waiting += reversed(folders)


def ignored_line(ignored: Counter[str]) -> list[str]:
    """Return the line that counts what was ignored, `ignored: 2 .m4a, 1 hidden`, if anything was.

    >>> ignored_line(Counter({"hidden": 1, ".m4a": 2}))
    ['ignored: 2 .m4a, 1 hidden']
    """
    counts = ", ".join(f"{count} {what}" for what, count in sorted(ignored.items()))
    return [f"ignored: {counts}"] if counts else []


def _entries(folder: Path, ignored: Counter[str]) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders directly in a folder by name, hidden ones left out."""
    files, folders = [], []
    with _unless_closed(folder, ignored), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if is_hidden(entry.name):
                ignored["hidden"] += 1
            elif _is_folder(entry):
                folders.append(folder / entry.name)
            else:
                files.append(folder / entry.name)
    return files, folders


@contextmanager
def _unless_closed(folder: Path, ignored: Counter[str]) -> Iterator[None]:
    try:
        yield
    except OSError:
        ignored[f"folder that cannot be read ({folder.name})"] += 1


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: who reads it says so
        return False


def _recordings(files: list[Path], ignored: Counter[str]) -> list[Path]:
    """Return the files of an audio format; the others are counted by their suffix."""
    found = []
    for path in files:
        suffix = path.suffix.lower()
        if suffix in AUDIO_SUFFIXES:
            found.append(path)
        else:
            ignored[suffix or "without a suffix"] += 1
    return found
