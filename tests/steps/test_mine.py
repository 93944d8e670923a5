"""Mining: it selects the windows of highest score, and training removes the false alarms."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgekws.core import family
from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Event, quiet
from edgekws.core.job import Data, Job
from edgekws.errors import DataError, RecipeError
from edgekws.lowering import checkpoint
from edgekws.runtime.front_end import FrontEnd
from edgekws.steps import _mining
from edgekws.steps._mining import MinedWindow, Miner, WithMined, hardest, score_windows
from edgekws.training.model import Model
from edgekws.training.options import CrossEntropyLoss, Training

STUDENT = {"kind": "inverted_bottleneck", "channels": 6, "blocks": 1, "head": 0}
MELS, FRAMES = 16, 25


def patterns() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=(3, MELS, FRAMES))


class Speech:
    """A keyword, other words, and long negatives that contain something similar."""

    labels = ("a", "_unknown_", "_silence_")
    front_end = FrontEnd(window_s=0.272, n_mels=MELS)
    normalization = Normalization((0.0,) * MELS, (1.0,) * MELS)

    def examples(self, split: Split) -> Examples:
        rng = np.random.default_rng(1 + (split == "dev"))
        targets = np.arange(120) % 3
        features = patterns()[targets] + rng.normal(size=(120, MELS, FRAMES))
        return Examples(features.astype(np.float32), targets, np.array([""] * 120), ("",) * 120)

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        return self.examples("train").features.astype(np.float16)

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        return features

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        rng = np.random.default_rng(3)
        recordings = [rng.normal(size=(MELS, frames)) for frames in (200, 24, 90)]
        similar = 0.8 * patterns()[0] + 0.8 * np.random.default_rng(9).normal(size=(MELS, FRAMES))
        for start in (20, 100, 150):
            recordings[0][:, start : start + FRAMES] += similar
        return tuple(x.astype(np.float32) for x in recordings)

    def calibration(self, n: int) -> NDArray[np.int64]:
        return np.arange(120)[:n]


def job(folder: Path, data: Data | None = None, emit: Any = quiet) -> Job:
    return Job(data or Speech(), 7, "cpu", 1, folder, emit)


def step(**fields: Any) -> Any:
    return family.load("Step", "mine").model_validate({"kind": "mine", **fields})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A network that has learnt the clips, not the negatives."""
    data = Speech()
    shape = (MELS, FRAMES)
    contract = Contract(data.front_end, data.normalization, data.labels, shape, STUDENT)
    torch.manual_seed(0)
    network = checkpoint.build(contract).train()
    clips = data.examples("train")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        logits = network(torch.from_numpy(clips.features))
        torch.autograd.backward(
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(clips.targets))
        )
        optimizer.step()
    path = tmp_path_factory.mktemp("trained") / "checkpoint.safetensors"
    checkpoint.save(network.eval(), contract, path)
    return Artifact("checkpoint", path, sha256_file(path), contract)


@pytest.mark.parametrize("batch", [4, 256])  # one ends within a recording, one holds them all
def test_windows_equal_those_of_a_slow_search(
    trained: Artifact, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_mining, "BATCH", batch)
    network, contract = checkpoint.load(trained.path)
    data = Speech()
    windows = score_windows(Model.of(network, contract), data, 7, "cpu", quiet)
    expected = []
    for number, recording in enumerate(data.negatives()):
        for frame in range(0, recording.shape[1] - FRAMES + 1, 7):
            window = torch.from_numpy(recording[None, :, frame : frame + FRAMES].copy())
            with torch.no_grad():
                expected.append((number, frame, network(window).softmax(1)[0, 0].item()))
    assert [(w.recording, w.frame) for w in windows] == [(r, f) for r, f, _ in expected]
    assert {w.recording for w in windows} == {0, 2}  # 1 is shorter than a window
    np.testing.assert_allclose([w.score for w in windows], [s for *_, s in expected], atol=1e-5)


def test_the_hardest_come_first() -> None:
    scored = ((0, 0, 0.3), (0, 7, 0.9), (1, 0, 0.1), (1, 7, 0.9))
    windows = [MinedWindow(*fields) for fields in scored]
    assert hardest(windows, 9, 0.2) == [windows[1], windows[3], windows[0]]
    assert hardest(windows, 1, 0.2) == [windows[1]]
    assert hardest(windows, 9, 0.95) == []


def test_mined_windows_follow_the_clips() -> None:
    base = Speech()
    mined = [MinedWindow(0, 21, 0.9), MinedWindow(2, 7, 0.8)]
    data: Data = WithMined(base, mined, "_unknown_")
    clips, before = data.examples("train"), base.examples("train")
    assert len(clips) == len(before) + 2 == len(clips.names) == len(clips.speakers)
    np.testing.assert_array_equal(clips.features[:-2], before.features)
    np.testing.assert_array_equal(clips.features[-2], base.negatives()[0][:, 21 : 21 + FRAMES])
    np.testing.assert_array_equal(clips.features[-1], base.negatives()[2][:, 7 : 7 + FRAMES])
    assert clips.targets[-2:].tolist() == [1, 1]
    np.testing.assert_array_equal(data.augmented(0), clips.features.astype(np.float16))
    assert len(data.examples("dev")) == len(base.examples("dev"))
    assert data.calibration(500).max() < len(before)


@pytest.mark.parametrize("teachers", [(), ("input",)])
def test_false_alarms_are_unlearnt(
    trained: Artifact, tmp_path: Path, teachers: tuple[str, ...]
) -> None:
    events: list[Event] = []
    fields = {"teachers": list(teachers), "loss": {"kl_weight": 0.2}} if teachers else {}
    mine = step(hop_ms=20, training={"batch_size": 32}, **fields)
    assert (mine.takes, mine.gives, mine.named_inputs) == ("checkpoint", "checkpoint", teachers)
    output = mine.run({"input": trained}, job(tmp_path, emit=events.append))
    details = output.details
    assert details["before"]["windows"] == details["after"]["windows"] > 80
    assert details["before"]["false_alarms"] >= 3
    assert details["after"]["false_alarms"] < details["before"]["false_alarms"]
    assert details["mined"] >= details["before"]["false_alarms"]
    left = [one["false_alarms"] for one in details["rounds"]]
    assert details["after"]["false_alarms"] == min(left)
    assert details["mined"] == sum(one["mined"] for one in details["rounds"])
    network, contract = checkpoint.load(output.path)
    assert contract == trained.contract
    dev = Speech().examples("dev")
    with torch.no_grad():
        predicted = network(torch.from_numpy(dev.features)).argmax(1).numpy()
    assert (predicted == dev.targets).mean() > 0.95
    (note,) = [event.text for event in events if event.kind == "note"]
    assert note.startswith(f"mine: {details['mined']} windows added, training rounds: ")
    again = tmp_path / "again"
    again.mkdir()
    other = mine.run({"input": trained}, job(again))
    assert other.path.read_bytes() == output.path.read_bytes()


def test_without_a_false_alarm_the_network_stays(trained: Artifact, tmp_path: Path) -> None:
    events: list[Event] = []
    output = step(min_score=0.99999).run({"input": trained}, job(tmp_path, emit=events.append))
    assert output.details["mined"] == 0
    assert "history" not in output.details
    assert output.kinds == {}
    assert output.path.read_bytes() == trained.path.read_bytes()
    (note,) = [event.text for event in events if event.kind == "note"]
    assert "windows of the training negatives scores 0.99999; the network is unchanged" in note


def test_data_that_cannot_be_mined(trained: Artifact, tmp_path: Path) -> None:
    class Clips(Speech):
        def negatives(self) -> tuple[NDArray[np.float32], ...]:
            return ()

    class Keywords(Speech):
        labels = ("a", "b", "_silence_")

    inputs = {"input": trained}
    with pytest.raises(
        DataError,
        match=r"mine needs speech without a keyword, .* folders of it in dataset\.negatives",
    ):
        step().run(inputs, job(tmp_path, Clips()))
    with pytest.raises(DataError, match="the dataset has no such class"):
        step().run(inputs, job(tmp_path, Keywords()))
    with pytest.raises(RecipeError, match="3 ms is less than a frame; use hop_ms = 10"):
        step(hop_ms=3).run(inputs, job(tmp_path))
    other = replace(trained, contract=replace(trained.contract, labels=("x", "y", "z")))
    with pytest.raises(RecipeError, match="t has the labels x, y, z"):
        step(teachers=["t"]).run(inputs | {"t": other}, job(tmp_path))


def test_rounds_go_on_as_long_as_they_pay(
    trained: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = iter([[0.9] * 20, [0.9] * 10, [0.9] * 8, [0.9] * 9])
    monkeypatch.setattr(
        _mining,
        "score_windows",
        lambda *_: tuple(MinedWindow(0, i, s) for i, s in enumerate(next(alarms))),
    )
    shapes = []

    def train(model: Model, *rest: Any) -> dict[str, Any]:
        shapes.append(len(rest[2].data.examples("train")))
        with torch.no_grad():
            next(model.network.parameters()).add_(len(shapes))
        return {"round": len(shapes)}

    monkeypatch.setattr(_mining, "fit", train)
    model = Model.of(*checkpoint.load(trained.path))
    first = next(model.network.parameters()).clone()
    miner = Miner(model, job(tmp_path), hop_frames=1, most=5, min_score=0.5)
    assert (miner.windows, miner.alarms) == (20, 20)
    rounds = [miner.train(Training(), CrossEntropyLoss(), (), n) for n in range(3)]
    assert [(r.windows, r.alarms, r.pays) for r in rounds] == [
        (5, 10, True),
        (5, 8, True),
        (0, 8, False),
    ]
    assert shapes == [125, 130]
    assert torch.equal(next(model.network.parameters()), first + 1 + 2)


def test_a_round_that_does_not_help_is_undone(
    trained: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms = iter([20, 10, 12])
    monkeypatch.setattr(
        _mining,
        "score_windows",
        lambda *_: tuple(MinedWindow(0, i, 0.9) for i in range(next(alarms))),
    )

    def train(model: Model, *_: Any) -> dict[str, Any]:
        with torch.no_grad():
            next(model.network.parameters()).add_(1)
        return {}

    monkeypatch.setattr(_mining, "fit", train)
    model = Model.of(*checkpoint.load(trained.path))
    first = next(model.network.parameters()).clone()
    miner = Miner(model, job(tmp_path), hop_frames=1, most=5, min_score=0.5)
    rounds = [miner.train(Training(), CrossEntropyLoss(), (), n) for n in range(2)]
    assert [(r.alarms, r.pays) for r in rounds] == [(10, True), (12, False)]
    assert miner.alarms == 10
    assert torch.equal(next(model.network.parameters()), first + 1)
