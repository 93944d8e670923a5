"""The C compiler of this machine: found, named, and run."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekws.core.canonical import file_state
from edgekws.errors import MachineError, MissingPartError

COMPILERS = ("cc", "gcc", "clang")
"""Tried in this order after the environment variable CC."""

EXACT = ("-std=c99", "-ffp-contract=off")
"""Options without which results are not exact."""

_ENVIRONMENT = ("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX")
"""Variables that gcc and clang read."""

_CPUINFO = Path("/proc/cpuinfo")
_CPU = ("vendor_id", "model name", "stepping", "cache size", "flags", "Features", "CPU part")
"""Its lines that tell what `-march=native` stands for."""

INSTALL = "install one, on Debian with: apt install gcc libc6-dev"


@dataclass(frozen=True)
class Compiler:
    """A C compiler: its command, and the first line of `--version`."""

    command: tuple[str, ...]
    version: str

    def program(self, folder: Path, output: Path, options: Sequence[str] = ()) -> None:
        """Compile and link all `.c` files in `folder`.

        Raises:
            MachineError: the compiler fails; the message ends with its first error.
        """
        sources = sorted(path.name for path in folder.glob("*.c"))
        command = [*self.command, *options, *EXACT, "-I.", *sources, "-o", str(output), "-lm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            error = first_error(done)
            raise MachineError(f"{shlex.join(self.command)} does not compile the C: {error}")

    def library(self, folder: Path, output: Path, options: Sequence[str] = ()) -> None:
        """Compile all `.c` files in `folder` into a shared library.

        Raises:
            MachineError: as `program`.
        """
        self.program(folder, output, [*options, "-shared", "-fPIC"])

    def identity(self, options: Sequence[str]) -> list[Any]:
        """Return, as JSON, what a library depends on besides its sources."""
        program = Path(shutil.which(self.command[0]) or self.command[0]).resolve()
        environment = {name: os.environ.get(name) for name in _ENVIRONMENT}
        asked = [*self.command, *options, *EXACT]
        return [self.version, file_state(program), asked, environment, _cpu()]


def found(asked: str | None = None) -> Compiler | None:
    """Return the compiler `asked` for, else that of CC, else the first of `COMPILERS`, if any."""
    asked = asked or os.environ.get("CC")
    for name in [asked] if asked else COMPILERS:
        command = tuple(shlex.split(name))
        if command and shutil.which(command[0]):
            return Compiler(command, _version(command))
    return None


def required(asked: str | None = None) -> Compiler:
    """Return the compiler as `found` does.

    Raises:
        MissingPartError: there is none.
    """
    compiler = found(asked)
    if compiler is None:
        names = asked or os.environ.get("CC") or ", ".join(COMPILERS)
        raise MissingPartError(f"there is no C compiler here ({names}); {INSTALL}")
    return compiler


def first_error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line with the first error of a compiler that failed."""
    lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
    return next((line for line in lines if "error" in line), lines[-1])


def _version(command: tuple[str, ...]) -> str:
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [shlex.join(command)])[0]


def _cpu() -> list[str]:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return sorted({line for line in lines if line.partition(":")[0].strip() in _CPU})
