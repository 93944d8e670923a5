"""Clips: what a dataset lists, and what is left of it once every clip was read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

NearCopies = Literal["refuse", "leave_out"]
"""What is done where two splits hold one recording, made over."""


@dataclass(frozen=True)
class Clip:
    """One labelled piece of audio; `end_s=None` means up to the end of the file."""

    path: Path
    label: str
    speaker: str | None
    split: Split
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class Listing:
    """What a dataset lists, before any audio was read.

    `noise` are the recordings that augmentation mixes in (train only). `notes` are lines for the
    report: how the splits were made, what was left out and why; `caveats` are those of them that
    have to be said wherever a figure stands.

    Where `clips` are windows cut out of longer recordings, `recordings` are those: words with the
    place where they are said, and `_unknown_` without a place where no keyword is. `negatives` are
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
    """A clip that was left out, and why: unreadable, empty, silent or duplicate."""

    path: Path
    label: str
    split: Split
    reason: Literal["unreadable", "empty", "silent", "duplicate"]
    detail: str


@dataclass(frozen=True)
class Examples:
    """The clips of one split as arrays.

    `features` is `(N, n_mels, T)` float32, normalised log-mel without augmentation;
    `targets` `(N,)` int64 indices into the labels; `speakers` `(N,)` strings, empty where unknown;
    `names` one readable name a clip.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.int64]
    speakers: NDArray[np.str_]
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.targets)
