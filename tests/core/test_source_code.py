import ast
from pathlib import Path

import pytest

from edgekws.about import PACKAGE
from edgekws.core import source_code
from edgekws.core.family import load
from edgekws.core.source_code import _file, _imports, closure, fingerprint, modules_of


def test_imports_inside_functions_count() -> None:
    code = b"import edgekws.b\ndef f():\n    from edgekws.d import (  # why\n  e,\n  f,\n)"
    assert set(_imports(code)) >= {"edgekws.b", "edgekws.d", "edgekws.d.e", "edgekws.d.f"}
    assert set(_imports(b"from edgekws import api")) == {"edgekws.api"}


def test_imports_are_those_of_the_syntax_tree() -> None:
    for path in PACKAGE.rglob("*.py"):
        parsed = set()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                parsed |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                parsed |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        modules = {name for name in parsed if name.startswith("edgekws.") and _file(name)}
        assert {name for name in _imports(path.read_bytes()) if _file(name)} == modules, path


def test_closure_holds_what_is_imported_at_any_depth() -> None:
    modules = closure(["edgekws.engine.measure"])
    # measure → lowering.parity (in a function) → core.contract → runtime.front_end
    assert {"edgekws.lowering.parity", "edgekws.runtime.front_end"} <= set(modules)
    assert not any(name.startswith("edgekws.cli") for name in modules)


def test_closure_grows_with_what_it_starts_from() -> None:
    small = closure(["edgekws.core.canonical"])
    assert set(small) == {"edgekws.core.canonical"}
    assert set(small) < set(closure(["edgekws.core.canonical", "edgekws.core.contract"]))


def test_modules_of_a_step_hold_the_members_nested_in_it() -> None:
    step = load("Step", "teacher")(backbone={"kind": "plain"})
    assert {"edgekws.steps.teacher", "edgekws.backbones.plain"} <= modules_of(step)
    assert "edgekws.backbones.resnet18" not in modules_of(step)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a package of one module and a template, which it names."""
    folder = tmp_path / "edgekws"
    folder.mkdir()
    (folder / "page.py").write_text('TEMPLATE = "page.html"\n')
    (folder / "page.html").write_text("a")
    (folder / "other.html").write_text("a")
    monkeypatch.setattr(source_code, "PACKAGE", folder)
    for cached in (source_code._file, source_code._read, source_code.whole_package):
        monkeypatch.setattr(source_code, cached.__name__, cached.__wrapped__)
    return folder


@pytest.mark.parametrize(("edited", "changes"), [("page.html", True), ("other.html", False)])
def test_a_template_counts_where_it_is_named(package: Path, edited: str, changes: bool) -> None:
    before = fingerprint("edgekws.page"), source_code.whole_package()
    (package / edited).write_text("b")
    after = fingerprint("edgekws.page"), source_code.whole_package()
    assert (before[0] != after[0], before[1] != after[1]) == (changes, True)


def test_a_fingerprint_holds_the_versions_of_libraries() -> None:
    alone = fingerprint("edgekws.core.canonical")
    assert alone == fingerprint("edgekws.core.canonical")
    assert alone != fingerprint("edgekws.core.canonical", ("numpy",))


def test_the_template_of_a_recipe_is_source() -> None:
    code = Path(PACKAGE, "recipe", "template.py").read_bytes()
    files = source_code._named_files(code, PACKAGE / "recipe")
    assert [path.name for path in files] == ["template.toml.jinja"]


@pytest.mark.parametrize("module", ["edgekws.targets.c_host", "edgekws.spotting.c_detector"])
def test_every_kernel_in_c_is_source_of_what_compiles_it(module: str) -> None:
    assert "edgekws.runtime.c" in closure([module])
    folder = PACKAGE / "runtime" / "c"
    code = (folder / "__init__.py").read_bytes()
    files = {path for path in folder.iterdir() if path.suffix not in ("", ".py")}
    assert set(source_code._named_files(code, folder)) == files
