"""What every target must be, whichever it is."""

import dataclasses
import inspect
import json
from typing import Any, get_type_hints

import pytest

from edgekws.codegen import board, compiler
from edgekws.core.family import kinds, load
from edgekws.core.fields import Fields
from edgekws.core.latency_run import LatencyRun

KINDS = kinds("Target")


def test_there_are_targets() -> None:
    assert "host" in KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_table_of_the_recipe(kind: str) -> None:
    target = load("Target", kind)
    assert issubclass(target, Fields)
    assert target.model_fields["kind"].default == kind
    assert target.__doc__


@pytest.mark.parametrize("kind", KINDS)
def test_measures_models_against_a_control(kind: str) -> None:
    target: Any = load("Target", kind)
    assert list(inspect.signature(target.measure).parameters) == ["self", "models", "control"]
    assert get_type_hints(target.measure)["return"] is LatencyRun
    assert dataclasses.is_dataclass(LatencyRun)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_in_the_fingerprint(kind: str) -> None:
    """A latency is kept for as long as the fingerprint is the same."""
    target = load("Target", kind)
    required = [name for name, field in target.model_fields.items() if field.is_required()]
    if required:
        pytest.skip(f"{kind} cannot be made without {', '.join(required)}")
    if kind == "c_host" and compiler.found() is None:
        pytest.skip("gcc is not installed")
    if kind == "cortex_m" and board.missing():
        pytest.skip("gcc-arm-none-eabi or qemu-system-arm is not installed")
    made: Any = target()
    told = made.fingerprint()
    assert told == made.fingerprint()
    assert json.loads(json.dumps(told)) == told
    assert set(told["target"]) == set(target.model_fields)
