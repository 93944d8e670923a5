"""Tune a network to one person's clips without more false alarms, and say what that is worth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgekws.core.contract import SILENCE, UNKNOWN, Contract
from edgekws.core.job import Job
from edgekws.lowering import checkpoint
from edgekws.steps._person import Person, WithPerson, features, room_windows, varied
from edgekws.training.fit import fit
from edgekws.training.model import Model
from edgekws.training.options import DistillationLoss, Training
from edgekws.training.reproducible import reproducible

PARTS = (1.0, 0.75, 0.5, 0.25)
"""Parts of the way from the old weights to the tuned ones, the largest first."""

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Amounts:
    """How much of what is learnt: training clips replayed, variations, and the person's share."""

    replay: int
    copies: int
    share: float


@dataclass(frozen=True)
class Tuned:
    """A tuned network: the part of the way that it went, its false alarms, and the history."""

    weights: Weights
    part: float
    alarms: tuple[int, int]
    history: dict[str, Any]


class Adapter:
    """Tunes one network to one person, on all clips or on some.

    `start` are the weights of the network as it came, `alarms` its false alarms: clips of dev
    without a keyword, and windows of the second half of the room, that it takes for a keyword.
    """

    def __init__(
        self,
        weights: Weights,
        contract: Contract,
        person: Person,
        amounts: Amounts,
        job: Job,
    ) -> None:
        """Render the variations of the clips, and count the false alarms."""
        self.start, self._contract, self._job = weights, contract, job
        self._person, self._amounts = person, amounts
        labels = job.data.labels
        self._fillers = [i for i, label in enumerate(labels) if label in (UNKNOWN, SILENCE)]
        self._quiet = self._dev_without_keyword()
        first, self._room = self._halves()
        learnt = replace(person, room=first)
        self._bank = varied(learnt, job.data, amounts.copies, job.seed, job.emit)
        self._targets = person.targets
        self._add_room(first)
        self.alarms = self._alarms(weights)

    @property
    def windows(self) -> tuple[int, int]:
        """The clips of dev without a keyword, and the windows of the room that are judged."""
        return len(self._quiet), len(self._room)

    def tuned(
        self, clips: NDArray[np.int64], training: Training, loss: DistillationLoss, folder: Path
    ) -> Tuned:
        """Fine-tune on the person's clips `(n,)` and go as far as false alarms allow.

        The network as it came is the teacher. Weights between the old and the new ones keep part
        of both (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").

        Raises:
            RecipeError, MachineError: as `training.fit.fit`.
        """
        room = np.arange(len(self._person), len(self._targets))
        chosen = np.concatenate([clips, room])
        replayed = self._job.data.calibration(self._amounts.replay)
        share = self._amounts.share
        repeats = max(1, round(share / (1 - share) * len(replayed) / len(chosen)))
        data = WithPerson(
            self._job.data, replayed, self._bank[:, chosen], self._targets[chosen], repeats
        )
        job = replace(self._job, data=data, workdir=folder)
        model = self._model(self.start)
        history = fit(model, training, loss, job, [self._model(self.start)])
        end = model.network.state_dict()
        for part in PARTS:
            weights = between(self.start, end, part)
            alarms = self._alarms(weights)
            if all(new <= old for new, old in zip(alarms, self.alarms, strict=True)):
                return Tuned(weights, part, alarms, history)
        return Tuned(self.start, 0.0, self.alarms, history)

    def misses(self, weights: Weights, clips: NDArray[np.int64]) -> int:
        """Count the person's clips of a keyword that are not recognized as it."""
        spoken = self.keywords(clips)
        answers = self._answers(weights, self._bank[0, spoken])
        return int(np.count_nonzero(answers != self._targets[spoken]))

    def keywords(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of the clips that are of a keyword."""
        return clips[~np.isin(self._targets[clips], self._fillers)]

    def folds(self, count: int) -> Iterator[NDArray[np.int64]]:
        """Yield clips to hold out, in `count` groups at most, one take of each word in turn."""
        groups = self._person.takes % count
        yield from (np.flatnonzero(groups == k) for k in np.unique(groups))

    def _halves(self) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float32]]:
        """Return the first half of each recording of the room, and the features of the second."""
        room, data = self._person.room, self._job.data
        second = room_windows([wave[len(wave) // 2 :] for wave in room], data.front_end)
        first = tuple(wave[: len(wave) // 2] for wave in room)
        return first, features(second, data.front_end, data.normalization)

    def _add_room(self, room: Sequence[NDArray[np.float32]]) -> None:
        """Add windows of the room to the clips, each as the filler that the network takes it for.

        At most as many as there are clips.
        """
        data = self._job.data
        windows = room_windows(room, data.front_end)
        if not (len(windows) and self._fillers):
            return
        step = -(-len(windows) // len(self._person))
        heard = features(windows[::step], data.front_end, data.normalization)
        logits = self._logits(self.start, heard)[:, self._fillers]
        self._bank = np.concatenate(
            [self._bank, np.broadcast_to(heard, (len(self._bank), *heard.shape))], axis=1
        )
        answers = np.array(self._fillers)[logits.argmax(axis=1)]
        self._targets = np.concatenate([self._targets, answers])

    def _dev_without_keyword(self) -> NDArray[np.float32]:
        dev = self._job.data.examples("dev")
        return dev.features[np.isin(dev.targets, self._fillers)]

    def _alarms(self, weights: Weights) -> tuple[int, int]:
        dev, room = (self._answers(weights, part) for part in (self._quiet, self._room))
        counts = [int(np.count_nonzero(~np.isin(part, self._fillers))) for part in (dev, room)]
        return counts[0], counts[1]

    def _answers(self, weights: Weights, clips: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.asarray(self._logits(weights, clips).argmax(axis=1))

    @torch.no_grad()
    def _logits(self, weights: Weights, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits `(N, n_labels)`."""
        if not len(clips):
            return np.empty((0, len(self._job.data.labels)), np.float32)
        with reproducible(self._job):
            logits = self._model(weights).logits(torch.from_numpy(np.ascontiguousarray(clips)))
        return np.asarray(logits.numpy())

    def _model(self, weights: Weights) -> Model:
        network = checkpoint.build(self._contract)
        network.load_state_dict(weights)
        return Model.of(network.eval(), self._contract)


def between(start: Weights, end: Weights, part: float) -> Weights:
    """Return the weights that lie `part` of the way from `start` to `end`; counters stay."""
    return {
        name: torch.lerp(value, end[name], part) if value.is_floating_point() else value
        for name, value in start.items()
    }
