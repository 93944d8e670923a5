"""What each step of a chain is given: the artifacts that it names, the model, and those beside."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from edgekws.engine import chain_run
from edgekws.engine.chain import Done
from edgekws.engine.chain_run import ChainRun


@dataclass(frozen=True)
class Link:
    """As much of a step as the order of a chain is about."""

    name: str
    takes: str | None = "checkpoint"
    named_inputs: tuple[str, ...] = ()
    keeps: str = "nothing"
    also_takes: tuple[str, ...] = ()
    gives: str = "onnx"


CHAIN = (
    Link("teacher", takes=None),
    Link("other", takes=None),
    Link("distill", takes=None, named_inputs=("teacher", "other")),
    Link("to2d", named_inputs=("teacher",)),
    Link("quantize"),
)
BESIDE = (Link("stream", gives="stream"), Link("calibrate", also_takes=("stream",)))


def artifact(step: Link) -> Any:
    return SimpleNamespace(name=step.name, format=step.gives)


def test_a_step_gets_the_artifacts_it_names_and_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run_step(step: Link, inputs: dict[str, Any], context: Any, *, force: bool) -> Done:
        names = {role: f"of {given.name}" for role, given in inputs.items()}
        seen.append((step.name, names, force))
        return Done(artifact(step), {}, {}, 0.0, False)

    monkeypatch.setattr(chain_run, "run_step", run_step)
    chain: Any = ChainRun(object())  # type: ignore[arg-type]
    for step in (*CHAIN, *BESIDE):
        chain.run(step, force=step.name == "to2d")
    assert seen == [
        ("teacher", {}, False),
        ("other", {}, False),
        ("distill", {"teacher": "of teacher", "other": "of other"}, False),
        ("to2d", {"teacher": "of teacher", "input": "of distill"}, True),
        ("quantize", {"input": "of to2d"}, False),
        ("stream", {"input": "of quantize"}, False),
        ("calibrate", {"input": "of quantize", "stream": "of stream"}, False),
    ]
    assert list(chain.done) == [step.name for step in (*CHAIN, *BESIDE)]
    assert chain.beside("detection") is None


def test_a_model_is_proved_against_the_one_it_was_made_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        chain_run, "run_step", lambda step, *_, **__: Done(artifact(step), {}, {}, 0.0, False)
    )
    plains: list[bool] = []

    def measure(given: Any, keeps: str, parent: Any, context: Any, *, plain: bool) -> Any:
        plains.append(plain)
        return given.name, parent

    monkeypatch.setattr(chain_run, "measure", measure)
    chain: Any = ChainRun(object())  # type: ignore[arg-type]
    measured = []
    for step in CHAIN:
        chain.run(step)
        measured.append(chain.measure(step, plain=step.name == "to2d"))
    assert plains == [False, False, False, True, False]
    teacher, other, distill, to2d, quantize = measured
    assert (teacher, other, distill) == (("teacher", None), ("other", None), ("distill", None))
    assert to2d == ("to2d", distill)
    assert quantize == ("quantize", to2d) == chain.measured
