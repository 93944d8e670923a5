"""Teachers that were asked before the training, and windows without labels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekws.core.events import Event
from edgekws.core.job import Job, TrainingStopped
from edgekws.training.batches import Batch, batches, mix, unlabelled_clips
from edgekws.training.fit import fit
from edgekws.training.guidance import Guidance, Unlabelled
from edgekws.training.losses import divergence, from_probabilities
from edgekws.training.model import Model
from edgekws.training.options import AdamW, CrossEntropyLoss, DistillationLoss, Training
from tests.training.conftest import FRONT_END, N_LABELS, N_MELS, Patterns

TRAINING = Training(epochs=6, batch_size=32, optimizer=AdamW(lr=1e-2), keep="last")
SOFT = DistillationLoss(ce_weight=0, kl_weight=1, temperature=1, label_smoothing=0)


def one_hot(targets: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.eye(N_LABELS, dtype=np.float32)[targets]


def features(n: int) -> NDArray[np.float16]:
    shape = (n, N_MELS, FRONT_END.n_frames)
    return np.random.default_rng(5).normal(size=shape).astype(np.float16)


def accuracy(model: Model, data: Patterns, answers: NDArray[np.float32]) -> float:
    with torch.no_grad():
        logits = model.logits(torch.from_numpy(data.examples("dev").features))
    return float((logits.argmax(1).numpy() == answers.argmax(1)).mean())


class Constant(nn.Module):
    """A teacher that always gives the same logits."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, features: Tensor) -> Tensor:
        return self.get_buffer("logits").expand(len(features), -1)


def test_the_student_learns_the_answers_and_not_the_labels(
    tmp_path: Path,
    job_in: Callable[..., Job],
    network_2d: Callable[[], nn.Module],
    patterns: Patterns,
) -> None:
    """The teacher calls every label by the next one's name, as of the epoch's own copy."""
    epochs: list[int] = []

    def answers(epoch: int) -> NDArray[np.float32]:
        epochs.append(epoch)
        return one_hot((patterns.examples("train").targets + 1) % N_LABELS)

    model = Model(network_2d(), "2d")
    fit(model, TRAINING, SOFT, job_in(tmp_path), (), Guidance("a", 1, answers))
    renamed = one_hot((patterns.examples("dev").targets + 1) % N_LABELS)
    assert accuracy(model, patterns, renamed) > 0.9
    assert epochs == list(range(6))


def test_answers_follow_their_clips_through_shuffling_and_mixup(patterns: Patterns) -> None:
    targets = patterns.examples("train").targets
    training = replace_training(mixup=0.5)
    for batch in batches(patterns, targets, training, 7, 0, one_hot(targets)):
        assert batch.answers is not None
        np.testing.assert_array_equal(batch.answers, batch.targets)
    plain = Batch(np.zeros((4, 1, 1), np.float32), one_hot(np.arange(4)))
    assert mix(plain, 0.5, 7, 0, 0).answers is None


def replace_training(**fields: object) -> Training:
    return Training.model_validate({**TRAINING.model_dump(), **fields})


@pytest.mark.parametrize("teachers", [1, 3])
def test_teachers_of_both_kinds_count_alike(
    tmp_path: Path, job_in: Callable[..., Job], teachers: int
) -> None:
    """One network and the mean of the others: the student's first loss is to the mean of all."""
    given = one_hot(np.ones(Patterns().examples("train").targets.shape, np.int64))
    network = Constant([30.0, 0, 0, 0])
    student = nn.Sequential(nn.Flatten(), nn.Linear(N_MELS * FRONT_END.n_frames, N_LABELS))
    for parameter in student.parameters():
        nn.init.zeros_(parameter)
    training = replace_training(epochs=1, optimizer={"lr": 1e-9}, batch_size=241)
    guidance = Guidance("b", teachers, lambda epoch: given)
    job, taught = job_in(tmp_path), [Model(network, "2d")]
    history = fit(Model(student, "2d"), training, SOFT, job, taught, guidance)
    mean = torch.tensor([[1.0, teachers, 0, 0]]) / (1 + teachers)
    expected = divergence(torch.zeros(1, N_LABELS), mean, 1.0).item()
    assert history["epochs"][0]["train_loss"] == pytest.approx(expected, rel=1e-4)


def test_windows_without_labels_teach_what_the_clips_do_not(
    tmp_path: Path,
    job_in: Callable[..., Job],
    network_2d: Callable[[], nn.Module],
    patterns: Patterns,
) -> None:
    """Clips of two labels only; the windows show the others, which their answers tell apart."""
    train = patterns.examples("train")
    known = train.targets < 2
    patterns.splits["train"] = replace(
        train,
        features=train.features[known],
        targets=train.targets[known],
        speakers=train.speakers[known],
        names=("",) * int(known.sum()),
    )
    answers = one_hot(train.targets[known])
    windows = Unlabelled(train.features.astype(np.float16), 1.0, one_hot(train.targets))
    scores = []
    for unlabelled in (None, windows):
        model = Model(network_2d(), "2d")
        folder = tmp_path / f"{unlabelled is not None}"
        guidance = Guidance("c", 1, lambda epoch: answers, unlabelled)
        fit(model, TRAINING, SOFT, job_in(folder), (), guidance)
        scores.append(accuracy(model, patterns, one_hot(patterns.examples("dev").targets)))
    assert scores[0] < 0.6
    assert scores[1] > 0.9


def test_the_loss_is_that_of_the_clips_and_the_weighted_divergence(
    tmp_path: Path, job_in: Callable[..., Job], network_2d: Callable[[], nn.Module]
) -> None:
    """A teacher on features answers the windows itself; BatchNorm sees both halves together."""
    network, teacher = network_2d(), Constant([1.0, 0.5, 0, 0])
    loss = DistillationLoss(ce_weight=0.5, kl_weight=0.5, temperature=2, label_smoothing=0)
    training = replace_training(epochs=1, batch_size=241, mixup=0, optimizer={"lr": 1e-9})
    windows = features(300)
    guidance = Guidance("d", unlabelled=Unlabelled(windows, 3.0))
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    job = job_in(tmp_path)
    (batch,) = batches(job.data, job.data.examples("train").targets, training, 7, 0)
    (drawn,) = unlabelled_clips(300, training, 1, 7, 0)
    masked = job.data.mask(windows[drawn].astype(np.float32), 241 + drawn, 0, 1.0)
    network.train()
    logits = network(torch.from_numpy(np.concatenate([batch.features, masked]))).detach()
    soft = torch.softmax(torch.tensor([1.0, 0.5, 0, 0]) / 2, 0).expand(241, -1)
    expected = from_probabilities(logits[:241], soft, torch.from_numpy(batch.targets), loss)
    expected = expected + 3.0 * divergence(logits[241:], soft, 2.0)
    student = Model(network_2d(), "2d")
    for module in student.network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    history = fit(student, training, loss, job, [Model(teacher, "2d")], guidance)
    assert history["epochs"][0]["train_loss"] == pytest.approx(expected.item(), rel=1e-4)


def test_every_window_is_drawn_before_one_repeats() -> None:
    drawn = unlabelled_clips(100, Training(batch_size=30), 8, 7, 2)
    assert drawn.shape == (8, 30)
    counts = np.bincount(drawn.ravel(), minlength=100)
    assert (counts.min(), counts.max()) == (2, 3)
    assert np.array_equal(drawn, unlabelled_clips(100, Training(batch_size=30), 8, 7, 2))
    assert not np.array_equal(drawn, unlabelled_clips(100, Training(batch_size=30), 8, 7, 3))


def test_a_killed_training_resumes_with_the_same_guidance_only(
    tmp_path: Path, job_in: Callable[..., Job], network_2d: Callable[[], nn.Module]
) -> None:
    answers = one_hot(Patterns().examples("train").targets)

    def guidance(name: str) -> Guidance:
        unlabelled = Unlabelled(features(80), 0.5, one_hot(np.arange(80) % N_LABELS))
        return Guidance(name, 1, lambda epoch: answers, unlabelled)

    whole = Model(network_2d(), "2d")
    fit(whole, TRAINING, SOFT, job_in(tmp_path / "whole"), (), guidance("a"))
    for name, rows in (("b", 6), ("a", 6)):
        stopped = replace(job_in(tmp_path / "part"), stop_after=3)
        with pytest.raises(TrainingStopped):
            fit(Model(network_2d(), "2d"), TRAINING, SOFT, stopped, (), guidance(name))
        events: list[Event] = []
        job = job_in(tmp_path / "part", events.append)
        resumed = Model(network_2d(), "2d")
        history = fit(resumed, TRAINING, SOFT, job, (), guidance("a"))
        assert len(history["epochs"]) == rows
        resuming = [event.text for event in events if event.kind == "note"]
        assert ("resuming training after epoch 3" in resuming) == (name == "a")
        for file in (tmp_path / "part").iterdir():
            file.unlink()
    state = whole.network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in resumed.network.state_dict().items())


def test_what_does_not_go_together(
    tmp_path: Path, job_in: Callable[..., Job], network_2d: Callable[[], nn.Module]
) -> None:
    guidance = Guidance("a", 1, lambda epoch: features(1)[:, 0].astype(np.float32))
    model = Model(network_2d(), "2d")
    with pytest.raises(ValueError, match="teachers and DistillationLoss go together"):
        fit(model, TRAINING, CrossEntropyLoss(), job_in(tmp_path), (), guidance)
    with pytest.raises(ValueError, match="teachers and DistillationLoss go together"):
        fit(model, TRAINING, SOFT, job_in(tmp_path), (), Guidance("a"))
    with pytest.raises(ValueError, match="feature_weight is for teachers on features"):
        fit(model, TRAINING, DistillationLoss(feature_weight=1), job_in(tmp_path), (), guidance)
