"""Which source code a piece of work depends on: the part of a key that old results die by."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from pydantic import BaseModel

import edgekws


@cache
def _file(module: str) -> Path | None:
    """Return the source file of a module of this package, `None` if there is no such module.

    The module is not imported, nor are the packages above it.
    """
    path = Path(edgekws.__file__).parent.parent.joinpath(*module.split("."))
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield every module of this package that the code imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the sha256 of a module's source and the modules of this package it imports."""
    path = _file(module)
    assert path is not None, module
    code = path.read_bytes()
    names = {name for name in _imports(ast.parse(code)) if name.startswith("edgekws.")}
    found = tuple(sorted(name for name in names if _file(name)))
    return hashlib.sha256(code).hexdigest(), found


def closure(modules: Iterable[str]) -> dict[str, str]:
    """Return {module: sha256 of its source} of `modules` and all they import within the package."""
    todo, seen = list(modules), dict[str, str]()
    while todo:
        module = todo.pop()
        if module not in seen:
            seen[module], imported = _read(module)
            todo += imported
    return seen


def modules_of(fields: object) -> set[str]:
    """Return the modules that define `fields` and the family members nested in it."""
    if isinstance(fields, BaseModel):
        nested = (getattr(fields, name) for name in type(fields).model_fields)
        return {type(fields).__module__}.union(*(modules_of(value) for value in nested))
    if isinstance(fields, dict):
        fields = list(fields.values())
    if isinstance(fields, list | tuple):
        return set().union(*(modules_of(value) for value in fields))
    return set()
