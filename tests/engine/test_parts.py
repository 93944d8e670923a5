"""What is said of a package that is not there."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgekws.engine import parts
from edgekws.errors import MissingPartError


def raised(code: str, module: str = "__main__") -> ModuleNotFoundError:
    """Return what the import in `code` raises when the module of that name runs it."""
    try:
        exec(code, {"__name__": module})  # noqa: S102 the frame's module is what is tested
    except ModuleNotFoundError as error:
        return error
    raise AssertionError(code)


def told(error: ModuleNotFoundError) -> str:
    part = parts.missing_part(error)
    assert isinstance(part, MissingPartError)
    assert part.exit_code == 6
    return str(part)


def test_the_packages_are_those_of_the_project_file() -> None:
    names = {r.name for r in parts.requirements()}
    assert {"torch", "onnxsim", "espeakng-loader", "neural-compressor", "packaging"} <= names
    assert "pytest" not in names


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("neural_compressor", "pip install 'neural-compressor[pt]>="),
        ("sklearn", "pip install 'scikit-learn>="),
        ("espeakng_loader", "pip install 'espeakng-loader>="),
    ],
)
def test_a_package_that_is_not_there_is_named_with_its_pip_line(
    module: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    assert line in told(error)
    assert "is not installed, and this needs it" in told(error)


def test_a_distribution_that_is_not_there_is_named_too() -> None:
    assert "pip install 'soundfile>=" in told(PackageNotFoundError("soundfile"))


def test_a_module_that_another_version_had_is_told_as_such() -> None:
    error = raised("import numpy.no_such_part")
    assert told(error).startswith(
        f"numpy {version('numpy')} has no module numpy.no_such_part; install another version"
    )


def test_what_a_package_lacks_comes_with_that_package() -> None:
    error = raised("import no_such_package", "onnxscript.values")
    assert "onnxscript has a missing dependency (No module named 'no_such_package')" in told(error)
    assert "pip install 'onnxscript>=" in told(error)


def test_a_module_of_our_own_that_is_not_there_is_a_bug() -> None:
    assert parts.missing_part(raised("import edgekws.no_such_room", "edgekws.cli.app")) is None
    assert parts.missing_part(raised("import no_such_package", "edgekws.cli.app")) is None
    beneath = "exec('import edgekws.no_such_room', {'__name__': 'edgekws.cli.app'})"
    assert parts.missing_part(raised(beneath, "typer.main")) is None


def test_without_metadata_and_project_file_there_is_a_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(parts, "requires", none)
    monkeypatch.setattr(parts, "PACKAGE", tmp_path / "edgekws")
    parts.requirements.cache_clear()
    with pytest.raises(MissingPartError, match="has lost its own metadata; install it again"):
        parts.requirements()
    parts.requirements.cache_clear()


def test_the_metadata_is_asked_first_and_extras_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["torch>=2", 'pytest>=8; extra == "dev"', 'pywin32; sys_platform == "win32"']
    monkeypatch.setattr(parts, "requires", lambda name: lines)
    parts.requirements.cache_clear()
    assert parts.requirements() == (Requirement("torch>=2"),)
    parts.requirements.cache_clear()
