"""What a student learns from other than its clips: answers given before, clips without labels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Unlabelled:
    """Windows without labels; a batch of them joins every batch of clips.

    `features` is `(U, n_mels, T)` normalised log-mel, `answers` the mean probabilities of the
    teachers in `Guidance`, `(U, n_labels)`, `weight` that of their divergence in the loss.
    """

    features: NDArray[np.float16]
    weight: float
    answers: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Guidance:
    """Answers of teachers that take audio, and windows without labels.

    `answers(epoch)` returns the mean probabilities of `teachers` teachers, at the loss's
    temperature, for the training clips as augmented for that epoch, `(N, n_labels)`. `identity`
    determines all of it, so that a training resumes only with the same.
    """

    identity: str
    teachers: int = 0
    answers: Callable[[int], NDArray[np.float32]] | None = None
    unlabelled: Unlabelled | None = None
