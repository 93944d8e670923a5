from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples
from edgekws.core.events import quiet
from edgekws.core.job import Job
from edgekws.core.protocols import STEP
from edgekws.engine.measure import count
from edgekws.errors import RecipeError, UnsupportedError
from edgekws.lowering import checkpoint, onnx_file
from edgekws.lowering.export import export_lowered
from edgekws.lowering.stream_state import stream_of
from edgekws.recipe.load import load
from edgekws.runtime.front_end import FrontEnd
from edgekws.runtime.latency import Spec, measure

FRAMES = 25
BACKBONE = {"kind": "inverted_bottleneck", "channels": 4, "blocks": 1, "head": 0}


def given(folder: Path, padding: str) -> Artifact:
    front_end = FrontEnd(window_s=0.272, n_mels=16)
    assert front_end.n_frames == FRAMES
    normalization = Normalization((0.0,) * 16, (1.0,) * 16)
    architecture = BACKBONE | {"padding": padding}
    contract = Contract(front_end, normalization, ("a", "b"), (16, FRAMES), architecture)
    torch.manual_seed(0)
    path = folder / f"{padding}.onnx"
    onnx_file.save(export_lowered(checkpoint.untrained(contract), contract), contract, path)
    return Artifact("onnx", path, sha256_file(path), contract)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    features = np.random.default_rng(1).normal(size=(20, 16, FRAMES)).astype(np.float32)
    dev = Examples(features, np.arange(20) % 2, np.array([""] * 20), ("",) * 20)
    data = SimpleNamespace(examples=lambda split: dev)
    return Job(data, 7, "cpu", 1, tmp_path / "w", quiet)


def test_it_writes_a_proven_graph_that_can_be_measured(job: Job, tmp_path: Path) -> None:
    source = given(tmp_path, "valid")
    step = STEP.validate_python({"kind": "stream"})
    assert (step.takes, step.gives, step.named_inputs) == ("onnx", "stream", ())
    output = step.run({"input": source}, job)
    model, contract = onnx_file.load(output.path)
    assert contract == source.contract
    stream = stream_of(model)
    assert stream is not None
    assert output.details["hop_ms"] == 20
    assert output.details["max_abs_diff"] <= 1e-4
    assert output.details["decisions"] == 20 + (20 * FRAMES - FRAMES) // 2 + 1
    assert [state["shape"] for state in output.details["states"]] == [
        s.shape for s in stream.states
    ]

    streaming = {m.metric: m.value for m in count(output.path, contract.front_end.window_s)}
    windowed = {m.metric: m.value for m in count(source.path, contract.front_end.window_s)}
    per_frame = 16 * 4 * 3 + 4 * 12 + 12 * 9 + 12 * 4
    assert streaming["macs"] == 50 * (per_frame + 2 * 4)
    assert streaming["params"] == windowed["params"]
    assert streaming["peak_ram_kib"] < windowed["peak_ram_kib"]

    paths = {"model": str(output.path), "naive": str(source.path)}
    timed = measure(Spec(paths, "naive", seconds=0.05, processes=2))
    assert timed["models"]["model"]["p50_us"] > 0


def test_a_network_that_pads_is_refused(job: Job, tmp_path: Path) -> None:
    step = STEP.validate_python({"kind": "stream"})
    with pytest.raises(UnsupportedError, match=r'layer stem\.0 \(Conv\) pads .*padding = "valid"'):
        step.run({"input": given(tmp_path, "same")}, job)


def test_steps_along_a_stream_refuse_the_mean_of_a_window() -> None:
    with pytest.raises(RecipeError) as caught:
        load("wake-words", ["front_end.mean=clip"])
    assert str(caught.value).count('set mean = "running" in [front_end]') == 2  # mine and stream
