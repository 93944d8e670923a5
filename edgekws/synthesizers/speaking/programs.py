"""Programs that write a WAV file: run without a shell, with a time limit."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.printable import one_line
from edgekws.errors import DataError, MissingPartError

LIMIT_S = 120.0

_LONGEST_S = 120


class Speech(NamedTuple):
    """Mono samples `(n,)` and their rate in Hz."""

    samples: NDArray[np.float32]
    sample_rate: int


def located(name: str, install: str) -> Path:
    """Return the file of a program, with its folder: `./say.sh` is not looked up in `PATH` later.

    Raises:
        MissingPartError: there is none; the message has `install`.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingPartError(f"{name} is not installed; {install}")
    return Path(path).absolute()


def identity(program: Path) -> str:
    """Return a hash of a program's file."""
    return sha256_of([program.name, sha256_file(program.resolve())])


def output_of(command: Sequence[str], text: str = "", limit_s: float = LIMIT_S) -> str:
    """Run a program with `text` as its input, and return what it prints.

    Raises:
        DataError: it cannot be started, fails, or takes longer than `limit_s`; it is then killed,
            with every program that it started.
    """
    name = one_line(command[0])
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            process_group=0,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: cannot be started: {error}") from error
    with process:
        try:
            out, err = process.communicate(text.encode(), timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise DataError(f"{name}: not finished after {limit_s:g} s, and killed") from error
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        last = one_line((err.decode(errors="replace").strip().splitlines() or ["no message"])[-1])
        raise DataError(f"{name}: failed with exit code {process.returncode}: {last[:300]}")
    return out.decode(errors="replace")


def speech_of(
    command: Sequence[str], output: Path, text: str = "", limit_s: float = LIMIT_S
) -> Speech:
    """Run a program that writes `output`, and return what it wrote.

    Raises:
        DataError: as `output_of`; or the program wrote no audio, or more than 120 s of it.
    """
    from edgekws.audio.opening import open_audio

    name = one_line(command[0])
    output.unlink(missing_ok=True)
    output_of(command, text, limit_s)
    if not output.is_file():
        raise DataError(f"{name}: wrote no file {output.name}")
    try:
        with open_audio(output) as file:
            rate = int(file.samplerate)
            samples = file.read(_LONGEST_S * rate + 1, dtype="float32", always_2d=True).mean(axis=1)
    except DataError as error:  # names a temporary file, which cannot be mended
        reason = str(error).removeprefix(f"{output}: ").partition(";")[0]
        raise DataError(f"{name}: wrote {output.name} wrongly: {reason}") from error
    if len(samples) > _LONGEST_S * rate or not np.isfinite(samples).all():
        raise DataError(f"{name}: wrote over {_LONGEST_S} s, or no numbers")
    return Speech(np.asarray(samples, np.float32), rate)
