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
    spec.write_text(json.dumps({"models": models, "control": "short", "seconds": 0.1}))
    command = [sys.executable, "-I", str(copy), "--spec", str(spec)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert set(result["models"]) == {"short", "длинная"}
    for one in result["models"].values():
        assert 0 < one["p50_us"] <= one["p90_us"] <= one["p99_us"]
        assert one["p50_ci95"][0] <= one["p50_us"] <= one["p50_ci95"][1]
        assert one["n"] >= latency.MIN_EPOCHS * latency.ROUNDS * latency.MIN_RUNS
    long, short = result["models"]["длинная"], result["models"]["short"]
    assert long["p50_us"] > 3 * short["p50_us"]
    if result["level"]:
        assert long["ratio"] == pytest.approx(long["p50_us"] / short["p50_us"], rel=0.3)
        assert short["ratio"] == 1
    assert result["fingerprint"]["threads"] == 1


def series(runs: np.ndarray) -> latency.Series:
    """Return times `(epochs, rounds, runs)` that never waited for a CPU."""
    return latency.Series(runs, runs.mean(axis=2))


def summary_of(control: np.ndarray, again: np.ndarray, model: np.ndarray) -> dict[str, Any]:
    spec = Spec({"control": "", "model": ""}, "control")
    times = {("control", 0): series(control), ("control", 1): series(again)}
    return latency.summary(times | {("model", 0): series(model)}, spec)


def simulated(
    rng: np.random.Generator, truth: float, *, epochs: int = 30, drift: float = 0.3
) -> list[np.ndarray]:
    """Return times of a control, of the control again, and of a model that takes `truth` of it.

    The clock drifts, each session has a bias of 2 %, a burst of load hits an eighth of the epochs,
    and here and there a run is interrupted.
    """
    clock = 1 + drift * np.sin(np.linspace(0, rng.uniform(2, 9), epochs))[:, None, None]
    burst = np.where(rng.random((epochs, 1, 1)) < 0.125, rng.uniform(1, 2, (epochs, 8, 1)), 1)
    made = []
    for factor in (1.0, 1.0, truth):
        bias = np.exp(0.02 * rng.standard_normal((epochs, 1, 1)))
        runs = 20 * factor * clock * burst * bias * rng.gamma(400, 1 / 400, (epochs, 8, 10))
        struck = rng.random(runs.shape) < 0.02
        made.append(np.where(struck, runs + rng.exponential(3000, runs.shape), runs))
    return made


def test_summary_of_known_times() -> None:
    rng = np.random.default_rng(0)
    base = rng.gamma(20, 1, (20, 5, 10))
    clock = rng.uniform(1, 2, (20, 5, 1))  # a clock that wanders meets all models alike
    result = summary_of(base * clock, base * clock, 0.5 * base * clock)
    one = result["models"]["model"]
    assert result["level"]
    assert result["control_ratio"] == 1
    assert one["ratio"] == pytest.approx(0.5)
    assert one["ratio_ci95"] == pytest.approx((0.5, 0.5))
    assert one["p90_us"] == pytest.approx(np.percentile(0.5 * base * clock, 90))
    assert one["n"] == 1000
    assert result["models"]["control"]["n"] == 2000
    for name in ("p50", "p90", "p99"):
        low, high = one[f"{name}_ci95"]
        assert low <= one[f"{name}_us"] <= high
    assert one["p50_ci95"][1] - one["p50_ci95"][0] > 0.05 * one["p50_us"]
    assert one["cpu_us"] == pytest.approx(np.median((0.5 * base * clock).mean(axis=2)))
    assert one["waited"] == pytest.approx(0, abs=1e-9)
    assert one["quantiles_us"][50] == pytest.approx(one["p50_us"], abs=1e-3)
    assert len(one["epoch_us"]) == result["epochs"] == 20


def test_no_ratio_where_the_control_is_not_level() -> None:
    base = np.random.default_rng(0).gamma(20, 1, (10, 5, 10))
    result = summary_of(base, 1.2 * base, base)
    assert not result["level"]
    assert result["control_ratio"] == pytest.approx(1.2)
    assert [one["ratio"] for one in result["models"].values()] == [None, None]
    assert [one["ratio_ci95"] for one in result["models"].values()] == [None, None]


@pytest.mark.parametrize("truth", [1.0, 0.97, 2.0])
def test_intervals_hold_the_truth_through_drift_bursts_and_sessions(truth: float) -> None:
    """Of 95 % intervals, 150 hold the truth 142.5 times on average; 135 is 2.8 sigma below."""
    rng = np.random.default_rng(7)
    held, ratios, levels = 0, [], 0
    for _ in range(150):
        control, again, model = simulated(rng, truth)
        medians = [np.median(one, axis=(1, 2)) for one in (control, again, model)]
        ratio, (low, high) = latency.paired_ratio(np.sqrt(medians[0] * medians[1]), medians[2])
        levels += latency.is_level(*latency.paired_ratio(medians[0], medians[1]))
        held += low <= truth <= high
        ratios.append(ratio / truth)
    assert held >= 135
    assert max(np.abs(np.log(ratios))) < 0.03
    assert np.mean(ratios) == pytest.approx(1, abs=0.002)
    assert levels >= 135


def test_a_real_difference_is_told_and_none_is_not() -> None:
    rng = np.random.default_rng(3)
    told = {0.95: 0, 1.0: 0}
    for truth in told:
        for _ in range(40):
            control, _, model = (np.median(one, axis=(1, 2)) for one in simulated(rng, truth))
            _, (low, high) = latency.paired_ratio(control, model)
            told[truth] += high < 1 or low > 1
    assert told[0.95] >= 38
    assert told[1.0] <= 6


def test_few_epochs_give_wider_intervals() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        logs = 0.02 * rng.standard_normal(latency.MIN_EPOCHS)
        _, (low, high) = latency.paired_ratio(np.ones(len(logs)), np.exp(logs))
        held += low <= 1 <= high
    assert held >= 178  # 95 % less 4 sigma


def test_a_round_that_waited_counts_for_no_model() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.gamma(400, 1 / 40, (2, 12, 8, 10))
    slow = np.zeros((12, 8), bool)
    slow[:, :3] = True
    hit = np.where(slow[..., None], 3 * other, other)
    times = {
        ("a", 0): latency.Series(one, one.mean(axis=2)),
        ("a", 1): latency.Series(hit, other.mean(axis=2)),  # the CPU time did not grow
    }
    quiet = latency._quiet_rounds(times, 1)
    assert np.array_equal(quiet, ~slow)
    assert latency._quiet_rounds(times, 2).all()
    result = latency.summary(times, Spec({"a": ""}, "a"))
    assert result["control_ratio"] == pytest.approx(1, abs=0.02)
    assert result["models"]["a"]["waited"] > 0.2
    never = {key: latency.Series(s.wall, 0.5 * s.cpu) for key, s in times.items()}
    assert latency._quiet_rounds(never, 1).all()  # where all waited, all count


@pytest.mark.parametrize("verdicts", [[True], [False, True], [False] * latency.ATTEMPTS])
def test_a_control_that_is_not_level_is_measured_on(
    verdicts: list[bool], models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(verdicts)
    monkeypatch.setattr(latency, "is_level", lambda ratio, ci95: next(left))
    result = measure(Spec(models, "short", seconds=0.001, warmup=1))
    assert (result["attempts"], result["level"]) == (len(verdicts), verdicts[-1])
    assert result["epochs"] == len(verdicts) * latency.MIN_EPOCHS


def test_sessions_are_made_anew_and_rounds_are_in_random_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def entry(key: latency.Key, spec: Spec) -> Any:
        name = "".join(map(str, key))
        order.append(f"new {name}")
        return lambda: order.append(name)

    monkeypatch.setattr(latency, "_entry", entry)
    monkeypatch.setattr(latency, "_runs", lambda call, warmup: 2)
    spec = Spec({"a": "a", "b": "b"}, "a", seconds=0.001)

    def calls() -> list[str]:
        order.clear()
        timed = latency._Timed(spec)
        timed.go_on(0.0)
        assert {len(s.wall) for s in timed.series().values()} == {latency.MIN_EPOCHS}
        return list(order)

    made = calls()
    one = 3 + 3 * 3 * latency.ROUNDS  # 3 sessions; a call to settle and two that are timed
    epochs = [made[i : i + one] for i in range(0, len(made), one)]
    assert len(epochs) == latency.MIN_EPOCHS
    assert all(sorted(e[:3]) == ["new a0", "new a1", "new b0"] for e in epochs)
    assert len({tuple(e[:3]) for e in epochs}) > 2
    rounds = [tuple(e[3 + i : 12 + i : 3]) for e in epochs for i in range(0, one - 3, 9)]
    assert {tuple(sorted(r)) for r in rounds} == {("a0", "a1", "b0")}
    assert len(set(rounds)) == 6
    assert calls() == made


def test_a_chain_feeds_the_next_and_binding_gives_times(
    models: dict[str, str], tmp_path: Path
) -> None:
    deep = chain(tmp_path / "deep.onnx", 2, ("batch", 1, 64))  # wants an axis more
    spec = Spec({"a": models["short"], "a → deep": [models["short"], deep]}, "a")
    assert latency._entry(("a → deep", 0), spec)() in range(64)
    bound = Spec(spec.models, "a", seconds=0.001, warmup=1, bound=["a"])
    assert measure(bound)["models"]["a → deep"]["p50_us"] > 0
    with pytest.raises(LatencyError, match=r"short\.onnx → .*deep\.onnx: a chain cannot be called"):
        latency._entry(("a → deep", 0), Spec(spec.models, "a", bound=["a → deep"]))
    with pytest.raises(LatencyError, match="bound 'c' is none of a, a → deep"):
        measure(Spec(spec.models, "a", bound=["c"]))


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
