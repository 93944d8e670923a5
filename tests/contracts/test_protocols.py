"""Every member of every family has what its protocol asks for: by mypy, and by looking at it."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from edgekws.core import protocols
from edgekws.core.family import FAMILIES, kinds, load
from edgekws.core.fields import Fields

ROOT = Path(__file__).parents[2]
MEMBERS = [(family, kind) for family in FAMILIES for kind in kinds(family)]

every_member = pytest.mark.parametrize(("family", "kind"), MEMBERS)


def asked(family: str) -> dict[str, Any]:
    """Return what the protocol of a family names, those that it extends included."""
    found: dict[str, Any] = {}
    for one in reversed(getattr(protocols, family).__mro__):
        if getattr(one, "_is_protocol", False):
            found |= {name: value for name, value in vars(one).items() if name[0] != "_"}
    return found


def lacks(family: str, member: type[Any]) -> list[str]:
    """Return what a member lacks of its protocol, and the methods that take something else."""
    found = []
    for name, wanted in asked(family).items():
        own = getattr(member, name, member.model_fields.get(name))
        if own is None:
            found.append(name)
        elif callable(wanted) and not set(parameters(wanted)) <= set(parameters(own)):
            found.append(f"{name}({', '.join(parameters(wanted))})")
    return found


def parameters(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)


def refused(lines: str, folder: Path) -> str:
    """Return what mypy says of a module in `folder`; empty where nothing."""
    (folder / "members.py").write_text(lines)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(folder / "members.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout


def test_every_family_has_a_protocol() -> None:
    for family in FAMILIES:
        assert {"kind", "model_dump"} < set(asked(family)), family
    assert {"run", "takes", "gives", "keeps", "named_inputs"} < set(asked("Step"))


@every_member
def test_a_member_has_what_its_protocol_asks_for(family: str, kind: str) -> None:
    member = load(family, kind)
    assert member.__name__ == family
    assert issubclass(member, Fields)
    assert member.__doc__
    assert lacks(family, member) == []


def test_mypy_agrees_for_every_member(tmp_path: Path) -> None:
    lines = ["from edgekws.core import protocols"]
    for number, (family, kind) in enumerate(MEMBERS):
        lines.append(f"from {FAMILIES[family]}.{kind} import {family} as Member{number}")
        lines.append(f"_{number}: type[protocols.{family}] = Member{number}")
    assert refused("\n".join(lines), tmp_path) == ""


class Step(Fields):
    """A step that does nothing."""

    kind: Literal["idle"] = "idle"
    name: str = "idle"
    budget: ClassVar[dict[str, float]] = {}
    keeps: ClassVar[str] = "exact"


INCOMPLETE = """
from typing import Literal
from edgekws.core import protocols
from edgekws.core.fields import Fields
class Member(Fields):
    kind: Literal["idle"] = "idle"
member: type[protocols.{family}] = Member
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_an_incomplete_member_is_refused(family: str) -> None:
    class Member(Fields):
        kind: Literal["idle"] = "idle"

    assert lacks(family, Member)


def test_a_step_that_does_nothing_is_refused() -> None:
    missing = ["times_on_target", "listens", "takes", "also_takes", "teacher_formats", "gives"]
    missing += ["named_inputs", "fingerprint", "resolved", "for_budget", "run"]
    assert lacks("Step", Step) == missing


def test_mypy_refuses_incomplete_members(tmp_path: Path) -> None:
    lines = "".join(INCOMPLETE.format(family=family) for family in FAMILIES)
    for number in range(len(FAMILIES)):  # one name for each, as mypy knows a name but once
        lines = lines.replace("class Member(", f"class Member{number}(", 1)
        lines = lines.replace("\nmember: type", f"\nmember{number}: type", 1)
        lines = lines.replace("= Member\n", f"= Member{number}\n", 1)
    said = refused(lines, tmp_path)
    assert said.count("Incompatible types in assignment") == len(FAMILIES), said
