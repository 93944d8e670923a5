"""The step `tune`: which form it ships, and why."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from edgekws.core import family
from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Format, Normalization
from edgekws.core.corpus import Examples
from edgekws.core.job import Job
from edgekws.core.latency_run import LatencyRun, ModelLatency
from edgekws.core.protocols import STEP, TARGET
from edgekws.errors import RecipeError
from edgekws.lowering import checkpoint, export, onnx_file, parity
from edgekws.metrics import graph
from edgekws.quantizers.onnxruntime import Quantizer
from edgekws.report._details import block
from edgekws.runtime.front_end import FrontEnd
from edgekws.steps import _forms
from edgekws.steps._forms import INPUT, NAIVE

FRONT_END = FrontEnd(window_s=0.272, n_mels=16)  # 25 frames
CONTRACT = Contract(
    FRONT_END, Normalization((0.0,) * 16, (1.0,) * 16), ("a", "b", "c"), (16, 25),
    {"kind": "inverted_bottleneck", "channels": 6, "blocks": 1, "head": 0},
)  # fmt: skip
CLIPS = np.random.default_rng(0).standard_normal((60, 16, 25)).astype(np.float32)
SLOW = 40.0
Built = dict[tuple[str, int | None], list[_forms.Form]]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The checkpoint, its INT8 model and its FP32 model, as artifacts by name."""
    folder = tmp_path_factory.mktemp("tune")
    torch.manual_seed(0)
    network = checkpoint.untrained(CONTRACT)
    checkpoint.save(network, CONTRACT, folder / "network.safetensors")
    lowered = export.export_lowered(network, CONTRACT)
    onnx_file.save(lowered, CONTRACT, folder / "float.onnx")
    int8 = Quantizer(kind="onnxruntime").quantize(lowered, CLIPS[:16], "minmax")
    onnx_file.save(int8, CONTRACT, folder / "int8.onnx")
    formats: dict[str, Format] = {
        "network.safetensors": "checkpoint",
        "float.onnx": "onnx",
        "int8.onnx": "onnx",
    }
    return {
        name.partition(".")[0]: Artifact(kind, folder / name, sha256_file(folder / name), CONTRACT)
        for name, kind in formats.items()
    }


class Clock:
    """Returns given latencies by form; every other form takes `SLOW`."""

    def __init__(
        self, p50_us: dict[str, float], *, level: bool = True, doubt: float = 0.01
    ) -> None:
        self.p50_us, self.level, self.doubt = p50_us, level, doubt
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, models: Any, control: str) -> LatencyRun:
        assert control == INPUT
        assert all(path.is_file() for path in models.values())
        self.asked.append(tuple(models))
        latencies = {name: self._latency(self.p50_us.get(name, SLOW)) for name in models}
        return LatencyRun(latencies, control, self.level, 1.0, (0.99, 1.01), 1, {"cpu": "a clock"})

    def _latency(self, us: float) -> ModelLatency:
        ratio = us / self.p50_us.get(INPUT, SLOW)
        ci95 = (us * (1 - self.doubt), us * (1 + self.doubt))
        between = (ratio * (1 - self.doubt), ratio * (1 + self.doubt))
        latency = ModelLatency(us, us, us, ci95, ci95, ci95, 100, ratio, between)
        return latency if self.level else replace(latency, ratio=None, ratio_ci95=None)


@pytest.fixture(scope="module")
def built() -> Built:
    """The forms built so far, by model and `max_params`: the exporter is slow."""
    return {}


@pytest.fixture
def tuned(
    artifacts: dict[str, Artifact], built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Run the step on a model with a clock; return its output and its events."""
    build = _forms.build

    def run(clock: Clock, model: str = "int8", **fields: Any) -> Any:
        def once(inputs: Any) -> list[_forms.Form]:
            key = (model, fields.get("max_params"))
            built[key] = built.get(key) or list(build(inputs))
            return built[key]

        monkeypatch.setattr(_forms, "build", once)
        targets = parity.logits(artifacts[model].path, CLIPS).argmax(axis=1)
        examples = Examples(CLIPS, targets, np.array([""] * 60), ("x",) * 60)
        data = SimpleNamespace(examples=lambda split: examples, calibration=lambda n: np.arange(16))
        events: list[Any] = []
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        job = Job(data, 7, "cpu", 1, folder, events.append, clock)
        step = STEP.validate_python({"kind": "tune", "fp32": "network", **fields})
        step = step.resolved(frozenset({"aarch64"}))
        output = step.run({"input": artifacts[model], "network": artifacts["network"]}, job)
        lines = {line["form"]: line for line in output.details["forms"]}
        return SimpleNamespace(
            path=output.path,
            details=output.details,
            lines=lines,
            events=[(event.kind, event.text) for event in events if event.kind != "progress"],
        )

    return run


def test_it_ships_the_fastest_form_that_may_be(
    tuned: Callable[..., Any], artifacts: dict[str, Artifact]
) -> None:
    fast = "INT8, Conv1d, channels last at the end"
    clock = Clock({fast: 30, "FP32": 20, "INT8, Conv1d": 33, "INT8 per tensor": 39})
    result = tuned(clock, max_params=2000)
    assert result.details["chosen"] == fast
    assert result.lines[fast]["verdict"] == "shipped"
    assert result.details["of_input"] == 30 / SLOW
    assert result.details["fastest_fp32"] == "FP32"
    assert result.details["of_fastest_fp32"] == 1.5
    parity.check(parity.logits(artifacts["int8"].path, CLIPS), parity.logits(result.path, CLIPS))
    assert onnx_file.load(result.path)[1] == CONTRACT
    assert {n.op_type for n in onnx_file.load(result.path)[0].graph.node} >= {"Transpose"}
    everything, last = clock.asked
    assert set(last) == {INPUT, NAIVE, fast, "INT8, Conv1d", "FP32"}
    assert set(everything) == {k for k, v in result.lines.items() if "p50_us" in v}
    (note,) = result.events
    assert note[0] == "note"
    assert re.search(r"INT8 buys size .* costs speed: 30.0 µs against 20.0 µs .*\(FP32\)", note[1])
    assert not (result.path.parent / "forms").exists()


def test_the_table_lists_every_form_and_why_it_is_not_shipped(
    tuned: Callable[..., Any],
) -> None:
    lines = tuned(Clock({}), max_drop=1.0, max_params=2000).lines
    assert set(lines) >= {
        INPUT, NAIVE, "FP32", "FP32, Conv1d", "FP32, ReduceMean", "INT8 per tensor",
        "INT8, Conv1d", "INT8, ReduceMean", "INT8, S8 activations", "INT8, padded channels",
    }  # fmt: skip
    assert lines["FP32"]["verdict"].startswith("0.0 % of the MACs run as INT8, min_int8_coverage")
    assert lines[NAIVE]["verdict"] == "it is the control"
    assert lines["INT8, Conv1d"]["nodes_run"] < lines[INPUT]["nodes_run"]
    assert lines["INT8, Conv1d"]["max_abs_diff"] == lines["INT8, padded channels"]["drop"] == 0
    tight = tuned(Clock({})).lines["INT8, padded channels"]
    assert tight["verdict"] == "not built: max_params is not set, so no parameters may be added"
    full = tuned(Clock({}), max_params=10).lines["INT8, padded channels"]
    assert re.fullmatch(r"not built: \d+ parameters are more than max_params = 10", full["verdict"])


def test_a_tie_goes_to_the_input_and_then_to_the_plainer_form(tuned: Callable[..., Any]) -> None:
    tie = tuned(Clock({"INT8, Conv1d": 39.8}))
    assert tie.details["chosen"] == INPUT
    both = Clock({"INT8, Conv1d": 30.2, "INT8, Conv1d, channels last at the end": 30.0})
    assert tuned(both).details["chosen"] == "INT8, Conv1d"


def test_on_a_busy_machine_the_input_stays_and_the_report_says_so(
    tuned: Callable[..., Any],
) -> None:
    result = tuned(Clock({"INT8, Conv1d": 10}, level=False))
    assert result.details["chosen"] == INPUT
    (line,) = result.details["shortfalls"]
    assert "the machine was too busy to choose by latency" in line
    assert ("warning", line) in result.events


def test_the_limits_of_accuracy_size_and_coverage(
    tuned: Callable[..., Any], artifacts: dict[str, Artifact]
) -> None:
    clock = Clock({"INT8 per tensor": 10, "FP32": 12})
    open_ended = tuned(clock, max_drop=1.0)
    assert open_ended.details["chosen"] == "INT8 per tensor"
    assert any("INT8 buys size" in text and "and speed" in text for _, text in open_ended.events)
    size = artifacts["float"].path.stat().st_size / 1024
    small = tuned(clock, max_drop=1.0, max_size_kib=0.001)
    assert small.details["chosen"] == INPUT
    (line,) = small.details["shortfalls"]
    assert re.search(r"no form may be shipped; .* KiB, max_size_kib = 0.001", line)
    in_float = tuned(clock, max_drop=0.05, min_int8_coverage=0, max_size_kib=size)
    assert in_float.details["chosen"] in ("FP32", "INT8 per tensor")


def test_of_an_fp32_model_int8_is_built_as_well(
    tuned: Callable[..., Any], artifacts: dict[str, Artifact]
) -> None:
    result = tuned(Clock({"FP32": 12}), model="float", min_int8_coverage=0)
    assert result.details["chosen"] == "FP32"
    assert result.details["int8_buys"] == "FP32 is shipped"
    assert result.events == []
    assert set(result.lines) >= {"INT8", "INT8, Conv1d", "INT8 per tensor", "input, Conv1d"}
    per_channel = tuned(Clock({"INT8, Conv1d": 12}), model="float", max_drop=1.0)
    assert per_channel.details["chosen"] == "INT8, Conv1d"
    assert graph.int8_coverage(onnx_file.load(per_channel.path)[0]) == 1


def test_a_form_that_computes_something_else_is_not_shipped(
    tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekws.lowering import forms

    def broken(model: Any) -> Any:
        other = forms.channels_last_end(model)
        largest = max(other.graph.initializer, key=lambda i: len(i.raw_data))
        largest.raw_data = bytes(len(largest.raw_data))
        return other

    monkeypatch.setattr(forms, "conv1d", broken)
    result = tuned(Clock({"INT8, Conv1d": 1}), max_drop=1.0, max_params=1)
    verdict = result.lines["INT8, Conv1d"]["verdict"]
    assert re.match(
        r"its logits differ by \S+ from those of 'input', which it must reproduce", verdict
    )
    assert result.details["chosen"] != "INT8, Conv1d"


def test_the_network_must_be_the_one_of_the_model(
    tuned: Callable[..., Any], artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    other = replace(CONTRACT, architecture={"kind": "plain", "variant": "microcnn"})
    path = tmp_path / "other.safetensors"
    checkpoint.save(checkpoint.untrained(other), other, path)
    artifacts = artifacts | {"network": Artifact("checkpoint", path, sha256_file(path), other)}
    step = STEP.validate_python({"kind": "tune", "fp32": "network"})
    unread: Any = None
    job = Job(unread, 7, "cpu", 1, tmp_path, lambda event: None)
    with pytest.raises(RecipeError, match='"network" is not the network the model was'):
        step.run({"input": artifacts["int8"], "network": artifacts["network"]}, job)


def test_the_target_decides_the_range() -> None:
    step: Any = family.load("Step", "tune")
    assert step(fp32="a").resolved(frozenset({"x86_64", "avx2"})).reduce_range is True
    assert step(fp32="a").resolved(frozenset({"aarch64"})).reduce_range is False
    explicit = step(fp32="a", reduce_range=False).resolved(frozenset({"x86_64"}))
    assert explicit.reduce_range is False
    assert (step(fp32="a").named_inputs, step(fp32="a").times_on_target) == (("a",), True)


def test_the_report_shows_the_table(tuned: Callable[..., Any]) -> None:
    shown = block("tune", tuned(Clock({})).details)
    (table,) = [inner for inner in shown.inner if inner.title == "forms"]
    assert table.kind == "table"
    assert "of input" in table.columns
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_on_this_host(tuned: Callable[..., Any]) -> None:
    target = TARGET.validate_python({"kind": "host", "seconds": 0.2, "warmup": 2})
    result = tuned(target.measure, max_drop=1.0)
    assert all(line["p50_us"] > 0 for line in result.lines.values() if "p50_us" in line)
    assert result.details["host"]["onnxruntime"]
    assert result.details["chosen"] in result.lines
