"""The names of the members of every family, listed without importing them."""

import ast
import difflib
from functools import cache
from importlib import import_module
from pathlib import Path

FAMILIES = {
    "Backbone": "edgekws.backbones",
    "Dataset": "edgekws.datasets",
    "Exporter": "edgekws.exporters",
    "Quantizer": "edgekws.quantizers",
    "Step": "edgekws.steps",
    "Synthesizer": "edgekws.synthesizers",
    "Target": "edgekws.targets",
}


@cache
def kinds(family: str) -> tuple[str, ...]:
    """Return the sorted names of the members of `family`; only the package itself is imported.

    >>> "bcresnet" in kinds("Backbone")
    True
    """
    return tuple(sorted(p.stem for p in _folder(family).glob("*.py") if not p.stem.startswith("_")))


def summary(family: str, kind: str) -> str:
    """Return the first docstring line of a member's module, without importing it.

    >>> summary("Exporter", "zip")
    'The bundle as a zip archive.'
    """
    source = (_folder(family) / f"{kind}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def _folder(family: str) -> Path:
    return Path(import_module(FAMILIES[family]).__path__[0])


def closest(name: str, names: tuple[str, ...]) -> str:
    """Return `; did you mean …?` for the nearest of `names`, or the list of them.

    >>> closest("bcresnt", ("bcresnet", "plain"))
    '; did you mean bcresnet?'
    >>> closest("zzz", ("bcresnet", "plain"))
    '; known: bcresnet, plain'
    """
    match = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {match[0]}?" if match else f"; known: {', '.join(names)}"
