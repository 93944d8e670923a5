"""The step: what it tries, ships and reports."""

import csv
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgekws.audio.reading import read_audio
from edgekws.core import family
from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples
from edgekws.core.events import Event
from edgekws.core.job import Job
from edgekws.core.protocols import STEP, Step
from edgekws.lowering import checkpoint, export, onnx_file, parity
from edgekws.metrics import graph
from edgekws.runtime.front_end import FrontEnd, log_mel
from edgekws.steps._sensitivity import Fidelity, Judge, Point, Sensitivity, choose, order, rows

FRONT_END = FrontEnd(window_s=0.272, n_mels=16)  # 25 frames
CONTRACT = Contract(
    FRONT_END, Normalization((0.0,) * 16, (1.0,) * 16), ("a", "b", "c"), (16, 25),
    {"kind": "plain", "variant": "microcnn"},
)  # fmt: skip
Bench = tuple[Job, list[Event]]
ORT, NC = ({"kind": kind} for kind in ("onnxruntime", "neural_compressor"))


def step(**fields: Any) -> Any:
    return family.load("Step", "quantize")(**{"backend": ORT, "calibration_clips": 16, **fields})


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    torch.manual_seed(0)
    path = tmp_path / "network.safetensors"
    network = checkpoint.build(CONTRACT).eval()
    with torch.no_grad():  # no label is preferred
        dense = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
        dense[-1].bias.sub_(network(torch.randn(500, 16, 25)).mean(0))
    checkpoint.save(network, CONTRACT, path)
    return Artifact("checkpoint", path, sha256_file(path), CONTRACT)


@pytest.fixture
def in_float(source: Artifact) -> Artifact:
    network, contract = checkpoint.load(source.path)
    path = source.path.with_suffix(".onnx")
    onnx_file.save(export.export_lowered(network, contract), contract, path)
    return Artifact("onnx", path, sha256_file(path), contract)


def job_with(features: np.ndarray, targets: np.ndarray, tmp_path: Path) -> Bench:
    events: list[Any] = []
    examples = Examples(features, targets, np.array([""] * len(features)), ("x",) * len(features))
    data = SimpleNamespace(
        examples=lambda split: examples, calibration=lambda n: np.arange(min(n, len(features)))
    )
    (tmp_path / "w").mkdir()
    return Job(data, 7, "cpu", 1, tmp_path / "w", events.append), events


@pytest.fixture
def bench(in_float: Artifact, tmp_path: Path) -> Bench:
    """A job on random clips labelled by the FP32 network, and the events it emits."""
    features = np.random.default_rng(0).normal(size=(60, 16, 25)).astype(np.float32)
    targets = parity.logits(in_float.path, features).argmax(axis=1)
    return job_with(features, targets, tmp_path)


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if event.kind == "warning"]


def run(
    quantize: Step, artifact: Artifact, bench: Bench
) -> tuple[onnx.ModelProto, dict[str, Any], list[str]]:
    job, events = bench
    output = quantize.run({"input": artifact}, job)
    model, contract = onnx_file.load(output.path)
    assert contract == CONTRACT
    return model, output.details, warnings(events)


def test_no_layer_analysis_by_default(in_float: Artifact, bench: Bench) -> None:
    model, details, _ = run(step(max_drop=1), in_float, bench)
    assert "sensitivity" not in details
    assert "frontier" not in details
    assert graph.int8_coverage(model) == 1
    assert [trial["kept"] for trial in details["calibrations"]] == [True]
    assert details["reduce_range"] is False


def test_sensitivity_of_both_backends(source: Artifact, in_float: Artifact, bench: Bench) -> None:
    rows_of = {}
    for backend, artifact in ((ORT, in_float), (NC, source)):
        quantize = step(backend=backend, sensitivity=True, max_drop=1)
        model, details, _ = run(quantize, artifact, bench)
        assert graph.int8_coverage(model) == 1
        rows_of[backend["kind"]] = details["sensitivity"]
        shares = [row["macs_share"] for row in details["sensitivity"]]
        assert sum(shares) == pytest.approx(1)
        for row in details["sensitivity"]:
            for name in ("only_this", "all_but_this"):
                assert set(row[name]) == {"accuracy", "agreement", "mean_abs_diff"}
                assert row[name]["mean_abs_diff"] > 0
                assert row[name]["accuracy"] == row[name]["agreement"]  # labels are FP32's own
        points = details["frontier"]
        assert len(points) == len(shares) + 1
        assert [len(point["layers"]) for point in points] == list(range(len(points)))
        assert points[0]["coverage"] == 1
        assert points[-1] | {"layers": []} == points[-1] | {
            "layers": [], "coverage": 0, "accuracy": 1, "drop": 0,
        }  # fmt: skip
        assert all(b["size_kib"] > a["size_kib"] for a, b in pairwise(points))
        assert [point["kept"] for point in points] == [True] + [False] * len(shares)
    first, second = rows_of.values()
    assert [row["layer"] for row in first] == [row["layer"] for row in second]
    for a, b in zip(first, second, strict=True):
        assert a["only_this"]["mean_abs_diff"] == pytest.approx(
            b["only_this"]["mean_abs_diff"], rel=0.2
        )


@pytest.fixture
def hard_bench(in_float: Artifact, tmp_path: Path) -> Bench:
    """Clips that INT8 labels differently from FP32: those nearest to the decision boundary."""
    features = np.random.default_rng(1).normal(size=(4000, 16, 25)).astype(np.float32)
    logits = np.sort(parity.logits(in_float.path, features), axis=1)
    near = np.argsort(logits[:, -1] - logits[:, -2])[:1200:20]
    targets = parity.logits(in_float.path, features[near]).argmax(axis=1)
    return job_with(features[near], targets, tmp_path)


def test_auto_ships_the_frontier_s_best_point(in_float: Artifact, hard_bench: Bench) -> None:
    plain, before, warned = run(step(max_drop=0.0, min_coverage=0), in_float, hard_bench)
    assert before["shortfalls"]
    assert warned == before["shortfalls"]
    assert "every calibration of onnxruntime loses more" in warned[0]
    hard_bench[1].clear()
    half = before["calibrations"][0]["drop"] / 2
    quantize = step(max_drop=half, min_coverage=0, keep_float="auto")
    model, details, warned = run(quantize, in_float, hard_bench)
    (kept,) = [point for point in details["frontier"] if point["kept"]]
    assert 0 < len(kept["layers"]) < len(details["sensitivity"])
    assert kept["drop"] <= half < before["calibrations"][0]["drop"]
    assert warned == details["shortfalls"] == []
    good = [p["coverage"] for p in details["frontier"] if p["drop"] <= half]
    assert graph.int8_coverage(model) == kept["coverage"] == max(good)
    in_fp32 = {name for name in graph.float_weights(model) if name.endswith(".weight")}
    assert in_fp32 == {f"{name}.weight" for name in kept["layers"]}
    path = hard_bench[0].workdir / "model.onnx"
    assert path.stat().st_size / 1024 == kept["size_kib"]
    assert not list(hard_bench[0].workdir.glob("sized*"))
    assert plain.SerializeToString() != model.SerializeToString()


def test_auto_reports_that_the_coverage_limit_is_too_high(
    in_float: Artifact, hard_bench: Bench
) -> None:
    quantize = step(max_drop=0.0, min_coverage=1, keep_float="auto")
    model, details, warned = run(quantize, in_float, hard_bench)
    assert graph.int8_coverage(model) == 1
    assert warned == details["shortfalls"]
    assert "no set of FP32 layers within min_coverage = 100.0% reduces the drop" in warned[0]


def sensitive(layer: str, share: float, error: float) -> Sensitivity:
    scores = Fidelity(1.0, 1.0, error)
    return Sensitivity(layer, share, scores, scores)


def test_the_order_is_greedy_within_the_coverage() -> None:
    layers = [sensitive("stem", 0.6, 9), sensitive("a", 0.3, 5), sensitive("b", 0.04, 2)]
    layers += [sensitive("c", 0.05, 3), sensitive("d", 0.01, 1)]
    assert order(layers, 0) == ("stem", "a", "c", "b", "d")
    assert order(layers, 0.93) == ("c", "d", "stem", "a", "b")
    assert order(layers, 1) == ("stem", "a", "c", "b", "d")


def test_the_choice() -> None:
    points = [Point(("x",) * n, 1 - n / 10, 0.9, d, 1) for n, d in enumerate((0.05, 0.02, 0.01))]
    assert choose(points, 0.02, 0.5) is points[1]
    assert choose(points, 0.001, 0.5) is points[2]
    assert choose(points, 0.001, 0.9) is points[1]
    assert choose(points[1:], 0.001, 0.99) is points[1]
    assert [row["kept"] for row in rows(points, points[1])] == [False, True, False]


def test_scores_are_against_fp32_and_the_labels() -> None:
    logits = {
        "float": np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32),
        "int8": np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32),
    }
    names: dict[str, Any] = {"float": "float", "int8": "int8"}  # stand in for the models
    judge = Judge(lambda model: logits[str(model)], names["float"], np.array([0, 1, 1, 0]))
    assert judge.float_accuracy == 0.5
    assert judge.scores(names["int8"]) == Fidelity(0.75, 0.75, 0.25)


@pytest.mark.parametrize(
    ("isa", "narrow"),
    [
        ({"x86_64", "avx2"}, True),
        ({"x86_64"}, True),
        ({"AMD64", "avx2", "avx_vnni"}, False),
        ({"x86_64", "avx2", "avx512f", "avx512_vnni"}, False),
        ({"aarch64", "asimd", "asimddp"}, False),
    ],
)
def test_the_target_decides_the_range(isa: set[str], narrow: bool) -> None:
    resolved = step(compare=[NC]).resolved(frozenset(isa))
    assert resolved.saturates is narrow
    assert resolved.backend.reduce_range is narrow
    assert resolved.compare[0].reduce_range is narrow


def test_what_the_recipe_says_stands() -> None:
    wide = step(backend=ORT | {"reduce_range": False}).resolved(frozenset({"x86_64"}))
    assert (wide.saturates, wide.backend.reduce_range) == (True, False)
    for_another = step(saturates=True).resolved(frozenset({"aarch64"}))
    assert (for_another.saturates, for_another.backend.reduce_range) == (True, True)
    assert step().backend.reduce_range is None
    other = STEP.validate_python({"kind": "export"})
    assert other.resolved(frozenset({"x86_64"})) == other


def loud(in_float: Artifact, bench: Bench) -> Bench:
    """Make all features large, so that neighbouring inputs are large together."""
    job, events = bench
    examples = job.data.examples("dev")
    examples.features[:] = np.abs(examples.features) + 3
    return job, events


def test_sums_that_saturate_are_counted_and_reported(in_float: Artifact, bench: Bench) -> None:
    x86 = frozenset({"x86_64", "avx2"})
    wide = step(backend=ORT | {"reduce_range": False}, max_drop=1)
    _, details, warned = run(wide.resolved(x86), in_float, loud(in_float, bench))
    counted = details["saturation"]
    total = sum(row["shipped"] for row in counted)
    assert total > 0
    assert sum(row["in_8_bits"] for row in counted) > 0 == sum(row["in_7_bits"] for row in counted)
    (warning,) = warned
    assert f"the target has no VNNI: {total} sums of the calibration clips saturate" in warning
    assert "set reduce_range = true" in warning
    bench[1].clear()
    for quiet in (step(max_drop=1).resolved(x86), wide.resolved(frozenset({"aarch64"}))):
        assert run(quiet, in_float, bench)[2] == []


def test_on_real_speech(in_float: Artifact, shared_data: Path, tmp_path: Path) -> None:
    with (shared_data / "asc" / "train.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)][::300][:24]
    waves = [read_audio(shared_data / "asc" / name, 16_000)[4000:8352] for name in names]
    features = np.stack([log_mel(wave, FRONT_END) for wave in waves if len(wave) == 4352])
    features = ((features - features.mean()) / features.std()).astype(np.float32)
    targets = parity.logits(in_float.path, features).argmax(axis=1)
    bench = job_with(features, targets, tmp_path)
    quantize = step(keep_float="auto", max_drop=0.0, min_coverage=0)
    _, details, _ = run(quantize.resolved(frozenset({"x86_64"})), in_float, bench)
    assert details["reduce_range"] is True
    assert sum(row["shipped"] for row in details["saturation"]) == 0
    assert details["frontier"][-1]["drop"] == 0
    assert details["shortfalls"] == []
