"""Families of members by module name, shown on a family made for the test."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edgekws.core import family

MEMBER = """
from typing import Literal
from edgekws.core.fields import Fields
class Fruit(Fields):
    kind: Literal["{kind}"] = "{kind}"
    grams: int = 1
"""


@pytest.fixture
def fruits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A family `Fruit` with the members `apple` and `pear`, and the annotation of a field."""
    package = tmp_path / "orchard"
    package.mkdir()
    for name in ("__init__", "_shared"):
        (package / f"{name}.py").write_text("")
    for kind in ("pear", "apple"):
        (package / f"{kind}.py").write_text(MEMBER.format(kind=kind))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(family.FAMILIES, "Fruit", "orchard")
    family.kinds.cache_clear()
    yield TypeAdapter(Annotated[Any, family.MemberOf("Fruit")])
    family.kinds.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "orchard"]:
        del sys.modules[name]


def test_members_are_modules_without_underscore(fruits: TypeAdapter[Any]) -> None:
    assert family.kinds("Fruit") == ("apple", "pear")


def test_only_the_named_member_is_imported(fruits: TypeAdapter[Any]) -> None:
    pear = fruits.validate_python({"kind": "pear", "grams": 3})
    assert (pear.kind, pear.grams) == ("pear", 3)
    assert fruits.validate_python(pear) is pear
    assert fruits.dump_python(pear) == {"kind": "pear", "grams": 3}
    assert "orchard.apple" not in sys.modules


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "aple"}, "no fruit is called 'aple'; did you mean apple"),
        ({"kind": "zzz"}, "no fruit is called 'zzz'; known: apple, pear"),
        ({"kind": "_shared"}, "no fruit is called '_shared'"),
        ({"kind": 3}, "no fruit is called 3"),
        ({}, '"kind" is missing; known: apple, pear'),
        ("apple", 'expected a table with a "kind"'),
    ],
)
def test_wrong_tables(fruits: TypeAdapter[Any], value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        fruits.validate_python(value)


def test_errors_inside_a_member_are_carried(fruits: TypeAdapter[Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        fruits.validate_python({"kind": "apple", "grams": "heavy", "colour": "red"})
    (error,) = caught.value.errors()
    assert error["type"] == "member"
    assert [inner["loc"] for inner in error["ctx"]["errors"]] == [("grams",), ("colour",)]


def test_load_of_no_member(fruits: TypeAdapter[Any]) -> None:
    with pytest.raises(KeyError, match="plum"):
        family.load("Fruit", "plum")
