import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekws.audio.reading import read_audio
from edgekws.core.protocols import BACKBONE
from edgekws.errors import UnsupportedError
from edgekws.lowering.layer_trace import layers
from edgekws.lowering.least_squares import RIDGE, initialise
from edgekws.runtime.front_end import FrontEnd, log_mel


def backbone(kind: str, **fields: Any) -> Any:
    return BACKBONE.validate_python({"kind": kind, **fields}).build(40, 6)


def trained_like(network: nn.Module, clips: np.ndarray) -> Any:
    """Change the running statistics, as training would, so that all layers differ."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.5
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    with torch.no_grad():
        for _ in range(6):
            network(torch.from_numpy(clips))
    return network.eval()


def logits(network: nn.Module, clips: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(clips)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(0), b - b.mean(0)  # equal mean logits prove nothing
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.fixture(scope="module")
def speech(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Normalised log-mel of 160 speech clips for calibration and 60 others, 40 × 97."""
    with (shared_data / "asc" / "train.csv").open(encoding="utf-8") as file:
        files = [row["file"] for row in csv.DictReader(file)][::32][:220]
    front_end = FrontEnd()
    waves = [read_audio(shared_data / "asc" / name, 16_000) for name in files]
    clips = np.stack([log_mel(np.pad(wave, (0, 16_000))[:16_000], front_end) for wave in waves])
    assert clips.shape == (220, 40, 97)
    mean, std = clips.mean((0, 2), keepdims=True), clips.std((0, 2), keepdims=True)
    clips = ((clips - mean) / std).astype(np.float32)
    return clips[::2], clips[1::2]


def test_a_3d_network_that_is_truly_2d_is_recovered(speech: tuple[np.ndarray, np.ndarray]) -> None:
    """If every layer is dense and matches a layer with as many channels, nothing is lost."""
    seen, unseen = speech
    torch.manual_seed(0)
    like = nn.Sequential(
        nn.Conv2d(1, 10, (40, 3), padding=(0, 1), bias=False),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        nn.Conv2d(10, 12, (1, 5), stride=(1, 2), dilation=(1, 2)),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 6),
    )
    trained_like(like, seen[:, None])
    network = nn.Sequential(
        nn.Conv1d(40, 10, 3, padding="same", bias=False),
        nn.BatchNorm1d(10),
        nn.ReLU(),
        nn.Conv1d(10, 12, 5, stride=2, dilation=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(12, 6),
    )
    start = logits(network.eval(), unseen)
    solved = initialise(network, like, seen)
    wanted = logits(like, unseen[:, None])
    assert [s.layer for s in solved] == ["0", "3", "7"]
    assert all(s.explained > 1 - 10 * RIDGE for s in solved)
    assert np.abs(logits(network, unseen) - wanted).max() < 0.02 * np.ptp(wanted)
    assert abs(correlation(start, wanted)) < 0.7


@pytest.mark.parametrize(
    ("like", "into", "at_least"),
    [
        (("mel_spanning", {"channels": 8, "blocks": 2}), ("inverted_bottleneck", {}), 0.5),
        (("plain", {"representation": "3d"}), ("plain", {"variant": "conv1dnet"}), 0.45),
    ],
)
def test_logits_on_unseen_speech_are_far_closer_than_those_of_a_random_start(
    speech: tuple[np.ndarray, np.ndarray],
    like: tuple[str, dict[str, int]] | tuple[str, dict[str, str]],
    into: tuple[str, dict[str, Any]] | tuple[str, dict[str, str]],
    at_least: float,
) -> None:
    seen, unseen = speech
    starts, solved = [], []
    for seed in range(1, 7):  # of both networks' weights, which decide a single figure
        torch.manual_seed(seed)
        model = trained_like(backbone(like[0], **like[1]), seen[:, None])
        network = backbone(into[0], **into[1])
        wanted = logits(model, unseen[:, None])
        starts.append(correlation(logits(network.eval(), unseen), wanted))
        initialise(network, model, seen)
        solved.append(correlation(logits(network, unseen), wanted))
    assert np.mean(solved) > at_least
    assert np.mean(solved) > abs(np.mean(starts)) + 0.2


def test_random_features_keep_their_weights_and_the_skip_is_subtracted(
    speech: tuple[np.ndarray, np.ndarray],
) -> None:
    seen, _ = speech
    torch.manual_seed(2)
    model = trained_like(backbone("mel_spanning", channels=8, blocks=1), seen[:, None])
    network = backbone("inverted_bottleneck", channels=8, blocks=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    solved = {s.layer: s for s in initialise(network, model, seen)}
    assert solved.keys() == {"stem.0", "blocks.0.body.6", "head.0", "classifier"}
    assert solved["blocks.0.body.6"].like == "blocks.0.body.6"
    assert solved["stem.0"].explained > 0.999  # so the target minus the skip is body's output
    body = "blocks.0.body"
    after = network.state_dict()
    for layer in (0, 3):
        assert torch.equal(after[f"{body}.{layer}.weight"], before[f"{body}.{layer}.weight"])
        norm = f"{body}.{layer + 1}.running_var"
        assert not torch.equal(after[norm], before[norm])
    clips = torch.from_numpy(seen)
    with torch.no_grad():
        got = network.blocks[0].body(network.stem(clips))
        want = model.blocks[0].body(model.stem(clips.unsqueeze(1))).squeeze(2)
    missed = (got - want).square().sum() / (want - want.mean((0, 2), keepdim=True)).square().sum()
    explained = solved["blocks.0.body.6"].explained
    assert 1 - float(missed) == pytest.approx(explained, abs=0.02)


def test_the_same_start_gives_the_same_weights(speech: tuple[np.ndarray, np.ndarray]) -> None:
    seen, _ = speech
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        model, network = backbone("plain", representation="3d"), backbone("plain")
        initialise(network, model, seen)
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_layers_are_traced_with_their_sums() -> None:
    network = backbone("resnet18", width=0.0625)
    by_path = {layer.path: layer for layer in layers(network.eval(), torch.randn(4, 1, 40, 33))}
    assert len(by_path) == 21  # 17 convolutions, 3 of shortcuts, the classifier
    assert by_path["1.0.0.body.3"].skips[0].part == "input"
    assert by_path["2.0.0.shortcut.0"].skips[0].part == "output"  # the body's, which ran before it
    assert not by_path["1.0.0.body.0"].skips
    assert all(layer.norm is not None for path, layer in by_path.items() if path != "7")


def test_what_cannot_be_solved_is_named(speech: tuple[np.ndarray, np.ndarray]) -> None:
    seen, _ = speech
    model = backbone("plain", representation="3d")
    shared = nn.Conv1d(40, 40, 3)
    twice = nn.Sequential(shared, nn.ReLU(), shared, nn.AdaptiveAvgPool1d(1), nn.Flatten())
    with pytest.raises(UnsupportedError, match="layer 0 runs 2 times"):
        initialise(twice, model, seen)
    other = nn.Sequential(nn.Conv1d(40, 5, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    with pytest.raises(UnsupportedError, match="layer 0 is the last one and has 5 channels"):
        initialise(other, model, seen)


@pytest.mark.parametrize("kind", ["conv2d_stem", "mel_spanning"])
def test_weights_shared_by_all_patches_are_unchanged(
    kind: str, speech: tuple[np.ndarray, np.ndarray]
) -> None:
    seen, unseen = speech
    torch.manual_seed(0)
    patches = {"bands": 8, "hop": 4, "channels": 6}
    fields = {"patches": patches, "stem_stride": 1} if kind == "mel_spanning" else {}
    like = trained_like(backbone(kind, **fields), seen[:, None])
    network = backbone("inverted_bottleneck", patches=patches)
    drawn = network.stem[0].body[0].weight.clone()
    before = correlation(logits(network.eval(), unseen), logits(like, unseen[:, None]))
    solved = [layer.layer for layer in initialise(network, like, seen)]
    assert torch.equal(network.stem[0].body[0].weight, drawn)
    assert "stem.1" in solved
    assert correlation(logits(network, unseen), logits(like, unseen[:, None])) > before + 0.3
