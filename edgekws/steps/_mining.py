"""False alarms of a network in recordings without a keyword, found and added to the training."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Emit, progress
from edgekws.core.job import Data
from edgekws.training.model import Model

BATCH = 512


class Place(NamedTuple):
    """A window: the recording, its first frame, and its highest posterior of a keyword."""

    recording: int
    frame: int
    score: float


def places(model: Model, data: Data, hop_frames: int, device: str, emit: Emit) -> tuple[Place, ...]:
    """Return every window of the training negatives, `hop_frames` apart, with its score."""
    keywords = [i for i, label in enumerate(data.labels) if label not in (UNKNOWN, SILENCE)]
    model.network.to(device).eval()
    recordings = data.negatives()
    found: list[Place] = []
    for number, recording in enumerate(recordings):
        windows = _windows(recording, data.front_end.n_frames, hop_frames)
        for first in range(0, len(windows), BATCH):
            scores = _scores(model, windows[first : first + BATCH], keywords, device)
            found += [
                Place(number, (first + i) * hop_frames, score)
                for i, score in enumerate(scores.tolist())
            ]
        progress(emit, "mining", number + 1, len(recordings), unit="recordings")
    model.network.cpu()
    return tuple(found)


def hardest(found: Sequence[Place], most: int, min_score: float) -> list[Place]:
    """Return at most `most` windows of at least `min_score`, the highest scores first."""
    alarms = [place for place in found if place.score >= min_score]
    return sorted(alarms, key=lambda p: (-p.score, p.recording, p.frame))[:most]


class WithMined:
    """The data of a job whose training clips are followed by mined windows, as `_unknown_`.

    Implements `core.job.Data`. Mined windows are masked like clips, but no noise is mixed in: it
    would change what the false alarm is made of.
    """

    def __init__(self, data: Data, mined: Sequence[Place], label: str) -> None:
        """Take the windows at `mined` of the negatives of `data`."""
        self._data, self._label = data, label
        self.labels, self.front_end = data.labels, data.front_end
        self.normalization = data.normalization
        negatives, frames = data.negatives(), data.front_end.n_frames
        self._mined = np.stack([negatives[p.recording][:, p.frame :][:, :frames] for p in mined])

    def examples(self, split: Split) -> Examples:
        """Return the clips of `split`; those of train are followed by the mined windows."""
        clips = self._data.examples(split)
        if split != "train":
            return clips
        count = len(self._mined)
        target = self.labels.index(self._label)
        return Examples(
            np.concatenate([clips.features, self._mined]),
            np.concatenate([clips.targets, np.full(count, target)]),
            np.concatenate([clips.speakers, np.full(count, "")]),
            (*clips.names, *(f"mined {i}" for i in range(count))),
        )

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        """Return the training clips as epoch `epoch` hears them, and the mined windows."""
        return np.concatenate([self._data.augmented(epoch), self._mined.astype(np.float16)])

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return a batch under SpecAugment."""
        return self._data.mask(features, clips, epoch, strength)

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        """Return the training recordings without a keyword."""
        return self._data.negatives()

    def calibration(self, n: int) -> NDArray[np.int64]:
        """Return indices of training clips, mined windows left out."""
        return self._data.calibration(n)


def _windows(recording: NDArray[np.float32], n_frames: int, hop_frames: int) -> NDArray[np.float32]:
    """Return the windows of a recording `(n_mels, T)` as `(N, n_mels, n_frames)`, not copied."""
    if recording.shape[1] < n_frames:
        return np.empty((0, len(recording), n_frames), np.float32)
    windows = sliding_window_view(recording, n_frames, axis=1)[:, ::hop_frames]
    return windows.transpose(1, 0, 2)


@torch.no_grad()
def _scores(
    model: Model, windows: NDArray[np.float32], keywords: Sequence[int], device: str
) -> NDArray[np.float32]:
    batch = torch.from_numpy(np.ascontiguousarray(windows)).to(device)
    posteriors = model.logits(batch).softmax(dim=1)[:, list(keywords)]
    scores: NDArray[np.float32] = posteriors.amax(dim=1).cpu().numpy()
    return scores
