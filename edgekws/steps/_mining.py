"""Find a network's false alarms in recordings without a keyword and add them to the training."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Emit, progress
from edgekws.core.job import Data, Job
from edgekws.steps._derived_data import DerivedData
from edgekws.training.fit import fit
from edgekws.training.model import Model
from edgekws.training.options import CrossEntropyLoss, DistillationLoss, FocalLoss, Training
from edgekws.training.reproducible import reproducible

BATCH = 256
"""Windows scored at once, of any recordings: torch prepares its kernels anew for each size."""

ALARM = 0.5
"""The posterior from which a window counts as a false alarm."""

PAYS = 0.9
"""Another round is run where one leaves less than this share of the false alarms."""


class MinedWindow(NamedTuple):
    """A window: its recording, its first frame, and its highest posterior of a keyword."""

    recording: int
    frame: int
    score: float


class Round(NamedTuple):
    """What a round of mining did: windows added, false alarms left, and whether another may pay."""

    windows: int
    alarms: int
    pays: bool
    history: dict[str, Any] | None


class Miner:
    """Mines a network and trains it on what was mined, round by round.

    `alarms` is the number of `windows` of the training negatives that the network takes for a
    keyword.
    """

    def __init__(
        self, model: Model, job: Job, hop_frames: int, most: int, min_score: float
    ) -> None:
        """Score the training negatives."""
        self._model, self._job, self._hop_frames = model, job, hop_frames
        self._most, self._min_score = most, min_score
        self._mined: list[MinedWindow] = []
        self._scored = self._score()
        self.windows = len(self._scored)

    @property
    def alarms(self) -> int:
        """The number of windows that score at least `ALARM`."""
        return sum(window.score >= ALARM for window in self._scored)

    def train(
        self,
        training: Training,
        loss: CrossEntropyLoss | FocalLoss | DistillationLoss,
        teachers: Sequence[Model],
        number: int,
    ) -> Round:
        """Add the hardest windows that are new, and train.

        A round after the first is undone if false alarms do not fall.

        Raises:
            RecipeError, MachineError: as `training.fit.fit`.
        """
        taken = {(window.recording, window.frame) for window in self._mined}
        others = [w for w in self._scored if (w.recording, w.frame) not in taken]
        new = hardest(others, self._most, self._min_score)
        if not new:
            return Round(0, self.alarms, False, None)
        self._mined += new
        before, scored = self.alarms, self._scored
        network = self._model.network
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        folder = self._job.workdir / f"round-{number + 1}"
        data = WithMined(self._job.data, self._mined, UNKNOWN)
        job = replace(self._job, data=data, workdir=folder)
        history = fit(self._model, training, loss, job, teachers)
        self._scored = self._score()
        alarms = self.alarms
        if number and alarms >= before:
            network.load_state_dict(weights)
            self._scored = scored
        return Round(len(new), alarms, 0 < alarms < PAYS * before, history)

    def _score(self) -> tuple[MinedWindow, ...]:
        job = self._job
        with reproducible(job):
            return score_windows(self._model, job.data, self._hop_frames, job.device, job.emit)


def score_windows(
    model: Model, data: Data, hop_frames: int, device: str, emit: Emit
) -> tuple[MinedWindow, ...]:
    """Return the windows of the training negatives, `hop_frames` apart, with their scores."""
    keywords = [i for i, label in enumerate(data.labels) if label not in (UNKNOWN, SILENCE)]
    model.network.to(device).eval()
    recordings = [_windows(r, data.front_end.n_frames, hop_frames) for r in data.negatives()]
    places = ((n, i) for n, windows in enumerate(recordings) for i in range(len(windows)))
    total = sum(map(len, recordings))
    scored: list[MinedWindow] = []
    while batch := list(islice(places, BATCH)):
        windows = np.stack([recordings[number][i] for number, i in batch])
        scores = _scores(model, windows, keywords, device).tolist()
        scored += [
            MinedWindow(number, i * hop_frames, score)
            for (number, i), score in zip(batch, scores, strict=True)
        ]
        progress(emit, "mining", len(scored), total, unit="windows")
    model.network.cpu()
    return tuple(scored)


def hardest(windows: Sequence[MinedWindow], most: int, min_score: float) -> list[MinedWindow]:
    """Return at most `most` windows that score at least `min_score`, the highest scores first."""
    alarms = [window for window in windows if window.score >= min_score]
    return sorted(alarms, key=lambda w: (-w.score, w.recording, w.frame))[:most]


class WithMined(DerivedData):
    """The data of a job with mined windows appended to the training clips, as `_unknown_`.

    Mined windows are masked like clips, but no noise is mixed in: it
    could remove what triggers the false alarm. None is used for calibration.
    """

    def __init__(self, data: Data, mined: Sequence[MinedWindow], label: str) -> None:
        """Append the windows `mined` from the negatives of `data`, labelled `label`."""
        super().__init__(data)
        self._label = label
        negatives, frames = data.negatives(), data.front_end.n_frames
        self._mined = np.stack([negatives[w.recording][:, w.frame :][:, :frames] for w in mined])

    def examples(self, split: Split) -> Examples:
        """Return the clips of `split`; for train, followed by the mined windows."""
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
        """Return the training clips as augmented for `epoch`, and the mined windows."""
        return np.concatenate([self._data.augmented(epoch), self._mined.astype(np.float16)])


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
    batch = torch.from_numpy(windows).to(device)
    posteriors = model.logits(batch).softmax(dim=1)[:, list(keywords)]
    scores: NDArray[np.float32] = posteriors.amax(dim=1).cpu().numpy()
    return scores
