"""Audio from a microphone, block by block, at the microphone's own rate."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.events import Emit, Event
from edgekws.errors import MissingPartError

BLOCK_S = 0.02
"""Length of a block."""


@dataclass(frozen=True)
class Microphone:
    """An open microphone: its rate in Hz and its blocks `(samples,)`, which never end."""

    sample_rate: int
    blocks: Iterator[NDArray[np.float32]]


@contextmanager
def open_microphone(
    emit: Emit, advice: str, device: int | str | None = None
) -> Iterator[Microphone]:
    """Open the default microphone, or the `device` with that number or part of a name.

    A warning is emitted if audio is lost. `advice` ends the message about one that is missing.

    Raises:
        MissingPartError: sounddevice, PortAudio or the microphone is missing.
    """
    library = sounddevice()
    try:
        rate = _rate(library, device)
        size = round(BLOCK_S * rate)
        with library.InputStream(rate, size, device=device, channels=1, dtype="float32") as stream:
            yield Microphone(rate, _blocks(stream, size, emit))
    except library.PortAudioError as error:
        raise MissingPartError(f"the microphone cannot be used ({error}); {advice}") from error


def _rate(library: Any, device: int | str | None) -> int:
    try:
        return int(library.query_devices(device, "input")["default_samplerate"])
    except ValueError as error:  # no device of that name, or several
        raise MissingPartError(
            f"no such microphone ({error}); list them with: python -m sounddevice"
        ) from error


def _blocks(stream: Any, size: int, emit: Emit) -> Iterator[NDArray[np.float32]]:
    while True:
        block, lost = stream.read(size)
        if lost:
            emit(Event("warning", "this machine is too slow: audio of the microphone was lost"))
        yield block[:, 0]


def sounddevice() -> Any:
    """Return the module that reads microphones.

    Raises:
        MissingPartError: it or PortAudio is missing.
    """
    try:
        return import_module("sounddevice")
    except ModuleNotFoundError as error:
        raise MissingPartError(
            "the microphone needs the package sounddevice; install it with: "
            "pip install 'edgekws[microphone]'"
        ) from error
    except OSError as error:
        raise MissingPartError(
            f"sounddevice does not find PortAudio ({error}); install it, on Debian with: "
            "apt install libportaudio2"
        ) from error
