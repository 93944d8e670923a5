"""The input and output of a step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.details import Kinds
from edgekws.core.embedding import Embedding
from edgekws.core.events import Emit
from edgekws.core.latency_run import Files, LatencyRun
from edgekws.runtime.front_end import FrontEnd


class Data(Protocol):
    """The dataset as features, computed on first use and cached."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the logits."""

    @property
    def front_end(self) -> FrontEnd:
        """The front end's parameters."""

    @property
    def normalization(self) -> Normalization:
        """Statistics of the training clips."""

    def examples(self, split: Split) -> Examples:
        """Return the clips of `split`, without augmentation."""

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        """Return the training clips of epoch `epoch` with waveform augmentation, `(N, n_mels, T)`.

        `mask` must still be applied to each batch.
        """

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return a batch `(B, n_mels, T)` with SpecAugment, seeded by (seed, epoch, clip).

        `strength` scales the widest mask of the recipe's `[augment]`.
        """

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        """Return the keyword-free training recordings at full length, `(n_mels, T)` each.

        Features are normalised. Empty if the dataset has only clips.
        """

    def calibration(self, n: int) -> NDArray[np.int64]:
        """Return the indices of `n` training clips for calibration, stratified by label."""


class Audio(Protocol):
    """The dataset as audio, for teachers that take audio, and recordings without labels.

    Everything is computed on first use, streamed, and cached.
    """

    def vectors(self, embedding: Embedding, split: Split) -> NDArray[np.float32]:
        """Return the vectors of the clips of `split`, `(N, size)`, without augmentation."""

    def augmented_vectors(self, embedding: Embedding, epoch: int) -> NDArray[np.float32]:
        """Return the vectors of the training clips as `Data.augmented` has them, `(N, size)`."""

    def refuse_held_out(self, paths: Sequence[Path]) -> None:
        """Refuse recordings of dev and test, and copies of them, as something to learn from.

        Raises:
            DataError: one of `paths` is held out by the dataset.
        """

    def unlabelled(self, sources: Sequence[Path]) -> NDArray[np.float16]:
        """Return the windows of the recordings in `sources`, `(U, n_mels, T)`, normalised.

        Raises:
            DataError: a source is missing, holds no recordings, or is held out by the dataset.
        """

    def unlabelled_vectors(
        self, embedding: Embedding, sources: Sequence[Path]
    ) -> NDArray[np.float32]:
        """Return the vectors of the windows of `unlabelled`, `(U, size)`.

        Raises:
            DataError: as `unlabelled`.
        """


Measure = Callable[[Mapping[str, Files], str], LatencyRun]
"""Measures the latency of models, by name, on the target, against the named control."""


Listen = Callable[[Path, Path | None], Path]
"""Hears the dev streams with an ONNX model and its streaming form, if any.

Returns the folder that `spotting.scores.read_scores` reads.
"""


STATES = ("training.safetensors", "training.previous.safetensors")
"""Files in a step's `workdir` from which it resumes after an interruption, newest first."""


class TrainingStopped(Exception):  # noqa: N818 not an error
    """The training has reached `Job.stop_after`; its state is in the `workdir`."""


@dataclass(frozen=True)
class Job:
    """Everything a step may use in addition to its fields and inputs.

    `workdir` is the step's folder, in which only the files named in `STATES` survive a killed run.
    `device` is `cpu` or `cuda`. `measure` is set for a step that `times_on_target`, `listen` for
    one that `listens`, and so is `streams`: it returns the folder of the dev streams, which
    `spotting.held_out.read_streams` reads. `audio` is set by the engine. A training with more
    epochs than `stop_after` stops there with `TrainingStopped`.
    """

    data: Data
    seed: int
    device: str
    threads: int
    workdir: Path
    emit: Emit
    measure: Measure | None = None
    stop_after: int | None = None
    listen: Listen | None = None
    streams: Callable[[], Path] | None = None
    audio: Audio | None = None


@dataclass(frozen=True)
class Output:
    """Result of a step: the file it wrote, and details for the report.

    `kinds` names the details that are also drawn.
    """

    path: Path
    details: dict[str, Any] = field(default_factory=dict)
    kinds: Kinds = field(default_factory=dict)
