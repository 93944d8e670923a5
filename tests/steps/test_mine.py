"""Mining: what is found are the windows of highest score, and what is learnt is to leave them."""

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
from edgekws.steps._mining import Place, WithMined, hardest, places
from edgekws.training.model import Model

STUDENT = {"kind": "inverted_bottleneck", "channels": 6, "blocks": 1, "head": 0}
MELS, FRAMES = 16, 25


def patterns() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=(3, MELS, FRAMES))


class Speech:
    """A keyword, what is unlike it, and long negatives in which something alike is said."""

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
        found = [rng.normal(size=(MELS, frames)) for frames in (200, 24, 90)]
        alike = 0.8 * patterns()[0] + 0.8 * np.random.default_rng(9).normal(size=(MELS, FRAMES))
        for start in (20, 100, 150):
            found[0][:, start : start + FRAMES] += alike
        return tuple(x.astype(np.float32) for x in found)

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


def test_places_are_those_of_a_slow_search(trained: Artifact) -> None:
    network, contract = checkpoint.load(trained.path)
    data = Speech()
    found = places(Model.of(network, contract), data, 7, "cpu", quiet)
    expected = []
    for number, recording in enumerate(data.negatives()):
        for frame in range(0, recording.shape[1] - FRAMES + 1, 7):
            window = torch.from_numpy(recording[None, :, frame : frame + FRAMES].copy())
            with torch.no_grad():
                expected.append((number, frame, network(window).softmax(1)[0, 0].item()))
    assert [(p.recording, p.frame) for p in found] == [(r, f) for r, f, _ in expected]
    assert {p.recording for p in found} == {0, 2}  # 1 is shorter than a window
    np.testing.assert_allclose([p.score for p in found], [s for *_, s in expected], atol=1e-5)


def test_the_hardest_come_first() -> None:
    found = [Place(0, 0, 0.3), Place(0, 7, 0.9), Place(1, 0, 0.1), Place(1, 7, 0.9)]
    assert hardest(found, 9, 0.2) == [found[1], found[3], found[0]]
    assert hardest(found, 1, 0.2) == [found[1]]
    assert hardest(found, 9, 0.95) == []


def test_mined_windows_follow_the_clips() -> None:
    base = Speech()
    mined = [Place(0, 21, 0.9), Place(2, 7, 0.8)]
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
    told: list[Event] = []
    fields = {"teachers": list(teachers), "loss": {"kl_weight": 0.2}} if teachers else {}
    mine = step(hop_ms=20, training={"batch_size": 32}, **fields)
    assert (mine.takes, mine.gives, mine.named_inputs) == ("checkpoint", "checkpoint", teachers)
    output = mine.run({"input": trained}, job(tmp_path, emit=told.append))
    details = output.details
    assert details["before"]["windows"] == details["after"]["windows"] > 80
    assert details["before"]["false_alarms"] >= 3
    assert details["after"]["false_alarms"] < details["before"]["false_alarms"]
    assert details["mined"] >= details["before"]["false_alarms"]
    network, contract = checkpoint.load(output.path)
    assert contract == trained.contract
    dev = Speech().examples("dev")
    with torch.no_grad():
        heard = network(torch.from_numpy(dev.features)).argmax(1).numpy()
    assert (heard == dev.targets).mean() > 0.95
    (note,) = [event.text for event in told if event.kind == "note"]
    assert note.startswith(f"mine: {details['mined']} windows added; false alarms in the training")
    again = tmp_path / "again"
    again.mkdir()
    other = mine.run({"input": trained}, job(again))
    assert other.path.read_bytes() == output.path.read_bytes()


def test_without_a_false_alarm_the_network_stays(trained: Artifact, tmp_path: Path) -> None:
    told: list[Event] = []
    output = step(min_score=0.99999).run({"input": trained}, job(tmp_path, emit=told.append))
    assert output.details["mined"] == 0
    assert "history" not in output.details
    assert output.kinds == {}
    assert output.path.read_bytes() == trained.path.read_bytes()
    (note,) = [event.text for event in told if event.kind == "note"]
    assert "windows of the training negatives scores 0.99999; the network stays as it is" in note


def test_what_cannot_be_mined_is_told(trained: Artifact, tmp_path: Path) -> None:
    class Clips(Speech):
        def negatives(self) -> tuple[NDArray[np.float32], ...]:
            return ()

    class Keywords(Speech):
        labels = ("a", "b", "_silence_")

    inputs = {"input": trained}
    with pytest.raises(DataError, match="mine needs training recordings without a keyword"):
        step().run(inputs, job(tmp_path, Clips()))
    with pytest.raises(DataError, match="the dataset has no such class"):
        step().run(inputs, job(tmp_path, Keywords()))
    with pytest.raises(RecipeError, match="3 ms is less than a frame; use hop_ms = 10"):
        step(hop_ms=3).run(inputs, job(tmp_path))
    other = replace(trained, contract=replace(trained.contract, labels=("x", "y", "z")))
    with pytest.raises(RecipeError, match="t knows the labels x, y, z"):
        step(teachers=["t"]).run(inputs | {"t": other}, job(tmp_path))
