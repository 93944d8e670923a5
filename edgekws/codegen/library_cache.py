"""Shared libraries compiled from C, kept in the user's cache."""

from collections.abc import Callable, Sequence
from pathlib import Path

from edgekws.codegen.compiler import Compiler
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit
from edgekws.core.store import build_folder

_LIBRARY = "library.so"


def cached_library(
    sources: object,
    write: Callable[[], Path],
    compiler: Compiler,
    options: Sequence[str],
    emit: Emit,
) -> Path:
    """Return the library of the `.c` files that `write` writes, compiled unless it is in the cache.

    `sources`, as JSON, identifies these files; compiler, options and CPU are added to the key.

    Raises:
        MachineError: the compiler fails, or the cache cannot be written.
    """
    key = sha256_of([sources, compiler.identity(options)])

    def build(folder: Path) -> None:
        compiler.library(write(), folder / _LIBRARY, options)

    return build_folder(cache_folder() / "libraries" / key, build, emit) / _LIBRARY


def files_of(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file in a folder of C, by name."""
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
