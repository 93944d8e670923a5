"""Train one network on labels or from teachers; a killed run resumes."""

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekws.core.canonical import sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.events import Event, progress
from edgekws.core.job import Job, TrainingStopped
from edgekws.errors import DataError, Problem, RecipeError
from edgekws.training import state
from edgekws.training.batches import Batch, Extra, batches, n_batches, unlabelled_batches
from edgekws.training.feature_matching import FeatureMatching, logits_and_features
from edgekws.training.guidance import Guidance
from edgekws.training.losses import (
    clip_weights,
    distillation,
    divergence,
    from_probabilities,
    label_loss,
    mean_probabilities,
)
from edgekws.training.model import Model
from edgekws.training.optimizers import RunningMean, build_optimizer, lr_at, restore_moments, set_lr
from edgekws.training.options import CrossEntropyLoss, DistillationLoss, FocalLoss, Training
from edgekws.training.reproducible import reproducible, seed_torch
from edgekws.training.scores import DevMetrics, score

TICK_S = 0.25

Loss = CrossEntropyLoss | FocalLoss | DistillationLoss


def fit(
    model: Model,
    training: Training,
    loss: Loss,
    job: Job,
    teachers: Sequence[Model] = (),
    guidance: Guidance | None = None,
) -> dict[str, Any]:
    """Train `model.network` in place on `job.data` and return the history.

    The network ends on the CPU in eval mode, with the weights of the epoch that `training.keep`
    selects. Student and teachers get the same augmented clips, each in its own representation.
    `guidance` adds teachers that take audio, and windows without labels, on which the loss is the
    divergence from all teachers. The state after every epoch is written to `job.workdir`: the same
    call with the same folder resumes there and ends with the same bytes as an uninterrupted run (on
    one machine, with the same `job.threads`). Progress counts batches. The maps of `feature_weight`
    are part of the state, but not of the result.

    Returns `epochs` (a row each: `epoch`, `train_loss`, `dev_loss`, `dev_accuracy`,
    `dev_balanced_accuracy`, `dev_macro_recall`, `lr`, `seconds`), `best_epoch` and `kept_epoch`,
    counted from 1. `dev_loss` is the cross-entropy without smoothing.

    Raises:
        DataError: there are fewer than two training clips, or no dev clips.
        RecipeError: the loss is no longer finite, or `false_alarm_weight` is set although every
            label is a keyword.
        MachineError: the state cannot be written.
        MissingPartError: `job.device` is `cuda` and there is none.
        TrainingStopped: `job.stop_after` epochs are done, and more remain.
        ValueError: teachers without a `DistillationLoss`, or the reverse; a network without a
            linear classifier, or `guidance`, under `feature_weight`.
    """
    taught = bool(teachers) or (guidance is not None and guidance.teachers > 0)
    if taught != isinstance(loss, DistillationLoss):
        raise ValueError("teachers and DistillationLoss go together")
    if guidance and isinstance(loss, DistillationLoss) and loss.feature_weight:
        raise ValueError("feature_weight is for teachers on features, and clips with labels")
    with reproducible(job):
        run = _Run(model, training, loss, job, teachers, guidance)
        run.resume()
        for epoch in range(len(run.rows), training.epochs):
            if job.stop_after is not None and epoch >= job.stop_after:
                raise TrainingStopped
            run.train_epoch(epoch)
        return run.finish()


class _Run:
    """A training in progress; `rows` holds an entry per finished epoch."""

    def __init__(
        self,
        model: Model,
        training: Training,
        loss: Loss,
        job: Job,
        teachers: Sequence[Model],
        guidance: Guidance | None,
    ) -> None:
        self.model, self.training, self.loss, self.job = model, training, loss, job
        self.teachers, self.guidance = teachers, guidance
        self.identity = _identity(model, training, loss, job, teachers, guidance)
        self.network = _place(model, job)
        for teacher in teachers:
            _place(teacher, job).eval()
        self.matching = self._feature_matching()
        modules = nn.ModuleList([self.network, self.matching]) if self.matching else self.network
        self.optimizer = build_optimizer(modules, training)
        self.mean = RunningMean(self.network, training.ema) if training.ema else None
        self.dev = job.data.examples("dev")
        self.targets = job.data.examples("train").targets
        self.steps = n_batches(len(self.targets), training.batch_size)
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.ticked = -math.inf
        self.fillers = self._fillers()
        if not self.steps or not len(self.dev):
            raise DataError(
                f"{len(self.targets)} train and {len(self.dev)} dev clips; training needs at "
                "least two and one: add clips or change the split"
            )

    def train_epoch(self, epoch: int) -> None:
        """Train for one epoch, score it on dev and write the state."""
        start = time.perf_counter()
        seed_torch(self.job.seed, epoch)
        self.network.train()
        total = torch.zeros((), device=self.job.device)
        data = self.job.data
        for index, (batch, extra) in enumerate(self._batches(epoch)):
            total += self._update(batch, extra, epoch * self.steps + index)
            self._tick(epoch, index + 1, total, start)
        mean_loss = self._check_finite(total.item() / self.steps, epoch)
        kept = Model(self.kept_network, self.model.representation)
        metrics = score(kept, self.dev, data.labels, self.job.device)
        self._check_finite(metrics.loss, epoch)
        self._close_epoch(mean_loss, metrics, time.perf_counter() - start)

    @property
    def kept_network(self) -> nn.Module:
        """The network that is scored and kept: the running mean if there is one."""
        return self.mean.network if self.mean else self.network

    def _batches(self, epoch: int) -> Iterator[tuple[Batch, Extra | None]]:
        """Yield the batches of an epoch, each with one of windows without labels, if any."""
        job, guidance = self.job, self.guidance
        answers = guidance.answers(epoch) if guidance and guidance.answers else None
        clips = batches(job.data, self.targets, self.training, job.seed, epoch, answers)
        unlabelled = guidance.unlabelled if guidance else None
        if unlabelled is None:
            yield from ((batch, None) for batch in clips)
            return
        n_clips = len(self.targets)
        extra = unlabelled_batches(
            unlabelled, job.data, n_clips, self.training, self.steps, job.seed, epoch
        )
        yield from zip(clips, extra, strict=True)

    def _update(self, batch: Batch, extra: Extra | None, step: int) -> Tensor:
        set_lr(self.optimizer, lr_at(self.training, step, self.steps))
        loss = self._loss_with_extra(batch, extra) if extra else self._loss(batch)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        if self.mean:
            self.mean.update(step)
        return loss.detach()

    def _on_device(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array).to(self.job.device)

    def _fillers(self) -> list[int]:
        """Return the labels of clips without a keyword, where they are weighted."""
        weight = self.training.false_alarm_weight
        labels = self.job.data.labels
        fillers = [i for i, label in enumerate(labels) if label in (UNKNOWN, SILENCE)]
        if weight != 1 and not fillers:
            message = f"has no effect: there is no class {UNKNOWN} or {SILENCE}; take it out"
            raise RecipeError([Problem("", "training.false_alarm_weight", message)])
        return fillers if weight != 1 else []

    def _feature_matching(self) -> FeatureMatching | None:
        if not isinstance(self.loss, DistillationLoss) or not self.loss.feature_weight:
            return None
        teachers = [teacher.network for teacher in self.teachers]
        return FeatureMatching(self.network, teachers, self.job.seed).to(self.job.device)

    def _loss(self, batch: Batch) -> Tensor:
        features, targets = self._on_device(batch.features), self._on_device(batch.targets)
        weights = self._weights(targets)
        if not isinstance(self.loss, DistillationLoss):
            return label_loss(self.model.logits(features), targets, self.loss, weights)
        if self.matching:
            return self._loss_with_features(self.matching, features, targets, self.loss)
        logits = self.model.logits(features)
        teacher = self._teachers_say(features, batch.answers, self.loss.temperature)
        return from_probabilities(logits, teacher, targets, self.loss, weights)

    def _loss_with_extra(self, batch: Batch, extra: Extra) -> Tensor:
        """Return the loss of a batch of clips and one of windows without labels.

        Both pass through the student together, as BatchNorm normalises over what it sees at once.
        """
        assert isinstance(self.loss, DistillationLoss)
        temperature, targets = self.loss.temperature, self._on_device(batch.targets)
        features = self._on_device(np.concatenate([batch.features, extra.features]))
        logits = self.model.logits(features)
        answers = None
        if batch.answers is not None and extra.answers is not None:
            answers = np.concatenate([batch.answers, extra.answers])
        teacher = self._teachers_say(features, answers, temperature)
        n = len(targets)
        weights = self._weights(targets)
        labelled = from_probabilities(logits[:n], teacher[:n], targets, self.loss, weights)
        return labelled + extra.weight * divergence(logits[n:], teacher[n:], temperature)

    def _teachers_say(
        self, features: Tensor, answers: NDArray[np.float32] | None, temperature: float
    ) -> Tensor:
        """Return the mean probabilities of all teachers, `(B, n_labels)`."""
        own = self.guidance.teachers if self.guidance else 0
        given = self._on_device(answers) if answers is not None else torch.zeros(())
        if not self.teachers:
            return given
        with torch.no_grad():
            logits = torch.stack([teacher.logits(features) for teacher in self.teachers])
        live = len(self.teachers)
        mean = mean_probabilities(logits, temperature)
        return (live * mean + own * given) / (live + own) if own else mean

    def _weights(self, targets: Tensor) -> Tensor | None:
        if not self.fillers:
            return None
        return clip_weights(targets, self.fillers, self.training.false_alarm_weight)

    def _loss_with_features(
        self, matching: FeatureMatching, features: Tensor, targets: Tensor, loss: DistillationLoss
    ) -> Tensor:
        """Return the distillation loss including that of the features."""
        logits, pooled = logits_and_features(self.model, features)
        with torch.no_grad():
            pairs = [logits_and_features(teacher, features) for teacher in self.teachers]
        teacher_logits, teacher_pooled = zip(*pairs, strict=True)
        unmatched: Tensor = matching(pooled, teacher_pooled)
        weights = self._weights(targets)
        soft = distillation(logits, torch.stack(teacher_logits), targets, loss, weights)
        return soft + loss.feature_weight * unmatched

    def _tick(self, epoch: int, done: int, total: Tensor, start: float) -> None:
        """Report progress, except for an epoch's last batch, which is reported with its scores."""
        now = time.perf_counter()
        if done == self.steps or now - self.ticked < TICK_S:
            return
        self.ticked = now
        self._report(epoch, done, self._check_finite(total.item() / done, epoch), now - start)

    def _report(self, epoch: int, done: int, loss: float, seconds: float) -> None:
        clips = min(done * self.training.batch_size, len(self.targets))
        progress(
            self.job.emit,
            "training",
            epoch * self.steps + done,
            self.training.epochs * self.steps,
            epoch=epoch + 1,
            epochs=self.training.epochs,
            loss=loss,
            dev_accuracy=self.rows[-1]["dev_accuracy"] if self.rows else None,
            clips_per_s=round(clips / max(seconds, 1e-6)),
        )

    def _check_finite(self, loss: float, epoch: int) -> float:
        if math.isfinite(loss):
            return loss
        lr = self.training.optimizer.lr
        message = f"the loss became {loss} in epoch {epoch + 1}; lower lr (it is {lr:g})"
        raise RecipeError([Problem("", "training.optimizer.lr", message)])

    def _close_epoch(self, loss: float, metrics: DevMetrics, seconds: float) -> None:
        epoch = len(self.rows)
        self.rows.append(
            {
                "epoch": epoch + 1,
                "train_loss": loss,
                "dev_loss": metrics.loss,
                "dev_accuracy": metrics.accuracy,
                "dev_balanced_accuracy": metrics.balanced_accuracy,
                "dev_macro_recall": metrics.macro_recall,
                "lr": self.optimizer.param_groups[0]["lr"],
                "seconds": seconds,
            }
        )
        if self.training.keep == "last" or _best(self.rows) is self.rows[-1]:
            weights = self.kept_network.state_dict()
            self.best = {name: t.detach().cpu().clone() for name, t in weights.items()}
        state.write(self.job.workdir, self.identity, self._state())
        self._report(epoch, self.steps, loss, seconds)

    def _state(self) -> state.State:
        tensors = state.nest("network", self.network.state_dict())
        tensors |= state.nest("optimizer", self.optimizer.state_dict()["state"])
        tensors |= state.nest("best", self.best)
        if self.mean:
            tensors |= state.nest("mean", self.mean.network.state_dict())
        if self.matching:
            tensors |= state.nest("matching", self.matching.state_dict())
        return state.State(len(self.rows), tensors, {"rows": self.rows})

    def resume(self) -> None:
        """Resume from the state in the work folder if it belongs to this training."""
        saved = state.read(self.job.workdir, self.identity, self.job.emit)
        if saved is None:
            return
        self.network.load_state_dict(dict(state.under("network", saved.tensors)))
        if self.mean:
            self.mean.network.load_state_dict(dict(state.under("mean", saved.tensors)))
        if self.matching:
            self.matching.load_state_dict(dict(state.under("matching", saved.tensors)))
        restore_moments(self.optimizer, dict(state.under("optimizer", saved.tensors)))
        self.best = dict(state.under("best", saved.tensors))
        self.rows = saved.notes["rows"]
        self.job.emit(Event("note", f"resuming training after epoch {saved.epoch}"))

    def finish(self) -> dict[str, Any]:
        """Load the selected weights into the network and return the history."""
        self.network.load_state_dict(self.best)
        _set_memory_format(self.network.cpu().eval(), torch.contiguous_format)
        best = _best(self.rows)["epoch"]
        kept = best if self.training.keep == "best" else len(self.rows)
        return {"epochs": self.rows, "best_epoch": best, "kept_epoch": kept}


def _place(model: Model, job: Job) -> nn.Module:
    network = model.network.to(job.device)
    if model.representation == "3d":
        _set_memory_format(network, torch.channels_last)  # a quarter faster on the CPU
    return network


def _set_memory_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    network.to(memory_format=memory_format)  # type: ignore[call-overload]


def _best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return max(rows, key=lambda row: (row["dev_balanced_accuracy"], -row["dev_loss"]))


def _identity(
    model: Model,
    training: Training,
    loss: Loss,
    job: Job,
    teachers: Sequence[Model],
    guidance: Guidance | None,
) -> str:
    """Return a hash of the fields, data and initial weights, which a saved state must match."""
    networks = [model, *teachers]
    return sha256_of(
        {
            "training": training.model_dump(mode="json"),
            "loss": loss.model_dump(mode="json"),
            "networks": [(m.representation, _sha256_of_weights(m.network)) for m in networks],
            "guidance": guidance.identity if guidance else None,
            "job": (job.seed, job.device, job.threads),
            "labels": job.data.labels,
            "front_end": job.data.front_end.to_dict(),
            "normalization": (job.data.normalization.mean, job.data.normalization.std),
        }
    )


def _sha256_of_weights(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
