"""What each step of a chain is given: the artifacts that it names, and the newest."""

from dataclasses import dataclass
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


CHAIN = (
    Link("teacher", takes=None),
    Link("other", takes=None),
    Link("distill", takes=None, named_inputs=("teacher", "other")),
    Link("to2d", named_inputs=("teacher",)),
    Link("quantize"),
)


def test_a_step_gets_the_artifacts_it_names_and_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run_step(step: Link, inputs: dict[str, Any], bench: Any, *, force: bool) -> Done:
        seen.append((step.name, inputs, force))
        return Done(f"of {step.name}", {}, {}, 0.0, False)  # type: ignore[arg-type]

    monkeypatch.setattr(chain_run, "run_step", run_step)
    chain: Any = ChainRun(object())  # type: ignore[arg-type]
    for step in CHAIN:
        chain.run(step, force=step.name == "to2d")
    assert seen == [
        ("teacher", {}, False),
        ("other", {}, False),
        ("distill", {"teacher": "of teacher", "other": "of other"}, False),
        ("to2d", {"teacher": "of teacher", "input": "of distill"}, True),
        ("quantize", {"input": "of to2d"}, False),
    ]
    assert list(chain.done) == [step.name for step in CHAIN]


def test_a_model_is_proved_against_the_one_it_was_made_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        chain_run, "run_step", lambda step, *_, **__: Done(step.name, {}, {}, 0.0, False)
    )
    monkeypatch.setattr(
        chain_run, "measure", lambda artifact, keeps, parent, bench: (artifact, parent)
    )
    chain: Any = ChainRun(object())  # type: ignore[arg-type]
    measured = []
    for step in CHAIN:
        chain.run(step)
        measured.append(chain.measure(step))
    teacher, other, distill, to2d, quantize = measured
    assert (teacher, other, distill) == (("teacher", None), ("other", None), ("distill", None))
    assert to2d == ("to2d", distill)
    assert quantize == ("quantize", to2d) == chain.measured
