"""The latency harness, run as it ships: one file in a clean interpreter."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekws.runtime import latency
from edgekws.runtime.latency import LatencyError, Spec, measure


def chain(path: Path, n_layers: int, shape: tuple[Any, ...] = ("batch", 64)) -> str:
    """Write a network of `n_layers` matrix products, and return its path."""
    from onnx import TensorProto, helper, numpy_helper, save

    weight = np.full((64, 64), 1 / 64, np.float32)
    names = [f"t{i}" for i in range(n_layers)] + ["y"]
    names[0] = "x"
    graph = helper.make_graph(
        [helper.make_node("MatMul", [a, "w"], [b]) for a, b in pairwise(names)],
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 20)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {"short": chain(folder / "short.onnx", 8), "длинная": chain(folder / "long.onnx", 160)}


def test_runs_alone_in_a_clean_interpreter(models: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "latency.py"
    copy.write_bytes(Path(latency.__file__).read_bytes())
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"models": models, "control": "short", "seconds": 0.3}))
    command = [sys.executable, "-I", str(copy), "--spec", str(spec)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert set(result["models"]) == {"short", "длинная"}
    for one in result["models"].values():
        assert 0 < one["p50_us"] <= one["p90_us"] <= one["p99_us"]
        assert one["p50_ci95"][0] <= one["p50_us"] <= one["p50_ci95"][1]
        assert one["n"] >= latency.MIN_ROUNDS * latency.MIN_RUNS
    long, short = result["models"]["длинная"], result["models"]["short"]
    assert long["p50_us"] > 3 * short["p50_us"]
    if result["level"]:
        assert long["ratio"] == pytest.approx(long["p50_us"] / short["p50_us"])
        assert short["ratio"] == 1
    assert result["fingerprint"]["threads"] == 1


def summary_of(
    control: latency.Blocks, again: latency.Blocks, model: latency.Blocks
) -> dict[str, Any]:
    spec = Spec({"control": "", "model": ""}, "control")
    times = {("control", 0): control, ("control", 1): again, ("model", 0): model}
    return latency._summary(times, spec)


def test_summary_of_known_times() -> None:
    rng = np.random.default_rng(0)
    base = rng.gamma(20, 1, (100, 10))
    clock = rng.uniform(1, 2, (100, 1))  # a clock that wanders meets all models alike
    result = summary_of(base * clock, base * clock, 0.5 * base * clock)
    one = result["models"]["model"]
    assert result["level"]
    assert result["control_ratio"] == 1
    assert one["ratio"] == pytest.approx(0.5)
    assert one["ratio_ci95"] == pytest.approx((0.5, 0.5))
    assert one["p90_us"] == pytest.approx(np.percentile(0.5 * base * clock, 90))
    assert one["n"] == 1000
    assert result["models"]["control"]["n"] == 2000
    low, high = one["p50_ci95"]
    assert high - low > 0.05 * one["p50_us"]


def test_no_ratio_where_the_control_is_not_level() -> None:
    base = np.random.default_rng(0).gamma(20, 1, (100, 10))
    result = summary_of(base, 1.2 * base, base)
    assert not result["level"]
    assert result["control_ratio"] == pytest.approx(1.2)
    assert [one["ratio"] for one in result["models"].values()] == [None, None]
    assert [one["ratio_ci95"] for one in result["models"].values()] == [None, None]


@pytest.mark.parametrize("verdicts", [[True], [False, True], [False, False]])
def test_a_control_that_is_not_level_is_tried_once_more(
    verdicts: list[bool], models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(verdicts)
    monkeypatch.setattr(latency, "is_level", lambda ratio, ci95: next(left))
    result = measure(Spec(models, "short", seconds=0.01, warmup=1))
    assert (result["attempts"], result["level"]) == (len(verdicts), verdicts[-1])


def test_rounds_are_interleaved_in_random_order(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def entry(path: str, spec: Spec) -> tuple[Any, int]:
        return (lambda: order.append(path)), 2

    monkeypatch.setattr(latency, "_entry", entry)
    spec = Spec({"a": "a", "b": "b"}, "a", seconds=0.001)
    latency._attempt(spec, 1)
    blocks = order[::3]  # one call to settle and two that are timed
    rounds = [tuple(blocks[i : i + 3]) for i in range(0, len(blocks), 3)]
    assert len(rounds) >= latency.MIN_ROUNDS
    assert {tuple(sorted(one)) for one in rounds} == {("a", "a", "b")}
    assert len(set(rounds)) == 3
    order.clear()
    latency._attempt(spec, 1)
    assert order[::3][: 3 * latency.MIN_ROUNDS] == blocks[: 3 * latency.MIN_ROUNDS]


def test_fingerprint_tells_the_machine() -> None:
    found = latency.fingerprint(2)
    assert found["threads"] == 2
    assert found["cores"] == os.cpu_count()
    assert found["numpy"] == np.__version__
    assert found["cpu"] != ""
    assert json.loads(json.dumps(found)) == found


def test_says_what_is_wrong(models: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(LatencyError, match="control 'none' is none of short"):
        measure(Spec(models, "none"))
    with pytest.raises(LatencyError, match=r"affinity \[4095\]: this machine has the CPUs"):
        measure(Spec(models, "short", affinity=[4095]))
    free = chain(tmp_path / "free.onnx", 2, ("batch", "t", 64))
    with pytest.raises(LatencyError, match=r"free\.onnx: input x is .*but the first"):
        measure(Spec({"a": free}, "a"))
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(b"no model")
    with pytest.raises(LatencyError, match=r"torn\.onnx: onnxruntime cannot load it"):
        measure(Spec({"a": str(torn)}, "a"))


def test_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"models": {}, "control": "a", "sconds": 1}))
    assert latency.main(["--spec", str(spec)]) == 1
    assert "sconds" in capsys.readouterr().err
    spec.write_text(json.dumps({"models": {"a": "a.onnx"}, "control": "a"}))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert latency.main(["--spec", str(spec)]) == 6
    assert "onnxruntime cannot be used" in capsys.readouterr().err
