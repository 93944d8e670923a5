"""C compiled into a library that tests call."""

import ctypes
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

COMPILERS = ("gcc", "clang")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


def compile_library(
    folder: Path,
    kernels: Iterable[Path],
    generated: Mapping[str, str],
    compiler: str = "gcc",
    flags: Iterable[str] = ("-O2",),
) -> ctypes.CDLL:
    """Write the generated files, compile them with the kernels and load the result.

    Skips the test where the compiler is missing.
    """
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generated.items():
        (folder / name).write_text(text)
    for path in kernels:
        shutil.copy(path, folder)
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = [compiler, *WARNINGS, *flags, "-fPIC", "-shared", *sources, "-o", "library.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "library.so"))
