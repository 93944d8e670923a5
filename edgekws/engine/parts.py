"""The packages that edgekws is made with: the ranges it asks for, and what to say of a lack."""

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
"""Import names that say nothing of the distribution they come in."""


@cache
def requirements() -> tuple[Requirement, ...]:
    """Return what the package asks for: from its metadata, or in a checkout from its project file.

    Raises:
        MissingPartError: neither is there.
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
    found = (Requirement(line) for line in lines)
    return tuple(r for r in found if r.marker is None or r.marker.evaluate({"extra": ""}))


def installed(requirement: Requirement) -> str | None:
    """Return the installed version of what is required, `None` where there is none."""
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
    """Say which package an import lacks and how to get it; `None` where it is no package's lack.

    Where a package that edgekws asks for lacks one of its own, the command names that package:
    pip then installs what it lacks. `error` may also be a `PackageNotFoundError`, which names a
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
        f"{part.name} lacks a package of its own ({error}); what is missing comes with: "
        f"{pip_line(part)}"
    )


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    return canonicalize_name(_DISTRIBUTIONS.get(top, top))


def _importers(trace: TracebackType | None) -> Iterator[str]:
    """Yield the distribution of every frame, the outermost first."""
    while trace is not None:
        yield _distribution(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
