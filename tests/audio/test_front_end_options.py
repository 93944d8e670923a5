"""Means of bands and PCEN: the same features from every form of the front end, on real speech."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekws.audio import long_features
from edgekws.audio.front_end_graph import front_end_model
from edgekws.audio.torch_front_end import log_mel as torch_log_mel
from edgekws.bundle import pack
from edgekws.core.contract import Contract, Normalization
from edgekws.core.corpus import Clip
from edgekws.core.events import quiet
from edgekws.runtime import detect
from edgekws.runtime.front_end import (
    FrontEnd,
    Pcen,
    RunningMean,
    log_mel,
    mel_levels,
    normalised,
)

CLIP = FrontEnd(mean="clip")
RUNNING = FrontEnd(mean="running", mean_seconds=0.5)
PCEN = FrontEnd(compression="pcen", pcen=Pcen(0.1, 0.8, 1.0, 0.25, 1e-5), n_mels=23)
ALL = pytest.mark.parametrize("front_end", [CLIP, RUNNING, PCEN], ids=["clip", "running", "pcen"])
STREAMED = pytest.mark.parametrize("front_end", [RUNNING, PCEN], ids=["running", "pcen"])

MEAN, STD = -1.5, 2.5

Waves = NDArray[np.float32]


@pytest.fixture(scope="module")
def recording(speech: Waves) -> Waves:
    """Speech, digital silence before it and in it, `(samples,)`."""
    before, between = np.zeros(3_000, np.float32), np.zeros(9_000, np.float32)
    return np.concatenate([before, speech[:3].ravel(), between, speech[3:5].ravel()])


def by_definition(levels: NDArray[np.floating[Any]], decay: float) -> NDArray[np.float64]:
    """Return the mean at each frame of log-mel `(n_mels, T)`, as a weighted sum of its past."""
    sounding = (levels > np.log(1e-6) + 1e-4).any(axis=0)
    means = levels.astype(np.float64)
    for t in range(levels.shape[1]):
        past = levels[:, : t + 1][:, sounding[: t + 1]].astype(np.float64)
        if past.shape[1]:
            means[:, t] = np.average(past, axis=1, weights=decay ** np.arange(past.shape[1])[::-1])
    return means


def test_the_running_mean_is_a_weighted_mean_of_the_frames_so_far(recording: Waves) -> None:
    levels = log_mel(recording, FrontEnd())
    expected = levels - by_definition(levels, np.exp(-0.01 / 0.5))
    np.testing.assert_allclose(log_mel(recording, RUNNING), expected, atol=1e-5)


def test_the_mean_of_a_clip_is_zero_where_there_is_sound(speech: Waves) -> None:
    padded = speech[:8].copy()
    padded[:, :4_000] = 0
    features, levels = log_mel(padded, CLIP), log_mel(padded, FrontEnd())
    sounding = (levels > np.log(1e-6) + 1e-4).any(axis=1)
    for clip, frames in zip(features, sounding, strict=True):
        np.testing.assert_allclose(clip[:, frames].mean(axis=1), 0, atol=1e-4)


def test_pcen_has_the_values_of_the_paper() -> None:
    """Wang et al. 2017, equation 1, with its smoothing of 0.025 once the mean has settled."""
    front_end = FrontEnd(compression="pcen", pcen=Pcen(seconds=-0.01 / np.log(1 - 0.025)))
    wave = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    mel = mel_levels(wave, front_end).astype(np.float64)
    smooth = mel[:, 0]
    for frame in mel.T:
        smooth = (1 - 0.025) * smooth + 0.025 * frame
    expected = (mel[:, -1] / (1e-6 + smooth) ** 0.98 + 2) ** 0.5 - 2**0.5
    np.testing.assert_allclose(log_mel(wave, front_end)[:, -1], expected, rtol=1e-4)


@ALL
def test_digital_silence_gives_zeros_and_is_left_out(front_end: FrontEnd, speech: Waves) -> None:
    hop = front_end.hop_length
    assert not log_mel(np.zeros(16_000, np.float32), front_end).any()
    before = np.concatenate([np.zeros(20 * hop, np.float32), speech[0]])
    # Frames 17 to 19 hold a part of the speech.
    shift = 20 if front_end.mean == "clip" else 24
    expected = log_mel(before[17 * hop :], front_end)[:, shift - 17 :]
    np.testing.assert_allclose(log_mel(before, front_end)[:, shift:], expected, atol=1e-5)


@ALL
def test_torch_and_onnx_give_the_numbers_of_numpy(front_end: FrontEnd, speech: Waves) -> None:
    waves = speech[:10].copy()
    waves[0] = 0
    waves[1, :5_000] = waves[2, 6_000:11_000] = 0
    expected = log_mel(waves, front_end)
    features = torch_log_mel(torch.from_numpy(waves), front_end)
    assert features.dtype == torch.float32
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)
    bands = front_end.n_mels
    model = front_end_model(front_end, Normalization((MEAN,) * bands, (STD,) * bands))
    error = np.abs(_run(model, waves) - (expected - MEAN) / STD)
    assert np.mean(error > 1e-4) < 2e-3
    assert error.max() < 2e-3


def _run(model: onnx.ModelProto, waves: Waves) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    features: NDArray[np.float32] = session.run(None, {"waveform": waves})[0]
    return features


@STREAMED
def test_pieces_of_a_stream_of_any_length(front_end: FrontEnd, recording: Waves) -> None:
    levels = mel_levels(recording, front_end)
    expected = log_mel(recording, front_end)
    assert expected.std() > 0.1
    random, running, start, pieces = np.random.default_rng(0), RunningMean(front_end.decay), 0, []
    while start < levels.shape[1]:
        size = int(random.integers(1, 40))
        pieces.append(normalised(levels[:, start : start + size], front_end, running))
        start += size
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), expected)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[FrontEnd], Path]:
    """Bundles with a network of one random layer, by front end."""
    made: dict[FrontEnd, Path] = {}

    def bundle(front_end: FrontEnd) -> Path:
        if front_end not in made:
            folder = tmp_path_factory.mktemp("options")
            bands = front_end.n_mels
            statistics = Normalization((MEAN,) * bands, (STD,) * bands)
            shape = (bands, front_end.n_frames)
            contract = Contract(front_end, statistics, ("a", "b", "_unknown_"), shape, {})
            onnx.save(_one_layer(shape), str(folder / "model.onnx"))
            made[front_end] = folder / "bundle"
            made[front_end].mkdir()
            golden = np.zeros((1, 16_000), np.int16)
            pack.pack(made[front_end], folder / "model.onnx", contract, golden, {})
        return made[front_end]

    return bundle


def _one_layer(shape: tuple[int, int]) -> onnx.ModelProto:
    weights = np.random.default_rng(0).normal(0, 0.02, (shape[0] * shape[1], 3))
    nodes = [
        helper.make_node("Flatten", ["features"], ["row"]),
        helper.make_node("MatMul", ["row", "weights"], ["logits"]),
    ]
    source, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])
        for name, sizes in (("features", shape), ("logits", (3,)))
    )
    constants = [numpy_helper.from_array(weights.astype(np.float32), "weights")]
    graph = helper.make_graph(nodes, "layer", [source], [result], constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


@STREAMED
def test_a_device_gives_the_features_of_the_whole_recording(
    front_end: FrontEnd, recording: Waves, bundles: Callable[[FrontEnd], Path], tmp_path: Path
) -> None:
    """The front end of the runtime and the features of long recordings for training."""
    bundle = bundles(front_end)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    stream = detect.StreamFrontEnd(bundle, manifest, threads=1)
    windows = stream.windows(recording)
    whole = np.concatenate([f.copy() for f in stream.features(windows)], axis=1)
    stream.reset()
    again = [f.copy() for part in np.split(windows, [1, 2, 9, 70]) for f in stream.features(part)]
    np.testing.assert_array_equal(np.concatenate(again, axis=1), whole)
    expected = (log_mel(recording, front_end) - MEAN) / STD
    error = np.abs(whole - expected[:, : whole.shape[1]])
    assert np.mean(error > 1e-4) < 2e-3
    assert error.max() < 2e-3
    soundfile.write(tmp_path / "whole.wav", recording, 16_000, "FLOAT")
    clip = Clip(tmp_path / "whole.wav", "_unknown_", None, "train")
    bands = front_end.n_mels
    statistics = Normalization((MEAN,) * bands, (STD,) * bands)
    long_features.write([clip], front_end, statistics, quiet, tmp_path)
    np.testing.assert_allclose(long_features.read(tmp_path, bands)[0], expected, atol=2e-3)


@ALL
def test_a_stream_decides_by_the_features_of_its_front_end(
    front_end: FrontEnd, recording: Waves, bundles: Callable[[FrontEnd], Path]
) -> None:
    """Along the stream, or of each window for its mean; with half a window of silence before it."""
    bundle = bundles(front_end)
    detector = detect.Detector(bundle)
    posteriors = np.concatenate(list(detector.posteriors(recording)))
    detector.reset()
    pieces = np.split(recording, [1, 7, 900, 20_000, 20_001])
    parts = [p.copy() for piece in pieces for p in detector.posteriors(piece)]
    np.testing.assert_array_equal(np.concatenate(parts), posteriors)
    # Two frames a hop, five hops a decision: the first window ends with the 49th hop, so it begins
    # with the second frame.
    padded, frames = np.concatenate([np.zeros(8_000, np.float32), recording]), front_end.n_frames
    starts = range(1, 10 * len(posteriors), 10)
    if front_end.mean == "clip":
        size = 512 + 160 * (frames - 1)
        windows = [log_mel(padded[160 * s :][:size], front_end) for s in starts]
    else:
        whole = log_mel(padded, front_end)
        windows = [whole[:, s : s + frames] for s in starts]
    network = detect.session(bundle / "model.onnx", threads=1)
    logits = [
        network.run(None, {"features": ((w - MEAN) / STD).astype(np.float32)[None]})[0]
        for w in windows[: len(posteriors)]
    ]
    assert len(logits) > 40
    expected = detect.softmax(np.concatenate(logits))
    np.testing.assert_allclose(posteriors[: len(expected)], expected, atol=2e-3)
    assert posteriors.std(axis=0).min() > 0.01


def test_a_contract_holds_only_the_options_that_count() -> None:
    plain = FrontEnd().to_dict()
    assert list(plain) == [
        *("sample_rate", "window_s", "n_fft", "win_length", "hop_length", "n_mels", "f_min"),
        "f_max",
    ]
    assert FrontEnd(mean_seconds=9.0, pcen=Pcen(gain=0.5)).to_dict() == plain
    assert CLIP.to_dict() == plain | {"mean": "clip"}
    assert RUNNING.to_dict() == plain | {"mean": "running", "mean_seconds": 0.5}
    expected = plain | {"n_mels": 23, "compression": "pcen", "pcen": asdict(PCEN.pcen)}
    assert PCEN.to_dict() == expected
    statistics = Normalization((0.0,), (1.0,))
    for front_end in (FrontEnd(), CLIP, RUNNING, PCEN):
        contract = Contract(front_end, statistics, ("a",), (1, 97), {})
        assert json.loads(contract.to_json())["front_end"] == front_end.to_dict()
        assert Contract.from_json(contract.to_json()) == contract
    assert replace(RUNNING, mean="none").is_plain
