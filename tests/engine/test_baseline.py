"""The control of a chain: the last network that was trained, and the fastest form of it in FP32."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekws.core.events import quiet
from edgekws.core.latency_run import LatencyRun, ModelLatency
from edgekws.engine.baseline import Baseline, against_fp32
from edgekws.engine.measure import Measured
from edgekws.lowering import forms

TRAINED = {"gives": "checkpoint", "keeps": "retrained"}
TEACHER = SimpleNamespace(name="teacher", kind="teacher", **TRAINED)
STUDENT = SimpleNamespace(name="student", kind="distill", **TRAINED)
EXACT = SimpleNamespace(name="flat", kind="to2d", gives="checkpoint", keeps="exact")
RETRAINED = SimpleNamespace(name="flat", kind="to2d", **TRAINED)
MINE = SimpleNamespace(name="mine", kind="mine", **TRAINED)
QUANTIZE = SimpleNamespace(name="quantize", kind="quantize", gives="onnx", keeps="quantized")


class Target:
    """Takes for a model's latency in µs what its file's name says."""

    def __init__(self, *, level: bool = True, luck: str = "") -> None:
        self.level, self.luck, self.seen = level, luck, list[set[str]]()

    def model_dump(self, mode: str) -> dict[str, str]:
        return {"kind": "host"}

    def fingerprint(self) -> dict[str, str]:
        return {"cpu": "made up"}

    def measure(self, models: Mapping[str, Path], control: str) -> LatencyRun:
        self.seen.append(set(models))
        p50 = {name: float(path.stem.split()[-1]) for name, path in models.items()}
        if self.luck in p50 and len(models) > 2:
            p50[self.luck] = 1.0
        return LatencyRun(
            {name: self._one(us, us / p50[control]) for name, us in p50.items()},
            *(control, self.level, 1.0, (0.99, 1.01), 1, {}),
        )

    def _one(self, us: float, ratio: float) -> ModelLatency:
        bounds = (0.99 * us, 1.01 * us)
        built = ModelLatency(us, us, us, bounds, bounds, bounds, 100, ratio, (ratio - 0.01, ratio))
        return built if self.level else replace(built, ratio=None, ratio_ci95=None)


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """Return what makes the forms of a network, each of a latency and of a size of its own."""

    def measured(step: str, plain_us: float, lowered_us: float) -> Measured:
        built = {}
        for name, us in ((forms.PLAIN, plain_us), ("FP32", lowered_us)):
            built[name] = tmp_path / f"{step} {name} {us}.onnx"
            built[name].write_bytes(f"{step} {name}".encode() * 100)
        return Measured(built["FP32"], built[forms.PLAIN], built, tmp_path, (), {})

    return measured


def baseline(tmp_path: Path, steps: list[Any], target: Target | None = None) -> Baseline:
    context: Any = SimpleNamespace(target=target or Target(), cache=tmp_path / "cache", emit=quiet)
    return Baseline(steps, context)


def test_an_exact_conversion_is_no_training(tmp_path: Path, files: Any) -> None:
    chain = baseline(tmp_path, [TEACHER, STUDENT, EXACT, QUANTIZE])
    chain.add(TEACHER, {}, files("teacher", 50, 40))
    assert chain.control is None  # the student is still to be trained
    student = files("student", 20, 21)
    chain.add(STUDENT, {}, student)
    assert chain.control == student.naive
    chain.add(EXACT, {"mode": "exact"}, files("flat", 60, 19))
    onnx_only = replace(student, naive=None, forms={})
    chain.add(QUANTIZE, {}, onnx_only)
    assert chain.control == student.naive
    assert chain.description == "the plain FP32 export of student"
    assert not chain.retrained
    result = chain.references()
    assert (result.control, result.fastest) == ("student: FP32, plain export", "flat: FP32")
    assert result.run.models["model"].ratio == 19 / 20


def test_a_conversion_that_is_found_to_be_exact_is_none_either(tmp_path: Path, files: Any) -> None:
    chain = baseline(tmp_path, [STUDENT, RETRAINED])
    student = files("student", 20, 21)
    chain.add(STUDENT, {}, student)
    assert chain.control is None  # whether `flat` trains is known once it has run
    chain.add(RETRAINED, {"mode": "exact"}, files("flat", 60, 19))
    assert chain.control == student.naive
    assert not chain.retrained


@pytest.mark.parametrize(
    ("steps", "needed"),
    [
        ([TEACHER, STUDENT, EXACT, QUANTIZE], ["student", "flat", "quantize"]),
        ([TEACHER, STUDENT, RETRAINED], ["student", "flat"]),  # `flat` may turn out to be exact
        ([TEACHER, STUDENT, EXACT, MINE], ["mine"]),
        ([TEACHER], ["teacher"]),
    ],
)
def test_a_plain_export_before_another_training_is_not_needed(
    tmp_path: Path, steps: list[Any], needed: list[str]
) -> None:
    chain = baseline(tmp_path, steps)
    assert [step.name for step in steps if chain.may_need(step)] == needed


@pytest.mark.parametrize("last", [RETRAINED, MINE])
def test_what_trains_last_gives_the_control(tmp_path: Path, files: Any, last: Any) -> None:
    chain = baseline(tmp_path, [STUDENT, EXACT, last])
    chain.add(STUDENT, {}, files("student", 20, 21))
    chain.add(EXACT, {"mode": "exact"}, files("flat", 60, 19))
    trained = files("last", 61, 18)
    chain.add(last, {"mode": "initialised"}, trained)
    assert chain.control == trained.naive
    assert chain.retrained
    assert set(chain.references().forms) == {
        f"{last.name}: FP32, plain export",
        f"{last.name}: FP32",
    }


def test_a_form_that_was_only_lucky_is_not_the_fastest(tmp_path: Path, files: Any) -> None:
    target = Target(luck="flat: FP32")
    chain = baseline(tmp_path, [STUDENT, EXACT], target)
    chain.add(STUDENT, {}, files("student", 20, 22))
    chain.add(EXACT, {"mode": "exact"}, files("flat", 60, 21))
    result = chain.references()
    assert result.fastest == result.control == "student: FP32, plain export"
    assert [len(seen) for seen in target.seen] == [4, 2]
    chain.references()
    assert len(target.seen) == 2, "cached"


@pytest.mark.parametrize(
    ("us", "size", "said"),
    [
        (26, 10, "INT8 buys size (0.00977 KiB instead of 1.37 KiB) and not speed: 26.0 µs, "),
        (9, 10, "INT8 buys size (0.00977 KiB instead of 1.37 KiB) and speed: 9.00 µs, "),
        (26, 4096, "INT8 buys no size (4.00 KiB instead of 1.37 KiB) and no speed: 26.0 µs, "),
    ],
)
def test_says_what_int8_buys(
    tmp_path: Path, files: Any, us: int, size: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx.load", lambda path: path)
    monkeypatch.setattr("edgekws.metrics.graph.int8_coverage", lambda model: 1.0)
    chain = baseline(tmp_path, [STUDENT, EXACT])
    student, flat = files("student", 20, 21), files("flat", 60, 10)
    chain.add(STUDENT, {}, student)
    chain.add(EXACT, {"mode": "exact"}, flat)
    model = tmp_path / f"int8 {us}.onnx"
    model.write_bytes(bytes(size))
    flat.model.write_bytes(b"f" * 1400)
    run = chain.latency(model, chain.control or Path())
    reported = against_fp32(model, run, chain.references(), chain)
    (sentence,) = reported.sentences
    assert sentence.startswith(said)
    assert f"{us / 10:.3f} × [{us / 10 - 0.01:.3f}, {us / 10:.3f}] that of the fastest FP32" in (
        sentence
    )
    assert "(flat: FP32, 10.0 µs)" in sentence
    assert f"{us / 20:.3f} × " in sentence
    assert "the plain FP32 export of student (20.0 µs)" in sentence
    assert reported.details["of_fastest_fp32"] == us / 10
    assert reported.details["fastest_fp32_p50_us"] == 10


def test_after_a_training_in_2d_the_fastest_form_is_what_to_quote(
    tmp_path: Path, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx.load", lambda path: path)
    monkeypatch.setattr("edgekws.metrics.graph.int8_coverage", lambda model: 0.0)
    chain = baseline(tmp_path, [STUDENT, RETRAINED])
    chain.add(STUDENT, {}, files("student", 20, 21))
    flat = files("flat", 60, 15)
    chain.add(RETRAINED, {"mode": "initialised"}, flat)
    run = chain.latency(flat.model, chain.control or Path())
    reported = against_fp32(flat.model, run, chain.references(), chain)
    assert reported.sentences[0].startswith("latency in FP32: 15.0 µs, 1.000 × ")
    assert reported.sentences[1].endswith("the fastest FP32 form, 1.000 × [0.990, 1.000]")


def test_a_busy_machine_gives_no_ratio(
    tmp_path: Path, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx.load", lambda path: path)
    monkeypatch.setattr("edgekws.metrics.graph.int8_coverage", lambda model: 1.0)
    chain = baseline(tmp_path, [STUDENT], Target(level=False))
    student = files("student", 20, 10)
    chain.add(STUDENT, {}, student)
    run = chain.latency(student.model, chain.control or Path())
    (sentence,) = against_fp32(student.model, run, chain.references(), chain).sentences
    assert sentence.count("no ratio, the machine was too busy") == 2
    assert "and speed" not in sentence
