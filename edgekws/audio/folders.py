"""Find the recordings in a folder, in the same way for every command."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekws.audio.reading import AUDIO_SUFFIXES

SYSTEM_FOLDERS = frozenset(
    {"lost+found", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "@eaDir"}
)
"""Folders created by file systems, archives and network drives, which hold no recordings."""


def is_hidden(name: str) -> bool:
    """Return whether a name is hidden or a system folder: `.Trash`, `._a.wav`, `lost+found`."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def audio_files(folder: Path, ignored: Counter[str]) -> list[Path]:
    """Return the recordings directly in `folder` by name; count everything else in `ignored`."""
    files, folders = _entries(folder, ignored)
    if folders:
        ignored["folder inside a folder"] += len(folders)
    return _recordings(files, ignored)


def audio_files_under(folder: Path, ignored: Counter[str]) -> list[Path]:
    """Return the recordings in `folder` and its subfolders, folder by folder, by name.

    Links are followed; `ignored` counts everything else.
    """
    return [path for files in walk(folder, ignored) for path in _recordings(files, ignored)]


def walk(folder: Path, ignored: Counter[str]) -> Iterator[list[Path]]:
    """Yield the files of `folder` and of every subfolder that is not hidden, by name.

    Links are followed; a folder that is reached twice, or through itself, is read once.
    """
    visited: set[tuple[int, int]] = set()
    pending = [folder]
    while pending:
        current = pending.pop()
        with _count_unreadable(current, ignored):
            state = current.stat()
            inode = state.st_dev, state.st_ino
            if inode in visited:
                ignored["link to a folder read before"] += 1
                continue
            visited.add(inode)
        files, folders = _entries(current, ignored)
        yield files
        pending += reversed(folders)


def ignored_line(ignored: Counter[str]) -> list[str]:
    """Return a line with the counts of what was ignored, or none.

    >>> ignored_line(Counter({"hidden": 1, ".m4a": 2}))
    ['ignored: 2 .m4a, 1 hidden']
    """
    counts = ", ".join(f"{count} {what}" for what, count in sorted(ignored.items()))
    return [f"ignored: {counts}"] if counts else []


def _entries(folder: Path, ignored: Counter[str]) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders directly in a folder by name, without hidden ones."""
    files, folders = [], []
    with _count_unreadable(folder, ignored), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if is_hidden(entry.name):
                ignored["hidden"] += 1
            elif _is_folder(entry):
                folders.append(folder / entry.name)
            else:
                files.append(folder / entry.name)
    return files, folders


@contextmanager
def _count_unreadable(folder: Path, ignored: Counter[str]) -> Iterator[None]:
    try:
        yield
    except OSError:
        ignored[f"folder that cannot be read ({folder.name})"] += 1


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, which is reported when it is read
        return False


def _recordings(files: list[Path], ignored: Counter[str]) -> list[Path]:
    """Return the audio files; count the others by suffix."""
    recordings = []
    for path in files:
        suffix = path.suffix.lower()
        if suffix in AUDIO_SUFFIXES:
            recordings.append(path)
        else:
            ignored[suffix or "without a suffix"] += 1
    return recordings
