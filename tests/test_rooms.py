"""The house: a room imports only from rooms above it, and nothing goes round in circles."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edgekws"
ROOMS = (
    *("errors", "runtime", "core", "audio", "metrics", "backbones", "training", "lowering"),
    *(
        "synthesizers",
        "datasets",
        "quantizers",
        "codegen",
        "tflite",
        "targets",
        "recipe",
        "bundle",
        "exporters",
        "spotting",
        "steps",
        "engine",
    ),
    *("evaluation", "curation", "serving", "search", "report", "api", "cli"),
)
FAMILIES = ("synthesizers", "datasets", "backbones", "targets", "quantizers", "steps", "exporters")
FRONT_DOOR = ("edgekws", "edgekws.__main__", "edgekws.about")
"""Modules that stand in no room: what a notebook imports, the command, and the version."""

Imports = dict[str, set[str]]


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _imported(source: str) -> Iterator[str]:
    """Yield every module that `source` imports, also inside functions and for types only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from _from(node.module or "", [alias.name for alias in node.names])


def _from(module: str, names: list[str]) -> Iterator[str]:
    inside = [f"{module}.{name}" for name in names if f"{module}.{name}" in MODULES]
    yield from inside
    if len(inside) < len(names):
        yield module


def _read() -> Imports:
    return {
        name: set(_imported(path.read_text(encoding="utf-8"))) for name, path in MODULES.items()
    }


IMPORTS = _read()
DEVICE = {"numpy", "onnxruntime"} | {path.stem for path in (PACKAGE / "runtime").glob("[!_]*.py")}
"""What a file that ships to a device may import; in a bundle they lie side by side."""


def _room(module: str) -> str:
    return module.split(".")[1]


def _inside(imports: Imports) -> Iterator[tuple[str, str]]:
    """Yield every import of one room's module by another."""
    for module, targets in imports.items():
        for target in targets:
            rooms = target.startswith("edgekws.") and target not in FRONT_DOOR
            if rooms and module not in FRONT_DOOR:
                yield module, target


def looking_down(imports: Imports) -> list[str]:
    """Return the imports of a room by one above it."""
    return [
        f"{module} imports {target}"
        for module, target in _inside(imports)
        if ROOMS.index(_room(target)) > ROOMS.index(_room(module))
    ]


def between_members(imports: Imports) -> list[str]:
    """Return the imports of one member of a family by another."""
    return [
        f"{module} imports {target}"
        for module, target in _inside(imports)
        if _room(module) == _room(target)
        and _room(module) in FAMILIES
        and module != target
        and _is_member(target)
    ]


def _is_member(module: str) -> bool:
    parts = module.split(".")
    shared = parts[-1].startswith("_") or MODULES[module].name == "__init__.py"
    return len(parts) == 3 and not shared


def private(imports: Imports) -> list[str]:
    """Return the imports of a room's private module by another room."""
    return [
        f"{module} imports {target}"
        for module, target in _inside(imports)
        if _room(module) != _room(target) and any(p.startswith("_") for p in target.split("."))
    ]


def strangers(imports: Imports, room: str, allowed: set[str]) -> list[str]:
    """Return what a room imports of packages that it may not."""
    return [
        f"{module} imports {target}"
        for module, targets in imports.items()
        if module not in FRONT_DOOR and _room(module) == room
        for target in targets
        if target.partition(".")[0] not in allowed | sys.stdlib_module_names | {"edgekws"}
    ]


def at_terminals(imports: Imports) -> list[str]:
    """Return the imports of rich and typer outside of the command line."""
    return [
        f"{module} imports {target}"
        for module, targets in imports.items()
        if not module.startswith("edgekws.cli")
        for target in targets
        if target.partition(".")[0] in ("rich", "typer")
    ]


def test_every_module_was_read_and_has_a_room() -> None:
    on_disk = [path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts]
    assert len(IMPORTS) == len(on_disk) >= 100
    rooms = {_room(module) for module in MODULES if module not in FRONT_DOOR}
    assert rooms == set(ROOMS)
    assert sum(len(targets) for targets in IMPORTS.values()) > 300


def test_rooms_import_only_from_rooms_above() -> None:
    assert looking_down(IMPORTS) == []


def test_no_room_imports_a_private_module_of_another() -> None:
    assert private(IMPORTS) == []


def test_members_of_a_family_do_not_know_each_other() -> None:
    assert between_members(IMPORTS) == []


def test_no_import_goes_round() -> None:
    known = {module: targets & set(MODULES) - {module} for module, targets in IMPORTS.items()}
    order = list(TopologicalSorter(known).static_order())
    assert len(order) == len(MODULES)


def test_only_the_command_line_talks_to_a_terminal() -> None:
    assert at_terminals(IMPORTS) == []


def test_what_ships_to_a_device_needs_numpy_and_onnxruntime_only() -> None:
    assert strangers(IMPORTS, "runtime", DEVICE) == []


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("edgekws.core.job", "edgekws.engine.run"),
        ("edgekws.steps.distill", "edgekws.steps.teacher"),
        ("edgekws.runtime.detect", "torch"),
        ("edgekws.recipe.load", "rich.table"),
        ("edgekws.steps.quantize", "edgekws.lowering._simplify"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, target: str) -> None:
    imports: Imports = {module: {target}}
    found = (
        looking_down(imports)
        + between_members(imports)
        + private(imports)
        + at_terminals(imports)
        + strangers(imports, "runtime", DEVICE)
    )
    assert found == [f"{module} imports {target}"]


def test_imports_inside_functions_count() -> None:
    source = "def f():\n    from edgekws.cli import app\n    import rich.table as t\n"
    assert set(_imported(source)) == {"edgekws.cli.app", "rich.table"}


def test_help_imports_neither_torch_nor_onnx_nor_numpy_nor_wyoming() -> None:
    program = """
import sys
import edgekws.cli
sys.argv = ["edgekws", "--help"]
try:
    edgekws.cli.main()
except SystemExit as end:
    heavy = {"torch", "onnx", "onnxruntime", "numpy", "wyoming"} & set(sys.modules)
    print(sorted(heavy), end.code, len(sys.modules) > 50)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "compress" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "[] 0 True"
