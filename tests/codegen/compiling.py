"""C compiled into a library or a program that tests call."""

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
    """Compile the generated files with the kernels and load the result.

    Skips the test where the compiler is missing.
    """
    flags = (*flags, "-fPIC", "-shared")
    return ctypes.CDLL(str(compile_program(folder, kernels, generated, compiler, flags)))


def compile_program(
    folder: Path,
    kernels: Iterable[Path],
    generated: Mapping[str, str],
    compiler: str,
    flags: Iterable[str],
) -> Path:
    """Write the generated files and compile them with the kernels; return the program.

    Skips the test where the compiler is missing.
    """
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generated.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in kernels:
        shutil.copy(path, folder)
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = [compiler, *WARNINGS, *flags, *sources, "-o", "program"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "program"
