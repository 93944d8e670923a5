"""The batches of an epoch; every random draw is seeded by (seed, epoch, batch or clip)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from edgekws.core.job import Data
from edgekws.training.guidance import Unlabelled
from edgekws.training.options import Training

# Numbers of the random streams: numpy pads seeds with zeros, so (seed, epoch) alone would give the
# same stream as (seed, epoch, 0).
_ORDER, _MIXUP, _UNLABELLED = 1, 2, 3


class Batch(NamedTuple):
    """`features` `(B, n_mels, T)` float32; `targets` `(B, n_labels)` float32 probabilities.

    `answers` `(B, n_labels)` are those of teachers that take audio, if there are any.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    answers: NDArray[np.float32] | None = None


class Extra(NamedTuple):
    """Windows without labels `(B, n_mels, T)`, the answers to them `(B, n_labels)`, and `weight`.

    The answers are those of teachers that take audio, if there are any; the weight is that of the
    divergence in the loss.
    """

    features: NDArray[np.float32]
    answers: NDArray[np.float32] | None
    weight: float


def n_batches(n_clips: int, batch_size: int) -> int:
    """Return the number of batches in an epoch.

    A last batch of a single clip is dropped: BatchNorm cannot process it.

    >>> n_batches(256, 128), n_batches(257, 128), n_batches(258, 128)
    (2, 2, 3)
    """
    return n_clips // batch_size + (n_clips % batch_size > 1)


def shuffled_order(targets: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the indices of all clips `(N,)` in random order."""
    return np.random.default_rng((seed, epoch, _ORDER)).permutation(len(targets))


def balanced_order(
    targets: NDArray[np.int64], seed: int, epoch: int, balance: float = 1.0
) -> NDArray[np.int64]:
    """Return indices of clips `(N,)`, a label of `n` clips in proportion to n^(1 - balance).

    At 1 every label is equally frequent, to within one clip. The clips of a rare label repeat only
    after all of them were drawn.
    """
    rng = np.random.default_rng((seed, epoch, _ORDER))
    labels, counts = np.unique(targets, return_counts=True)
    weights = counts ** (1 - balance)
    ends = np.round(np.cumsum(weights) / weights.sum() * len(targets)).astype(np.int64)
    drawn = [
        np.resize(rng.permutation(np.flatnonzero(targets == label)), share)
        for label, share in zip(labels, np.diff(ends, prepend=0), strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def mix(batch: Batch, alpha: float, seed: int, epoch: int, index: int) -> Batch:
    """Mix every clip of a batch with another one, all of its parts in the same proportion.

    One proportion per batch, drawn from Beta(alpha, alpha), as in Zhang et al. 2018, "mixup:
    Beyond Empirical Risk Minimization".
    """
    rng = np.random.default_rng((seed, epoch, _MIXUP, index))
    share = np.float32(rng.beta(alpha, alpha))
    other = rng.permutation(len(batch.targets))
    parts = (part for part in batch if part is not None)
    return Batch(*(share * part + (1 - share) * part[other] for part in parts))


def batches(
    data: Data,
    targets: NDArray[np.int64],
    training: Training,
    seed: int,
    epoch: int,
    answers: NDArray[np.float32] | None = None,
) -> Iterator[Batch]:
    """Yield the batches of `epoch`.

    `targets` `(N,)` are those of the training clips, `answers` `(N, n_labels)` what teachers that
    take audio answer to them.
    """
    order = (
        balanced_order(targets, seed, epoch, float(training.balanced))
        if training.balanced
        else shuffled_order(targets, seed, epoch)
    )
    features = data.augmented(epoch)  # (N, n_mels, T) float16
    one_hot = np.eye(len(data.labels), dtype=np.float32)

    for index in range(n_batches(len(order), training.batch_size)):
        clips = order[index * training.batch_size :][: training.batch_size]
        unmasked = torch.from_numpy(features[clips]).float().numpy()  # 5 times as fast as astype
        masked = data.mask(unmasked, clips, epoch, training.masking)
        batch = Batch(masked, one_hot[targets[clips]], None if answers is None else answers[clips])
        yield mix(batch, training.mixup, seed, epoch, index) if training.mixup else batch


def unlabelled_clips(
    count: int, training: Training, n_batches: int, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the indices of the windows without labels of each batch, `(n_batches, B)`.

    They are drawn from `count` windows, all of them before one repeats.
    """
    rng = np.random.default_rng((seed, epoch, _UNLABELLED))
    size = training.batch_size
    rounds = -(-n_batches * size // count)
    drawn = np.concatenate([rng.permutation(count) for _ in range(rounds)])
    return drawn[: n_batches * size].reshape(n_batches, size)


def unlabelled_batches(
    unlabelled: Unlabelled,
    data: Data,
    n_clips: int,
    training: Training,
    n_batches: int,
    seed: int,
    epoch: int,
) -> Iterator[Extra]:
    """Yield a batch of windows without labels for each of the `n_batches` batches of `epoch`.

    They are masked like clips that follow the `n_clips` of training.
    """
    drawn = unlabelled_clips(len(unlabelled.features), training, n_batches, seed, epoch)
    for windows in drawn:
        features = unlabelled.features[windows].astype(np.float32)
        masked = data.mask(features, n_clips + windows, epoch, training.masking)
        answers = None if unlabelled.answers is None else unlabelled.answers[windows]
        yield Extra(masked, answers, unlabelled.weight)
