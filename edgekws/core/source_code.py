"""The source code that a result depends on: the part of a cache key that outdates old results."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from edgekws.about import PACKAGE
from edgekws.core.canonical import sha256_of


@cache
def _file(module: str) -> Path | None:
    """Return the source file of a module of this package, or `None` if there is no such module.

    Neither the module nor its parent packages are imported.
    """
    path = PACKAGE.parent.joinpath(*module.split("."))
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


_IMPORT = re.compile(
    rb"^[ \t]*(?:from (edgekws[\w.]*) import (?:\(([^)]*)\)|(.*))|import (edgekws\.[\w.]+))", re.M
)
"""Reads 200 files in milliseconds, where parsing them would take seconds of every command."""


def _imports(code: bytes) -> Iterator[str]:
    """Yield every module of this package that the code imports, inside functions too."""
    for match in _IMPORT.finditer(code):
        module, *names, alone = ((part or b"").decode() for part in match.groups())
        if alone or module != "edgekws":
            yield alone or module
        yield from (f"{module}.{name}" for part in names for name in re.findall(r"\w+", part))


def _named_files(code: bytes, folder: Path) -> Iterator[Path]:
    """Yield the templates and other non-Python files in `folder` that the code names."""
    for path in sorted(folder.iterdir()):
        if path.suffix not in ("", ".py") and f'"{path.name}"'.encode() in code:
            yield path


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the sha256 of a module's source, and the modules of this package that it imports.

    Files beside the module that it names, such as a template or a C kernel, count as source.
    """
    path = _file(module)
    assert path is not None, module
    code = path.read_bytes()
    imported = tuple(sorted(name for name in set(_imports(code)) if _file(name)))
    content = hashlib.sha256(code)
    for file in _named_files(code, path.parent):
        content.update(file.read_bytes())
    return content.hexdigest(), imported


def closure(modules: Iterable[str]) -> dict[str, str]:
    """Return {module: sha256 of its source} for `modules` and their imports within the package."""
    todo, seen = list(modules), dict[str, str]()
    while todo:
        module = todo.pop()
        if module not in seen:
            seen[module], imported = _read(module)
            todo += imported
    return seen


def fingerprint(module: str, libraries: Sequence[str] = ()) -> str:
    """Return a sha256 of the `closure` of `module` and the versions of `libraries`.

    Raises:
        importlib.metadata.PackageNotFoundError: one of `libraries` is not installed.
    """
    return sha256_of([closure([module]), {name: version(name) for name in libraries}])


@cache
def whole_package() -> str:
    """Return a sha256 of every file of the package except bytecode."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    content = hashlib.sha256()
    for file in sorted(files):
        content.update(file.relative_to(PACKAGE).as_posix().encode())
        content.update(file.read_bytes())
    return content.hexdigest()


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
