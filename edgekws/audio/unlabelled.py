"""Recordings without labels, cut into windows of the front end's length."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.decoding import SILENT_PEAK, Corpus, to_float32, to_int16
from edgekws.audio.folders import audio_files_under
from edgekws.audio.reading import read_blocks
from edgekws.core.canonical import file_state, sha256_file
from edgekws.core.corpus import Clip
from edgekws.core.events import Emit, progress
from edgekws.core.store import read_array
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

OVERLAP = 2
"""Windows that cover each instant of a recording longer than a window."""

BLOCK_S = 10.0
"""Length of the blocks in which a recording is read."""


def recordings(sources: Sequence[Path]) -> list[Path]:
    """Return the recordings that `sources` name, files or folders, each once.

    Raises:
        DataError: a source is missing, or a folder holds no recordings.
    """
    paths: dict[Path, None] = {}
    for source in sources:
        place = source.expanduser()
        files = [place] if place.is_file() else audio_files_under(place, Counter())
        if not files:
            problem = "holds no recordings" if place.is_dir() else "no such file or folder"
            raise DataError(f"{source}: {problem} (unlabelled), relative to {Path.cwd()}")
        paths |= dict.fromkeys(files)
    return list(paths)


def refuse_held_out(paths: Sequence[Path], corpus: Corpus) -> None:
    """Raise `DataError` for a recording that the dataset holds out, or a copy of one.

    Only files of equal size are compared.
    """
    sizes: dict[int, list[Clip]] = {}
    for clip in _held_out(corpus):
        sizes.setdefault(file_state(clip.path)[1], []).append(clip)
    hashes: dict[Path, str] = {}
    for path in paths:
        for clip in sizes.get(file_state(path)[1], ()):
            same = path.resolve() == clip.path.resolve()
            if same or _sha256(path, hashes) == _sha256(clip.path, hashes):
                what = "is" if same else f"is a copy of {clip.path},"
                raise DataError(
                    f"{path}: {what} a recording of {clip.split}; a network that learns from it, "
                    "labelled or not, is not measured on unseen speech: take it out"
                )


def _held_out(corpus: Corpus) -> Iterable[Clip]:
    """Yield one clip of each file of dev and test."""
    clips = (*corpus.splits["dev"], *corpus.splits["test"], *corpus.negatives)
    return {clip.path: clip for clip in clips if clip.split != "train"}.values()


def _sha256(path: Path, known: dict[Path, str]) -> str:
    if path not in known:
        known[path] = sha256_file(path)
    return known[path]


def write(paths: Sequence[Path], front_end: FrontEnd, folder: Path, emit: Emit) -> None:
    """Decode `paths` one after another into one file, and note where their windows start.

    The place of a window is its first sample, and that of its recording.

    A recording shorter than a window is filled up with zeros. Windows below -60 dBFS are left out.

    Raises:
        DataError: a recording cannot be read, or no window is left.
    """
    size, places, end = front_end.window_samples, list[tuple[int, int]](), 0
    with (folder / "audio.i16").open("wb") as file:
        for number, path in enumerate(paths, 1):
            begin = end
            for block in read_blocks(path, front_end.sample_rate, BLOCK_S):
                file.write(to_int16(block).tobytes())
                end += len(block)
            if end - begin < size:
                file.write(np.zeros(size - (end - begin), np.int16).tobytes())
                end = begin + size
            starts = range(begin, end - size + 1, size // OVERLAP)
            places += [(start, begin) for start in starts]
            progress(emit, "reading unlabelled", number, len(paths), unit="recordings")
    audio = read_array(folder / "audio.i16", np.int16, (end,))
    loud = [place for place in places if _peak(audio[place[0] :][:size]) >= SILENT_PEAK]
    if not loud:
        raise DataError(f"{paths[0]}: silent, and so is everything else in unlabelled")
    record = {"samples": end, "places": loud, "silent": len(places) - len(loud)}
    (folder / "windows.json").write_text(json.dumps(record))


class Windows:
    """The windows written by `write`: `len()` of them, of `size` samples."""

    def __init__(self, folder: Path, size: int) -> None:
        """Map the audio in `folder`."""
        record = json.loads((folder / "windows.json").read_text())
        self._audio = read_array(folder / "audio.i16", np.int16, (record["samples"],))
        self._places: list[tuple[int, int]] = record["places"]
        self._size = size

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._places)

    def waveforms(self, part: slice) -> NDArray[np.float32]:
        """Return the windows of `part`, `(B, samples)` in [-1, 1)."""
        return np.stack(self.stretches(part, 0))

    def stretches(self, part: slice, run_in: int) -> list[NDArray[np.float32]]:
        """Return the windows of `part`, each after up to `run_in` samples of its recording."""
        return [
            to_float32(self._audio[max(begin, start - run_in) : start + self._size])
            for start, begin in self._places[part]
        ]


def _peak(window: NDArray[np.int16]) -> float:
    return float(np.abs(to_float32(window)).max())
