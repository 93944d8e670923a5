"""What a dataset's fingerprint says about the code that makes it."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

from edgekws.core.canonical import sha256_of


@cache
def code_fingerprint(libraries: tuple[str, ...]) -> str:
    """Return a sha256 over the source of all modules of this folder and versions of `libraries`.

    Raises:
        importlib.metadata.PackageNotFoundError: one of `libraries` is not installed.
    """
    sources = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(Path(__file__).parent.glob("*.py"))
    }
    return sha256_of([sources, {name: version(name) for name in libraries}])
