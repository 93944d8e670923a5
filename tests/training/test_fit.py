import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from edgekws.core.corpus import Examples
from edgekws.core.events import Event
from edgekws.core.job import Job
from edgekws.errors import DataError, MissingPartError, RecipeError
from edgekws.training import fit as fit_module
from edgekws.training.fit import fit
from edgekws.training.model import Model
from edgekws.training.optimizers import RunningMean
from edgekws.training.options import (
    SGD,
    AdamW,
    CrossEntropyLoss,
    DistillationLoss,
    FocalLoss,
    Training,
)
from edgekws.training.reproducible import reproducible
from edgekws.training.scores import DevMetrics, score
from edgekws.training.state import NEWEST, PREVIOUS
from tests.training.conftest import Patterns

MEMORY: Any = torch.utils.deterministic  # its types lack its only setting

Build = Callable[[], nn.Module]
JobIn = Callable[..., Job]
CE = CrossEntropyLoss()
SHORT = Training(epochs=4, batch_size=60, optimizer=AdamW(lr=0.01))


def short(epochs: int) -> Training:
    return SHORT.model_copy(update={"epochs": epochs})


class StoppedError(Exception):
    """Raised by a listener to stop a training."""


def stop_after(batches: int, error: type[BaseException] = StoppedError) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        if event.kind == "progress" and event.done == batches:
            raise error

    return emit


def weights(network: nn.Module) -> bytes:
    return save(dict(network.state_dict()))


@pytest.fixture
def every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report the progress at every batch."""
    monkeypatch.setattr(fit_module, "TICK_S", 0.0)


@pytest.mark.parametrize("representation", ["2d", "3d"])
def test_it_learns(
    tmp_path: Path, job_in: JobIn, request: pytest.FixtureRequest, representation: Any
) -> None:
    build: Build = request.getfixturevalue(f"network_{representation}")
    job = job_in(tmp_path)
    model = Model(build(), representation)
    before = score(model, job.data.examples("dev"), job.data.labels, "cpu").accuracy
    history = fit(model, short(8), CE, job)
    after = score(model, job.data.examples("dev"), job.data.labels, "cpu")
    assert before < 0.6
    assert after.accuracy > 0.9
    assert not model.network.training
    rows = history["epochs"]
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    kept = rows[history["kept_epoch"] - 1]
    assert kept["dev_loss"] == pytest.approx(after.loss, rel=1e-5)
    assert kept["dev_accuracy"] == after.accuracy
    assert kept["dev_balanced_accuracy"] == after.balanced_accuracy
    assert kept["dev_macro_recall"] == after.macro_recall


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_chosen_epoch_is_kept(
    tmp_path: Path, job_in: JobIn, network_2d: Build, keep: Any
) -> None:
    """A rate that stays high makes the epochs go up and down, so that best is not last."""
    training = Training(epochs=6, batch_size=60, optimizer=SGD(lr=1.0, momentum=0.9), keep=keep)
    training = training.model_copy(
        update={"schedule": training.schedule.model_copy(update={"final_lr_ratio": 1.0})}
    )
    job = job_in(tmp_path)
    model = Model(network_2d(), "2d")
    history = fit(model, training, CE, job)
    rows = history["epochs"]
    best = max(rows, key=lambda row: (row["dev_balanced_accuracy"], -row["dev_loss"]))
    assert history["best_epoch"] == best["epoch"] != 6
    assert history["kept_epoch"] == (best["epoch"] if keep == "best" else 6)
    dev_loss = score(model, job.data.examples("dev"), job.data.labels, "cpu").loss
    assert rows[history["kept_epoch"] - 1]["dev_loss"] == pytest.approx(dev_loss, rel=1e-5)


def test_of_epochs_with_the_same_balanced_accuracy_the_lowest_loss_is_kept(
    tmp_path: Path, job_in: JobIn, network_2d: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([(0.5, 0.1), (0.9, 0.8), (0.9, 0.3), (0.9, 0.6)])  # balanced accuracy, loss
    scored: list[bytes] = []

    def scripted(model: Model, *_: object) -> DevMetrics:
        balanced, loss = next(figures)
        scored.append(weights(model.network))
        return DevMetrics(loss=loss, accuracy=0.0, balanced_accuracy=balanced, macro_recall=0.0)

    monkeypatch.setattr(fit_module, "score", scripted)
    model = Model(network_2d(), "2d")
    history = fit(model, short(4), CE, job_in(tmp_path))
    assert history["best_epoch"] == history["kept_epoch"] == 3
    assert weights(model.network) == scored[2]


EVERYTHING = Training(
    epochs=4, batch_size=60, optimizer=AdamW(lr=0.01), mixup=0.3, ema=0.9, balanced=True
)
MOMENTUM = Training(epochs=4, batch_size=60, optimizer=SGD(lr=0.1), keep="last")


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize(
    ("training", "representation", "stop", "spoil"),
    [
        (EVERYTHING, "3d", 8, ()),  # right after epoch 2
        (EVERYTHING, "3d", 11, ()),  # within epoch 3
        (EVERYTHING, "2d", 2, ()),  # nothing saved yet
        (MOMENTUM, "2d", 8, ()),
        (MOMENTUM, "3d", 13, (NEWEST,)),
        (EVERYTHING, "3d", 13, (NEWEST, PREVIOUS)),
        (EVERYTHING, "2d", 16, ()),  # done, but the step could not write its result
    ],
)
def test_a_stopped_run_ends_with_the_same_bytes(
    tmp_path: Path,
    job_in: JobIn,
    request: pytest.FixtureRequest,
    training: Training,
    representation: Any,
    stop: int,
    spoil: tuple[str, ...],
) -> None:
    build: Build = request.getfixturevalue(f"network_{representation}")
    whole = Model(build(), representation)
    expected = fit(whole, training, CE, job_in(tmp_path / "whole"))

    folder = tmp_path / "stopped"
    with pytest.raises(StoppedError):
        fit(Model(build(), representation), training, CE, job_in(folder, stop_after(stop)))
    for name in spoil:
        (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    events: list[Event] = []
    resumed = Model(build(), representation)
    history = fit(resumed, training, CE, job_in(folder, events.append))

    assert weights(resumed.network) == weights(whole.network)
    saved = max(0, stop // 4 - len(spoil)) if len(spoil) < 2 else 0
    assert [e.done for e in events if e.kind == "progress"] == list(range(4 * saved + 1, 17))
    assert [e.kind for e in events if e.kind != "progress"] == [
        *["warning" for _ in spoil],
        *["note" for _ in range(saved > 0)],
    ]
    notes = [event.text for event in events if event.kind == "note"]
    assert all(f"resuming training after epoch {saved}" in text for text in notes)
    for row in expected["epochs"] + history["epochs"]:
        del row["seconds"]
    assert history == expected


@pytest.mark.usefixtures("every_batch")
def test_an_interrupted_run_resumes(tmp_path: Path, job_in: JobIn, network_2d: Build) -> None:
    whole, resumed = Model(network_2d(), "2d"), Model(network_2d(), "2d")
    fit(whole, SHORT, CE, job_in(tmp_path / "whole"))
    job = job_in(tmp_path / "stopped", stop_after(10, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fit(Model(network_2d(), "2d"), SHORT, CE, job)
    assert (tmp_path / "stopped" / NEWEST).exists()
    fit(resumed, SHORT, CE, job_in(tmp_path / "stopped"))
    assert weights(resumed.network) == weights(whole.network)


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize("change", ["training", "loss", "seed", "weights"])
def test_the_state_of_another_training_is_ignored(
    tmp_path: Path, job_in: JobIn, network_2d: Build, change: str
) -> None:
    events: list[Event] = []
    with pytest.raises(StoppedError):
        fit(Model(network_2d(), "2d"), SHORT, CE, job_in(tmp_path, stop_after(8)))
    network, training, loss, job = network_2d(), SHORT, CE, job_in(tmp_path, events.append)
    if change == "training":
        training = short(3)
    if change == "loss":
        loss = CrossEntropyLoss(label_smoothing=0.2)
    if change == "seed":
        job = replace(job, seed=8)
    if change == "weights":
        nn.init.zeros_(network.get_parameter("0.weight"))
    fit(Model(network, "2d"), training, loss, job)
    assert [e.kind for e in events if e.kind != "progress"] == ["note", "note"]
    assert next(e.done for e in events if e.kind == "progress") == 1


@pytest.mark.parametrize(("student", "teachers"), [("2d", ["3d"]), ("3d", ["2d", "2d"])])
def test_a_student_learns_from_teachers_alone(
    tmp_path: Path,
    job_in: JobIn,
    request: pytest.FixtureRequest,
    student: Any,
    teachers: list[Any],
) -> None:
    job = job_in(tmp_path / "student")
    taught = []
    for i, representation in enumerate(teachers):
        taught.append(Model(request.getfixturevalue(f"network_{representation}")(), representation))
        fit(taught[-1], short(6), CE, job_in(tmp_path / f"teacher{i}"))
    before = [copy.deepcopy(t.network.state_dict()) for t in taught]
    model = Model(request.getfixturevalue(f"network_{student}")(), student)
    fit(model, short(8), DistillationLoss(ce_weight=0, kl_weight=1), job, taught)
    assert score(model, job.data.examples("dev"), job.data.labels, "cpu").accuracy > 0.9
    for teacher, state in zip(taught, before, strict=True):
        assert not teacher.network.training
        for name, tensor in teacher.network.state_dict().items():
            assert torch.equal(tensor, state[name])


MATCHING = DistillationLoss(focal_gamma=1.0, feature_weight=2.0)


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize(
    ("training", "stop"),
    [(EVERYTHING.model_copy(update={"masking": 0.5}), 8), (EVERYTHING, 11), (MOMENTUM, 13)],
)
def test_a_stopped_student_ends_with_the_same_bytes(
    tmp_path: Path,
    job_in: JobIn,
    network_2d: Build,
    network_3d: Build,
    training: Training,
    stop: int,
) -> None:
    """The maps to the teachers' features are restored with their optimizer moments."""
    teachers = [Model(network_3d(), "3d"), Model(network_2d(), "2d")]
    whole, resumed = Model(network_2d(), "2d"), Model(network_2d(), "2d")
    expected = fit(whole, training, MATCHING, job_in(tmp_path / "whole"), teachers)
    job = job_in(tmp_path / "stopped", stop_after(stop))
    with pytest.raises(StoppedError):
        fit(Model(network_2d(), "2d"), training, MATCHING, job, teachers)
    history = fit(resumed, training, MATCHING, job_in(tmp_path / "stopped"), teachers)
    assert weights(resumed.network) == weights(whole.network)
    for row in expected["epochs"] + history["epochs"]:
        del row["seconds"]
    assert history == expected


@pytest.mark.parametrize(
    "loss",
    [
        DistillationLoss(focal_gamma=1.0),
        DistillationLoss(feature_weight=1.0),
        DistillationLoss(kl_weight=0.5),
    ],
)
def test_every_part_of_the_loss_has_its_effect(
    tmp_path: Path, job_in: JobIn, network_2d: Build, network_3d: Build, loss: DistillationLoss
) -> None:
    plain, changed = Model(network_2d(), "2d"), Model(network_2d(), "2d")
    for model, fields in ((plain, DistillationLoss()), (changed, loss)):
        fit(model, short(1), fields, job_in(tmp_path / str(id(model))), [Model(network_3d(), "3d")])
    assert weights(plain.network) != weights(changed.network)


def test_it_learns_by_focal_loss(tmp_path: Path, job_in: JobIn, network_2d: Build) -> None:
    job, model = job_in(tmp_path), Model(network_2d(), "2d")
    fit(model, short(8), FocalLoss(gamma=2.0), job)
    assert score(model, job.data.examples("dev"), job.data.labels, "cpu").accuracy > 0.9


def test_false_alarms_that_weigh_more_become_fewer(
    tmp_path: Path, job_in: JobIn, network_2d: Build, network_3d: Build
) -> None:
    """On patterns that cannot all be told apart; with teachers or without."""
    data = Patterns(noise=6.0)
    keywords = [i for i, label in enumerate(data.labels) if label != "_unknown_"]
    teachers = [Model(network_3d(), "3d")]
    for loss, taught in ((CE, []), (DistillationLoss(ce_weight=0.9, kl_weight=0.1), teachers)):
        alarms, hits = [], []
        for weight in (0.1, 1.0, 10.0):
            training = short(4).model_copy(update={"false_alarm_weight": weight, "keep": "last"})
            model = Model(network_2d(), "2d")
            job = job_in(tmp_path / f"{len(taught)}-{weight}", data=data)
            fit(model, training, loss, job, taught)
            examples = data.examples("dev")
            with torch.no_grad():
                said = model.logits(torch.from_numpy(examples.features)).argmax(dim=1).numpy()
            spoken = np.isin(examples.targets, keywords)
            alarms.append(np.isin(said[~spoken], keywords).mean())
            hits.append((said == examples.targets)[spoken].mean())
        assert alarms[0] > alarms[1] + 0.1 > alarms[2] + 0.2
        assert hits[0] > hits[2] + 0.1


def test_a_weight_of_false_alarms_needs_a_class_for_them(
    tmp_path: Path, job_in: JobIn, network_2d: Build, patterns: Any
) -> None:
    patterns.labels = ("да", "нет", "go", "stop")
    training = SHORT.model_copy(update={"false_alarm_weight": 2.0})
    message = "training.false_alarm_weight: has no effect: there is no class _unknown_ or _silence_"
    with pytest.raises(RecipeError, match=message):
        fit(Model(network_2d(), "2d"), training, CE, job_in(tmp_path))


def test_the_running_mean_is_what_is_scored_and_kept(
    tmp_path: Path, job_in: JobIn, network_2d: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    means: list[RunningMean] = []

    def build(network: nn.Module, decay: float) -> RunningMean:
        means.append(RunningMean(network, decay))
        return means[-1]

    monkeypatch.setattr(fit_module, "RunningMean", build)
    model, job = Model(network_2d(), "2d"), job_in(tmp_path)
    training = SHORT.model_copy(update={"ema": 0.9, "keep": "last"})
    history = fit(model, training, CE, job)
    assert len(means) == 1
    assert weights(model.network) == weights(means[0].network)
    plain = Model(network_2d(), "2d")
    fit(plain, SHORT.model_copy(update={"keep": "last"}), CE, job_in(tmp_path / "plain"))
    assert weights(plain.network) != weights(model.network)
    dev_loss = score(model, job.data.examples("dev"), job.data.labels, "cpu").loss
    assert history["epochs"][-1]["dev_loss"] == pytest.approx(dev_loss, rel=1e-5)


class Recorder(nn.Module):
    """Passes a network's input on and keeps a copy of it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.inputs: list[torch.Tensor] = []

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.training or not isinstance(self.network.get_submodule("0"), nn.Conv1d):
            self.inputs.append(features.clone())
        logits: torch.Tensor = self.network(features)
        return logits


def test_student_and_teacher_get_the_same_clips(
    tmp_path: Path, job_in: JobIn, network_2d: Build, network_3d: Build
) -> None:
    student, teacher = Recorder(network_2d()), Recorder(network_3d())
    training = EVERYTHING.model_copy(update={"epochs": 1})
    teachers = [Model(teacher, "3d")]
    fit(Model(student, "2d"), training, DistillationLoss(), job_in(tmp_path), teachers)
    assert len(student.inputs) == len(teacher.inputs) == 4
    for a, b in zip(student.inputs, teacher.inputs, strict=True):
        assert torch.equal(a[:, None], b)


def test_teachers_and_distillation_go_together(
    tmp_path: Path, job_in: JobIn, network_2d: Build
) -> None:
    model, job = Model(network_2d(), "2d"), job_in(tmp_path)
    for loss, teachers in ((CE, [model]), (DistillationLoss(), [])):
        with pytest.raises(ValueError, match="teachers and DistillationLoss go together"):
            fit(model, SHORT, loss, job, teachers)


def test_a_loss_that_is_not_finite_stops_the_run(
    tmp_path: Path, job_in: JobIn, network_2d: Build
) -> None:
    sgd = SGD().model_copy(update={"lr": 1e30})  # more than a recipe may say
    training = Training(epochs=3, batch_size=60, optimizer=sgd)
    with pytest.raises(RecipeError, match=r"optimizer.lr: the loss became (nan|inf) in epoch 1; "):
        fit(Model(network_2d(), "2d"), training, CE, job_in(tmp_path))
    assert not (tmp_path / NEWEST).exists()


@pytest.mark.parametrize(("train", "dev"), [(0, 5), (1, 5), (5, 0)])
def test_too_few_clips(
    tmp_path: Path, job_in: JobIn, network_2d: Build, patterns: Any, train: int, dev: int
) -> None:
    for split, n in (("train", train), ("dev", dev)):
        whole = patterns.examples(split)
        patterns.splits[split] = Examples(
            whole.features[:n], whole.targets[:n], whole.speakers[:n], whole.names[:n]
        )
    with pytest.raises(DataError, match=f"{train} train and {dev} dev clips; training needs at"):
        fit(Model(network_2d(), "2d"), SHORT, CE, job_in(tmp_path))


@pytest.mark.usefixtures("every_batch")
def test_progress_counts_batches_to_the_end(
    tmp_path: Path, job_in: JobIn, network_2d: Build
) -> None:
    events: list[Event] = []
    history = fit(Model(network_2d(), "2d"), SHORT, CE, job_in(tmp_path, events.append))
    assert [e.done for e in events] == list(range(1, 17))
    assert {(e.kind, e.text, e.total) for e in events} == {("progress", "training", 16)}
    assert events[0].data.keys() == {"epoch", "epochs", "loss", "dev_accuracy", "clips_per_s"}
    assert events[0].data["dev_accuracy"] is None
    assert events[-1].data["dev_accuracy"] == history["epochs"][-1]["dev_accuracy"]
    assert events[-1].data["loss"] == history["epochs"][-1]["train_loss"]


def test_progress_is_reported_four_times_a_second(
    tmp_path: Path, job_in: JobIn, network_2d: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(np.arange(0, 100, 0.1))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    events: list[Event] = []
    fit(Model(network_2d(), "2d"), SHORT, CE, job_in(tmp_path, events.append))
    # An epoch reads the clock six times, 0.1 s apart; its end is always reported.
    assert [e.done for e in events] == [1, 4, 5, 8, 9, 12, 13, 16]
    # The first batch of 60 clips is reported 0.1 s after the start, all 240 after 0.5 s.
    assert [e.data["clips_per_s"] for e in events[:2]] == [600, 480]


def test_torch_settings_are_restored(tmp_path: Path, job_in: JobIn, network_2d: Build) -> None:
    threads = torch.get_num_threads()
    job = replace(job_in(tmp_path), threads=threads + 1)
    seen = []

    def emit(event: Event) -> None:
        fills = MEMORY.fill_uninitialized_memory
        deterministic = torch.are_deterministic_algorithms_enabled()
        seen.append((torch.get_num_threads(), deterministic, fills))

    fit(Model(network_2d(), "2d"), SHORT, CE, replace(job, emit=emit))
    assert set(seen) == {(threads + 1, True, False)}
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert MEMORY.fill_uninitialized_memory


def test_no_operator_reads_memory_that_was_not_written(
    tmp_path: Path, job_in: JobIn, network_3d: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(folder: str) -> bytes:
        network = network_3d()
        fit(Model(network, "3d"), SHORT, CE, job_in(tmp_path / folder))
        return weights(network)

    @contextmanager
    def filling(job: Job) -> Iterator[None]:
        with reproducible(job):
            MEMORY.fill_uninitialized_memory = True  # with NaN
            yield

    plain = train("plain")
    monkeypatch.setattr(fit_module, "reproducible", filling)
    assert train("filled") == plain


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_that_is_not_there(tmp_path: Path, job_in: JobIn, network_2d: Build) -> None:
    with pytest.raises(MissingPartError, match="torch finds no CUDA device; train on the CPU or"):
        fit(Model(network_2d(), "2d"), SHORT, CE, job_in(tmp_path, device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("representation", ["2d", "3d"])
def test_it_learns_on_cuda_and_ends_on_the_cpu(
    tmp_path: Path, job_in: JobIn, request: pytest.FixtureRequest, representation: Any
) -> None:
    network = request.getfixturevalue(f"network_{representation}")()
    job = job_in(tmp_path, device="cuda")
    history = fit(Model(network, representation), short(8), CE, job)
    assert history["epochs"][-1]["dev_accuracy"] > 0.9
    assert {str(tensor.device) for tensor in network.state_dict().values()} == {"cpu"}
