"""The latency harness, run as it ships: one file in a clean interpreter."""

import io
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
    asked = {"models": models, "control": "short", "seconds": 0.1, "processes": 3}
    spec.write_text(json.dumps(asked))
    command = [sys.executable, "-I", str(copy), "--spec", str(spec)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert set(result["models"]) == {"short", "длинная"}
    for model in result["models"].values():
        assert 0 < model["p50_us"] <= model["p90_us"] <= model["p99_us"]
        assert model["p50_ci95"][0] <= model["p50_us"] <= model["p50_ci95"][1]
        assert model["n"] >= 3 * latency.MIN_EPOCHS * latency.MIN_RUNS
        assert model["blocks"] >= 3 * latency.MIN_EPOCHS * latency.ROUNDS
        assert len(model["process_us"]) == result["processes"]
    assert result["processes"] == 3 * result["attempts"]
    long, short = result["models"]["длинная"], result["models"]["short"]
    assert long["p50_us"] > 3 * short["p50_us"]
    if result["level"]:
        assert long["ratio"] == pytest.approx(long["p50_us"] / short["p50_us"], rel=0.3)
        assert short["ratio"] == 1
    assert result["fingerprint"]["threads"] == 1


def series(runs: np.ndarray) -> latency.Series:
    """Return times `(epochs, rounds, runs)` that never waited for a CPU."""
    return latency.Series(runs, runs.mean(axis=2))


SPEC = Spec({"control": "", "model": ""}, "control")


def process(control: np.ndarray, again: np.ndarray, model: np.ndarray) -> latency.Times:
    times = {("control", 0): series(control), ("control", 1): series(again)}
    return times | {("model", 0): series(model)}


def simulated(
    rng: np.random.Generator, truth: float, *, processes: int = 6, spread: float = 0.01
) -> list[latency.Times]:
    """Return what processes measure of a control and of a model that takes `truth` of it.

    The clock drifts, every process and every session has a bias, a burst of load hits an eighth of
    the epochs, and here and there a run is interrupted.
    """
    times = []
    for _ in range(processes):
        clock = 1 + 0.3 * np.sin(np.linspace(0, rng.uniform(2, 9), 5))[:, None, None]
        burst = np.where(rng.random((5, 1, 1)) < 0.125, rng.uniform(1, 2, (5, 8, 1)), 1)
        runs = []
        lies = np.exp(spread * rng.standard_normal(2))  # where the two models came to lie
        for factor, where in ((1.0, lies[0]), (1.0, lies[0]), (truth, lies[1])):
            bias = where * np.exp(0.005 * rng.standard_normal((5, 1, 1)))
            wall = 20 * factor * clock * burst * bias * rng.gamma(400, 1 / 400, (5, 8, 10))
            struck = rng.random(wall.shape) < 0.02
            runs.append(np.where(struck, wall + rng.exponential(3000, wall.shape), wall))
        times.append(process(*runs))
    return times


def test_summary_of_known_times() -> None:
    rng = np.random.default_rng(0)
    base = rng.gamma(20, 1, (4, 5, 5, 10))
    clock = rng.uniform(1, 2, (4, 5, 5, 1))  # a clock that wanders meets all models alike
    times = [process(b * c, b * c, 0.5 * b * c) for b, c in zip(base, clock, strict=True)]
    result = latency.summary(times, SPEC)
    model = result["models"]["model"]
    assert result["level"]
    assert result["control_ratio"] == 1
    assert model["ratio"] == pytest.approx(0.5)
    assert model["ratio_ci95"] == pytest.approx((0.5, 0.5))
    of_each = [np.percentile(0.5 * b * c, (50, 90, 99)) for b, c in zip(base, clock, strict=True)]
    for i, name in enumerate(("p50", "p90", "p99")):
        logs = np.log([values[i] for values in of_each])
        half = 3.182 * logs.std(ddof=1) / 2  # Student's, 3 degrees of freedom
        assert model[f"{name}_us"] == pytest.approx(np.exp(logs.mean()))
        expected = np.exp([logs.mean() - half, logs.mean() + half])
        assert model[f"{name}_ci95"] == pytest.approx(tuple(expected))
    assert model["n"] == 1000
    assert result["models"]["control"]["n"] == 2000
    assert result["models"]["control"]["ratio"] == 1
    assert model["cpu_us"] == pytest.approx(np.median((0.5 * base * clock).mean(axis=3)))
    assert model["waited"] == pytest.approx(0, abs=1e-9)
    assert (model["blocks"], model["left_out"]) == (100, 0)
    assert model["quantiles_us"][50] == pytest.approx(model["p50_us"], abs=1e-3)
    assert len(model["process_us"]) == result["processes"] == 4


def test_the_ratio_is_to_both_entries_of_the_control() -> None:
    rng = np.random.default_rng(0)
    base = [rng.gamma(400, 1, (4, 5, 10)) for _ in range(6)]
    times = [process(b, 1.02 * b, 1.5 * b) for b in base]
    result = latency.summary(times, SPEC)
    assert result["level"]
    assert result["control_ratio"] == pytest.approx(1.02)
    assert result["models"]["model"]["ratio"] == pytest.approx(1.5 / 1.02**0.5)


def test_no_ratio_where_the_control_is_not_level() -> None:
    rng = np.random.default_rng(0)
    base = [rng.gamma(400, 1, (4, 5, 10)) for _ in range(6)]
    uneven = latency.summary([process(b, 1.2 * b, b) for b in base], SPEC)
    assert uneven["control_ratio"] == pytest.approx(1.2)
    shares = (0.8, 1.25, 0.9, 1.1, 0.95, 1.06)  # equal to itself on average, but hardly known
    noisy = latency.summary([process(b, s * b, b) for b, s in zip(base, shares, strict=True)], SPEC)
    assert noisy["control_ratio"] == pytest.approx(1, abs=0.01)
    for result in (uneven, noisy):
        assert not result["level"]
        assert [model["ratio"] for model in result["models"].values()] == [None, None]
        assert [model["ratio_ci95"] for model in result["models"].values()] == [None, None]


@pytest.mark.parametrize(
    ("ci95", "level"),
    [((0.743, 1.112), False), ((0.975, 1.02), True), ((0.96, 1.01), False), ((0.99, 1.04), False)],
)
def test_level_is_a_narrow_interval_around_1(ci95: tuple[float, float], level: bool) -> None:
    assert latency.is_level(ci95) == level


@pytest.mark.parametrize("truth", [1.0, 0.97, 2.0])
def test_intervals_hold_the_truth_between_runs(truth: float) -> None:
    """Of 95 % intervals, 150 hold the truth 142.5 times on average; 135 is 2.8 sigma below."""
    rng = np.random.default_rng(7)
    held, ratios, levels, p50_held = 0, [], 0, 0
    runs = [latency.summary(simulated(rng, truth), SPEC) for _ in range(150)]
    middle = np.median([run["models"]["model"]["p50_us"] for run in runs])
    for run in runs:
        levels += run["level"]
        model = run["models"]["model"]
        p50_held += model["p50_ci95"][0] <= middle <= model["p50_ci95"][1]
        if run["level"]:
            held += model["ratio_ci95"][0] <= truth <= model["ratio_ci95"][1]
            ratios.append(model["ratio"] / truth)
    assert levels >= 135
    assert held >= levels - 15
    assert p50_held >= 135
    assert max(np.abs(np.log(ratios))) < 0.03
    assert np.mean(ratios) == pytest.approx(1, abs=0.002)


def test_a_real_difference_is_told_and_none_is_not() -> None:
    rng = np.random.default_rng(3)
    significant = {0.95: 0, 1.0: 0}
    for truth in significant:
        for _ in range(40):
            model = latency.summary(simulated(rng, truth, spread=0.005), SPEC)["models"]["model"]
            low, high = model["ratio_ci95"] or (0, 2)
            significant[truth] += high < 1 or low > 1
    assert significant[0.95] >= 36
    assert significant[1.0] <= 6


@pytest.mark.parametrize("n", [2, 3, 6, 12])
def test_few_processes_give_wider_intervals(n: int) -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        logs = 0.02 * rng.standard_normal(n)
        _, (low, high) = latency.paired_ratio(np.ones(n), np.exp(logs))
        held += low <= 1 <= high
    assert 363 <= held <= 397  # 95 % and 4 sigma either way


def test_quantiles_of_student() -> None:
    known = {1: 12.706, 2: 4.303, 5: 2.571, 10: 2.228, 11: 2.201, 17: 2.110, 35: 2.030, 200: 1.972}
    for freedom, quantile in known.items():
        assert latency._t975(freedom) == pytest.approx(quantile, abs=3e-3)


def test_blocks_that_waited_count_in_no_figure() -> None:
    rng = np.random.default_rng(1)
    base = rng.gamma(400, 1 / 40, (6, 4, 8, 10))
    slow = np.zeros((4, 8), bool)
    slow[:, :5] = True
    times: list[latency.Times] = []
    for wall in base:
        hit = np.where(slow[..., None], 3 * wall, wall)
        waiting = latency.Series(hit, wall.mean(axis=2))  # the CPU time did not grow
        times.append({("a", 0): series(wall), ("a", 1): waiting})
    assert np.array_equal(latency._quiet_blocks(times[0]["a", 1], 1), ~slow)
    assert latency._quiet_blocks(times[0]["a", 1], 2).all()
    result = latency.summary(times, Spec({"a": ""}, "a"))
    assert result["control_ratio"] == pytest.approx(1, abs=0.02)
    model = result["models"]["a"]
    assert model["waited"] > 0.2
    assert (model["blocks"], model["left_out"]) == (6 * 64, 6 * 20)
    assert model["n"] == 10 * (6 * 64 - 6 * 20)
    assert model["p99_us"] < 12.5  # not 30
    never = latency.Series(base[0], 0.5 * base[0].mean(axis=2))
    assert latency._quiet_blocks(never, 1).all()  # where all waited, all count


@pytest.mark.parametrize("verdicts", [[True], [False, True], [False] * latency.ATTEMPTS])
def test_a_control_that_is_not_level_is_measured_on(
    verdicts: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    remaining = iter(verdicts)
    monkeypatch.setattr(latency, "is_level", lambda ci95: next(remaining))
    rng = np.random.default_rng(0)
    asked: list[tuple[int, float]] = []

    def part(spec: Spec, number: int) -> latency.Times:
        asked.append((number, spec.seconds))
        return {key: series(rng.gamma(9, 1, (2, 3, 4))) for key in (("a", 0), ("a", 1))}

    monkeypatch.setattr(latency, "_measure_in_process", part)
    result = measure(Spec({"a": "a"}, "a", processes=3))
    assert (result["attempts"], result["level"]) == (len(verdicts), verdicts[-1])
    assert result["processes"] == 3 * len(verdicts)
    assert [number for number, _ in asked] == list(range(3 * len(verdicts)))  # none like another


def test_processes_are_fresh_and_share_the_seconds(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[dict[str, Any]] = []
    real = subprocess.run

    def run(command: list[str], **rest: Any) -> Any:
        assert command[0] == sys.executable
        requests.append(json.loads(rest["input"]))
        return real(command, **rest)

    monkeypatch.setattr(subprocess, "run", run)
    measure(Spec(models, "short", seconds=0.01, processes=2, warmup=1, seed=5))
    assert [request["seconds"] for request in requests[:2]] == [0.005, 0.005]
    assert [request["seed"] for request in requests[:2]] == [5, 6]


def test_a_process_whose_starter_is_gone_ends(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = latency._Timer(Spec(models, "short", seconds=60))
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(LatencyError, match="the process that started the measurement has ended"):
        timer.run()


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
    spec = Spec({"a": "a", "b": "b"}, "a", seconds=0.0)

    def calls() -> list[str]:
        order.clear()
        timer = latency._Timer(spec)
        timer.run()
        assert {len(s.wall) for s in timer.series().values()} == {latency.MIN_EPOCHS}
        return list(order)

    recorded = calls()
    per_epoch = 3 + 3 * 3 * latency.ROUNDS  # 3 sessions; a call to settle and two that are timed
    epochs = [recorded[i : i + per_epoch] for i in range(0, len(recorded), per_epoch)]
    assert len(epochs) == latency.MIN_EPOCHS
    assert all(sorted(e[:3]) == ["new a0", "new a1", "new b0"] for e in epochs)
    assert len({tuple(e[:3]) for e in epochs}) > 1
    rounds = [tuple(e[3 + i : 12 + i : 3]) for e in epochs for i in range(0, per_epoch - 3, 9)]
    assert {tuple(sorted(r)) for r in rounds} == {("a0", "a1", "b0")}
    assert len(set(rounds)) == 6
    assert calls() == recorded


def test_a_chain_feeds_the_next_and_binding_gives_times(
    models: dict[str, str], tmp_path: Path
) -> None:
    deep = chain(tmp_path / "deep.onnx", 2, ("batch", 1, 64))  # wants an axis more
    spec = Spec({"a": models["short"], "a → deep": [models["short"], deep]}, "a")
    assert latency._entry(("a → deep", 0), spec)() in range(64)
    bound = Spec(spec.models, "a", seconds=0.001, processes=2, warmup=1, bound=["a"])
    assert measure(bound)["models"]["a → deep"]["p50_us"] > 0
    with pytest.raises(LatencyError, match=r"short\.onnx → .*deep\.onnx: a chain cannot be called"):
        latency._entry(("a → deep", 0), Spec(spec.models, "a", bound=["a → deep"]))
    with pytest.raises(LatencyError, match="bound 'c' is none of a, a → deep"):
        measure(Spec(spec.models, "a", bound=["c"]))


def test_fingerprint_tells_the_machine() -> None:
    fingerprint = latency.fingerprint(2)
    assert fingerprint["threads"] == 2
    assert fingerprint["cores"] == os.cpu_count()
    assert fingerprint["numpy"] == np.__version__
    assert fingerprint["cpu"] != ""
    assert json.loads(json.dumps(fingerprint)) == fingerprint


def test_says_what_is_wrong(models: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(LatencyError, match="control 'none' is none of short"):
        measure(Spec(models, "none"))
    with pytest.raises(LatencyError, match=r"affinity \[4095\]: this machine has the CPUs"):
        measure(Spec(models, "short", affinity=[4095]))
    free = chain(tmp_path / "free.onnx", 2, ("batch", "t", 64))
    with pytest.raises(LatencyError, match=r"free\.onnx: input x is .*but the first"):
        measure(Spec({"a": free}, "a"))
    with pytest.raises(LatencyError, match="processes = 1: an interval needs 2 or more"):
        measure(Spec(models, "short", processes=1))
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

    def without(command: list[str], **rest: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "onnxruntime", None)
            patch.setattr(sys, "stdin", io.StringIO(rest["input"].decode()))
            code = latency.main(command[-1:])
        words = capsys.readouterr().err.encode()
        return subprocess.CompletedProcess(command, code, b"", words)

    monkeypatch.setattr(subprocess, "run", without)
    assert latency.main(["--spec", str(spec)]) == 6
    assert "onnxruntime cannot be used: import of onnxruntime halted" in capsys.readouterr().err
    died = subprocess.CompletedProcess([], -11, b"", b"")
    monkeypatch.setattr(subprocess, "run", lambda *given, **rest: died)
    assert latency.main(["--spec", str(spec)]) == 1
    assert "spec.json: a process died with -11" in capsys.readouterr().err
