"""Log-mel of whole recordings, from which the features of any window can be cut."""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.decoding import to_float32, to_int16
from edgekws.audio.front_ends import recording_features
from edgekws.audio.parallel import in_parallel
from edgekws.audio.reading import read_blocks
from edgekws.core.contract import Normalization
from edgekws.core.corpus import Clip
from edgekws.core.events import Emit
from edgekws.core.store import read_array
from edgekws.runtime.front_end import FrontEnd

BLOCK_S = 10.0
"""Length of the blocks in which a recording is read."""

BLOCK = 64
"""Recordings per write."""


def write(
    clips: Sequence[Clip],
    front_end: FrontEnd,
    normalization: Normalization,
    emit: Emit,
    folder: Path,
) -> None:
    """Write the normalised log-mel of `clips`, each at full length, into `folder`.

    Frame `t` of a clip is the first frame of the window that starts at sample `t * hop_length`. A
    clip shorter than one frame has none. Memory does not depend on the lengths of the clips. A
    running mean is that of the recording up to the frame, as on a device.

    Raises:
        DataError: a clip cannot be read.
    """
    mean = np.array(normalization.mean)[:, None]
    std = np.array(normalization.std)[:, None]

    def write_part(start: int, index: int) -> int:
        """Write the frames `(T, n_mels)` of a clip into a file of its own; return `T`."""
        clip = clips[start + index]
        blocks = read_blocks(clip.path, front_end.sample_rate, BLOCK_S, clip.start_s, clip.end_s)
        length = 0
        with _part(folder, index).open("wb") as part:
            waves = (to_float32(to_int16(block)) for block in blocks)
            for piece in recording_features(waves, front_end):
                part.write(np.ascontiguousarray(((piece - mean) / std).T, np.float32).data)
                length += piece.shape[1]
        return length

    lengths: list[int] = []
    with (folder / "frames.f32").open("wb") as file:
        for start in range(0, len(clips), BLOCK):
            count = min(BLOCK, len(clips) - start)
            text = f"negatives {start} to {start + count} of {len(clips)}"
            lengths += in_parallel(partial(write_part, start), count, emit, text)
            for index in range(count):
                with _part(folder, index).open("rb") as part:
                    shutil.copyfileobj(part, file)
                _part(folder, index).unlink()
    (folder / "lengths.json").write_text(json.dumps(lengths))


def read(folder: Path, n_mels: int) -> tuple[NDArray[np.float32], ...]:
    """Return the features written by `write`, each clip `(n_mels, T)`, mapped for reading."""
    lengths: list[int] = json.loads((folder / "lengths.json").read_text())
    if not lengths:
        return ()
    frames = read_array(folder / "frames.f32", np.float32, (sum(lengths), n_mels))
    return tuple(part.T for part in np.split(frames, np.cumsum(lengths)[:-1]))


def _part(folder: Path, index: int) -> Path:
    return folder / f"part-{index}.f32"
