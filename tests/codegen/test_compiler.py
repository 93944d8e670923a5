"""Which C compiler is taken."""

import shutil
from pathlib import Path

import pytest

from edgekws.codegen.compiler import found, required
from edgekws.errors import MachineError, MissingPartError


def test_the_one_asked_for_then_cc_then_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    monkeypatch.setenv("CC", "gcc -m64")
    compiler = found()
    assert compiler is not None
    assert compiler.command == ("gcc", "-m64")
    assert required("gcc").command == ("gcc",)
    monkeypatch.delenv("CC")
    assert found() is not None


def test_a_compiler_that_is_named_and_missing_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert found() is None
    with pytest.raises(MissingPartError, match="no-such-compiler"):
        required()


def test_an_error_of_the_compiler_is_named(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "a.c").write_text("int main(void) { return nothing; }\n")
    with pytest.raises(MachineError, match=r"gcc does not compile the C: .*nothing"):
        required("gcc").program(tmp_path, tmp_path / "a")
