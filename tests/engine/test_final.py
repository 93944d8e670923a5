"""The final figures come from test, golden clips from dev; the parity ladder can break."""

import json
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from onnx import helper, numpy_helper

from edgekws.audio.augmentation import Augment
from edgekws.audio.decoding import decode
from edgekws.audio.features import Features
from edgekws.audio.front_end_graph import front_end_model
from edgekws.bundle import pack
from edgekws.bundle.verify import score
from edgekws.core.contract import SILENCE, UNKNOWN, Normalization
from edgekws.core.corpus import NEVER_ON_PEOPLE, SPLITS, Clip, Examples, Listing
from edgekws.core.events import quiet
from edgekws.engine.final import (
    GOLDEN_CLIPS,
    _build,
    _label_agreement,
    _prove_runtime,
    _score_test,
    front_end_features,
)
from edgekws.errors import ParityError
from edgekws.lowering import parity
from edgekws.metrics import graph
from edgekws.runtime.front_end import MICRO_PARAMETERS, MICROFRONTEND, FrontEnd
from tests.tones import Linear

LABELS = ("да", "нет", UNKNOWN, SILENCE)
FRONT_END = FrontEnd(8000, 0.5, n_fft=256, win_length=240, hop_length=80, n_mels=10, f_max=4000)


@pytest.fixture
def windows() -> np.ndarray:
    noise = np.random.default_rng(5).standard_normal((24, 16_000)) * 2_000
    return noise.astype(np.int16)


def shifted(path: Path, shift: float) -> None:
    """Add `shift` to the output of an ONNX file."""
    model = onnx.load(path)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if output == name else output for output in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(shift, np.float32), "shift"))
    model.graph.node.append(helper.make_node("Add", ["before", "shift"], [name]))
    onnx.save(model, path)


def test_a_whole_bundle_climbs_it(bundle: Path, windows: np.ndarray) -> None:
    features = front_end_features(bundle / "frontend.onnx", windows)
    proofs = _prove_runtime(bundle, score(bundle, windows), windows, features)
    assert proofs["runtime_max_abs_diff"] <= 1e-4
    assert proofs["front_end_max_abs_diff"] == 0
    assert proofs["label_agreement"] == 1


def test_another_front_end_breaks_it(bundle: Path, windows: np.ndarray) -> None:
    features = front_end_features(bundle / "frontend.onnx", windows)
    shifted(bundle / "frontend.onnx", 0.1)
    with pytest.raises(ParityError, match=r"frontend\.onnx differs .* up to 0\.1 standard"):
        _prove_runtime(bundle, score(bundle, windows), windows, features)


def test_a_runtime_that_computes_something_else_breaks_it(
    bundle: Path, windows: np.ndarray
) -> None:
    features = front_end_features(bundle / "frontend.onnx", windows)
    logits = score(bundle, windows) + np.float32(0.01)
    with pytest.raises(ParityError, match=r"the bundle's runtime: logits differ by 0\.01"):
        _prove_runtime(bundle, logits, windows, features)


@pytest.fixture(
    params=[
        FrontEnd(kind=MICROFRONTEND, **MICRO_PARAMETERS),
        FrontEnd(mean="running"),
        FrontEnd(compression="pcen"),
    ],
    ids=["micro front end", "running mean", "pcen"],
)
def in_recordings(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Windows of longer recordings, for front ends with a state."""
    clips = []
    for seed, split in enumerate(SPLITS):
        samples = np.random.default_rng(seed).standard_normal(10 * 16_000)
        samples *= np.geomspace(0.1, 0.001, len(samples))
        soundfile.write(tmp_path / f"{split}.wav", samples, 16_000)
        starts = (0.0, 0.5, 1.7, 3.3, 6.1, 9.0)
        clips += [Clip(tmp_path / f"{split}.wav", "да", split, split, s, s + 1) for s in starts]
    front_end: FrontEnd = request.param
    corpus = decode(Listing(("да",), tuple(clips)), front_end, tmp_path / "cache", quiet)
    data = Features(corpus, front_end, Augment(copies=0), 7, tmp_path / "cache", quiet)
    return SimpleNamespace(source=SimpleNamespace(features=data, corpus=corpus))


def test_windows_of_recordings_are_scored_as_ends_of_streams(
    in_recordings: Any, linear: Linear, tmp_path: Path
) -> None:
    data = in_recordings.source.features
    network = linear("net.onnx", data.front_end, data.normalization, LABELS)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    pack.pack(bundle, network.path, network.contract, data.waveforms("dev"), {"recipe": "проба"})
    logits, proofs = _score_test(bundle, in_recordings)
    expected = parity.logits(bundle / "model.onnx", data.examples("test").features)
    exact = data.front_end.kind == MICROFRONTEND
    np.testing.assert_allclose(logits, expected, rtol=0, atol=0 if exact else 1e-3)
    lone = score(bundle, data.waveforms("test"))
    np.testing.assert_array_equal(logits[0], lone[0])
    assert (np.abs(logits[1:] - lone[1:]) > 0.1).any(axis=1).all()
    assert proofs["runtime_max_abs_diff"] == 0
    assert proofs["front_end_max_abs_diff"] <= (0 if exact else 1e-3)
    assert proofs["label_agreement"] == 1


def test_other_labels_than_in_training_break_it(bundle: Path, windows: np.ndarray) -> None:
    features = front_end_features(bundle / "frontend.onnx", windows)
    logits = parity.logits(bundle / "model.onnx", features)
    assert _label_agreement(bundle, logits, features) == 1
    with pytest.raises(ParityError, match="the label that its network gives them in training"):
        _label_agreement(bundle, -logits, features)


class Splits:
    """Noise in two splits: on dev the network `model` is always right, on test half the time."""

    front_end = FRONT_END

    def __init__(self, model: Path, front_end: Path) -> None:
        self._windows, self._examples = {}, {}
        for seed, (split, n) in enumerate({"dev": 40, "test": 24}.items()):
            noise = np.random.default_rng(seed).standard_normal((n, FRONT_END.window_samples))
            loudness = np.random.default_rng(seed + 7).uniform(50, 8_000, (n, 1))
            windows = (noise * loudness).clip(-32768, 32767).astype(np.int16)
            features = front_end_features(front_end, windows)
            called = parity.logits(model, features).argmax(axis=1)
            wrong = np.arange(n) % 2 * (1 + np.arange(n) // 2 % 3) if split == "test" else 0
            targets = (called + wrong) % len(LABELS)
            names = tuple(f"{split}-{i}" for i in range(n))
            self._windows[split] = windows
            self._examples[split] = Examples(features, targets, np.array([""] * n), names)

    def waveforms(self, split: str) -> np.ndarray:
        return self._windows[split]

    def examples(self, split: str) -> Examples:
        return self._examples[split]


@pytest.fixture
def final(linear: Linear, tmp_path: Path) -> SimpleNamespace:
    """What is written of a bundle, and the clips that it was measured on."""
    normalization = Normalization((-6.0,) * 10, (3.0,) * 10)
    network = linear("net.onnx", FRONT_END, normalization, LABELS, seed=3)
    onnx.save(front_end_model(FRONT_END, normalization), str(tmp_path / "frontend.onnx"))
    data = Splits(network.path, tmp_path / "frontend.onnx")
    artifact: Any = SimpleNamespace(contract=network.contract)
    measured: Any = SimpleNamespace(model=network.path)
    listing = SimpleNamespace(
        caveats=("a voice may be in two splits",),
        test_caveats=(NEVER_ON_PEOPLE,),
        kind_of_test="other engine (flite)",
    )
    corpus = SimpleNamespace(
        stretches=lambda split, part: data.waveforms(split)[part],
        window_samples=FRONT_END.window_samples,
    )
    source = SimpleNamespace(features=data, listing=listing, corpus=corpus)
    context: Any = SimpleNamespace(source=source, emit=quiet)
    folder = tmp_path / "final"
    folder.mkdir()
    _build(artifact, measured, {"recipe": "проба"}, context, None, folder)
    record = json.loads((folder / "final.json").read_text("utf-8"))
    value = {m["metric"]: m["value"] for m in record["measurements"]}
    return SimpleNamespace(data=data, record=record, value=value, bundle=folder / "bundle")


def test_the_figures_are_those_of_test(final: SimpleNamespace) -> None:
    test = final.data.examples("test")
    assert final.value["accuracy"] == 0.5
    (accuracy,) = (m for m in final.record["measurements"] if m["metric"] == "accuracy")
    assert accuracy["n"] == len(test) == 24
    counts = np.bincount(test.targets, minlength=len(LABELS)).tolist()
    rows, matrix = final.record["details"]["per_class"], final.record["details"]["confusion"]
    assert [row["support"] for row in rows] == counts
    assert [sum(row) for row in matrix] == counts
    assert sum(row["right"] for row in rows) == sum(row[i] for i, row in enumerate(matrix)) == 12
    assert final.record["parity"]["front_end_max_abs_diff"] <= 1e-5
    assert final.record["parity"]["label_agreement"] == 1


def test_the_card_names_the_kind_of_test(final: SimpleNamespace) -> None:
    card = (final.bundle / "MODEL_CARD.md").read_text("utf-8")
    assert "\nKind of test: other engine (flite).\n" in card
    assert "\nTested on synthetic voices only, never on real people.\n" in card
    assert "\nA voice may be in two splits.\n" in card


def test_each_kind_of_clip_stands_apart(final: SimpleNamespace) -> None:
    rows = {row["label"]: row for row in final.record["details"]["per_class"]}
    keywords = [rows["да"], rows["нет"]]
    right, support = (sum(row[key] for row in keywords) for key in ("right", "support"))
    assert final.value["keyword_recall"] == right / support
    for metric, label in (("unknown_recall", UNKNOWN), ("silence_recall", SILENCE)):
        assert final.value[metric] == rows[label]["right"] / rows[label]["support"]
    accepted = sum(row["unknown_accepted"] for row in keywords)
    assert final.value["unknown_accepted"] == accepted / rows[UNKNOWN]["support"] > 0
    card = (final.bundle / "MODEL_CARD.md").read_text("utf-8")
    assert f"| да | {100 * rows['да']['recall']:.1f} % ({rows['да']['right']}/" in card


def test_golden_clips_come_from_dev(final: SimpleNamespace) -> None:
    chosen = parity.golden(final.data.examples("dev"), GOLDEN_CLIPS)
    paths = sorted(final.bundle.glob("golden/*.wav"))
    assert len(paths) == GOLDEN_CLIPS
    for path, window in zip(paths, final.data.waveforms("dev")[chosen], strict=True):
        with wave.open(str(path), "rb") as file:
            result = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        np.testing.assert_array_equal(result, window)


def test_macs_are_those_of_a_second(final: SimpleNamespace) -> None:
    once = {n: graph.macs(final.bundle / f"{n}.onnx") for n in ("frontend", "model")}
    assert final.value["front_end_macs"] == 2 * once["frontend"]
    assert final.value["macs"] == 2 * once["model"]
    assert final.value["total_macs"] == 2 * sum(once.values())
