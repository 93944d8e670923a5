"""Clips: the listing of a dataset, rejected clips, and the examples of a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

NearCopies = Literal["refuse", "leave_out"]
"""How to handle a recording that appears, re-encoded or altered, in two splits."""


@dataclass(frozen=True)
class Clip:
    """One labelled piece of audio; `end_s=None` is the end of the file."""

    path: Path
    label: str
    speaker: str | None
    split: Split
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class Listing:
    """The clips of a dataset, before any audio is read.

    `noise` are the recordings that augmentation mixes in (train only). `notes` are lines for the
    report: how the splits were made, what was left out and why; `caveats` are the notes that must
    accompany every figure.

    If `clips` are windows cut from longer recordings, `recordings` lists the recordings: words with
    their times, and `_unknown_` without times for recordings without a keyword. `negatives` are
    speech without a keyword, of each split: parts of recordings that are at least a window long.
    """

    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    noise: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    recordings: tuple[Clip, ...] = ()
    negatives: tuple[Clip, ...] = ()
    near_copies: NearCopies = "refuse"
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A clip that was left out, and the reason: unreadable, empty, silent or duplicate."""

    path: Path
    label: str
    split: Split
    reason: Literal["unreadable", "empty", "silent", "duplicate"]
    detail: str


@dataclass(frozen=True)
class Examples:
    """The clips of one split as arrays.

    `features` is `(N, n_mels, T)` float32, normalised log-mel without augmentation;
    `targets` `(N,)` int64 indices into the labels; `speakers` `(N,)` strings, empty if unknown;
    `names` one readable name per clip.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.int64]
    speakers: NDArray[np.str_]
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.targets)
