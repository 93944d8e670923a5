"""The packages that edgekws requires: their version ranges, and errors for missing ones."""

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from types import TracebackType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgekws.about import PACKAGE
from edgekws.errors import MissingPartError

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Distributions of import names that differ from them."""


@cache
def requirements() -> tuple[Requirement, ...]:
    """Return the package's requirements: from its metadata, or in a checkout from pyproject.toml.

    Raises:
        MissingPartError: neither exists.
    """
    try:
        lines = requires("edgekws") or []
    except PackageNotFoundError as error:
        project = PACKAGE.parent / "pyproject.toml"
        if not project.is_file():
            raise MissingPartError(
                "edgekws has lost its own metadata; install it again with pip"
            ) from error
        lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    parsed = (Requirement(line) for line in lines)
    return tuple(r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""}))


def installed(requirement: Requirement) -> str | None:
    """Return the installed version of a requirement, `None` if it is not installed."""
    try:
        return version(requirement.name)
    except PackageNotFoundError:
        return None


def pip_line(requirement: Requirement) -> str:
    """Return the command that installs a requirement.

    >>> pip_line(Requirement("neural-compressor[pt]>=3.8"))
    "pip install 'neural-compressor[pt]>=3.8'"
    """
    return f"pip install '{requirement}'"


def missing_part(error: ModuleNotFoundError) -> MissingPartError | None:
    """Return an error naming the missing package and its install command, `None` if unrelated.

    If a required package lacks one of its own dependencies, the command names that package, so
    that pip installs the dependency. `error` may also be a `PackageNotFoundError`, which names a
    distribution.
    """
    known: dict[str, Requirement] = {canonicalize_name(r.name): r for r in requirements()}
    module = error.name or ""
    part = known.get(_distribution(module))
    if part is not None and "." in module:
        return MissingPartError(
            f"{part.name} {installed(part)} has no module {module}; install another version with: "
            f"{pip_line(part)}"
        )
    if part is not None:
        return MissingPartError(
            f"{part.name} is not installed, and this needs it; install it with: {pip_line(part)}"
        )
    asking = [name for name in _importers(error.__traceback__) if name in {*known, "edgekws"}]
    if not asking or asking[-1] == "edgekws":
        return None
    part = known[asking[-1]]
    return MissingPartError(
        f"{part.name} has a missing dependency ({error}); install it with: {pip_line(part)}"
    )


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    return canonicalize_name(_DISTRIBUTIONS.get(top, top))


def _importers(trace: TracebackType | None) -> Iterator[str]:
    """Yield the distribution of every frame, outermost first."""
    while trace is not None:
        yield _distribution(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
