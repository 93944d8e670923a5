"""What a step may see, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Emit
from edgekws.core.latency_run import Files, LatencyRun
from edgekws.runtime.front_end import FrontEnd


class Data(Protocol):
    """The dataset as features; computed when first asked for, and cached."""

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
        """Return the training clips as epoch `epoch` hears them, `(N, n_mels, T)`.

        All that changes waveforms is in; `mask` is still to be applied to each batch.
        """

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return a batch `(B, n_mels, T)` under SpecAugment, drawn from (seed, epoch, clip).

        The widest mask is `strength` times as wide as the recipe's `[augment]` says.
        """

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        """Return the training recordings without a keyword as they are long, `(n_mels, T)` each.

        Normalised; none where the dataset has only clips.
        """

    def calibration(self, n: int) -> NDArray[np.int64]:
        """Return the indices of `n` training clips for calibration, every label in its share."""


Measure = Callable[[Mapping[str, Files], str], LatencyRun]
"""Times models by name on the target, against the one named as control."""


STATES = ("training.safetensors", "training.previous.safetensors")
"""What a step may leave in its `workdir` to go on from after an interruption, newest first."""


class TrainingStopped(Exception):  # noqa: N818 it is no error
    """The training has come to `Job.stop_after`; its state lies in the `workdir`."""


@dataclass(frozen=True)
class Job:
    """All that a step may see besides its fields and its inputs.

    `workdir` is the step's own folder; only the files of it that are named in `STATES` survive a
    killed run. `device` is `cpu` or `cuda`. `measure` is there for a step that `times_on_target`.
    A training that has more epochs than `stop_after` stops there with `TrainingStopped`.
    """

    data: Data
    seed: int
    device: str
    threads: int
    workdir: Path
    emit: Emit
    measure: Measure | None = None
    stop_after: int | None = None


@dataclass(frozen=True)
class Output:
    """What a step gives: the file it wrote, and the details that the report shows."""

    path: Path
    details: dict[str, Any] = field(default_factory=dict)
