"""Keyword detection in continuous audio from any source, with the runtime of a bundle."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.microphone import open_microphone
from edgekws.audio.reading import read_blocks, resampled
from edgekws.bundle.archive import unpacked
from edgekws.bundle.declared import read_json
from edgekws.bundle.verify import errors_named, verify_folder
from edgekws.core.events import Emit, Event
from edgekws.errors import DataError, UsageError
from edgekws.runtime import detect
from edgekws.runtime.detect import Detector

Blocks = Iterable[NDArray[np.float32]]


class StreamDetector(Protocol):
    """What detects keywords in a stream: the runtime of a bundle, or its C."""

    @property
    def sample_rate(self) -> int:
        """Samples per second."""

    @property
    def heard_s(self) -> float:
        """The length of the stream so far, in seconds."""

    @property
    def scores(self) -> dict[str, float]:
        """The current score of each keyword, if it has any."""

    def feed(self, samples: NDArray[Any]) -> list[detect.Event]:
        """Process the next samples and return new events."""

    def flush(self) -> list[detect.Event]:
        """End the stream and return its last events."""

    def reset(self) -> None:
        """Start a new stream."""


STDIN = "-"

_NO_MICROPHONE = "plug one in, or pipe audio to standard input: arecord … | edgekws detect BUNDLE -"


@contextmanager
def detector(
    bundle: Path, emit: Emit, threshold: float | None = None, hop_ms: float | None = None
) -> Iterator[Detector]:
    """Yield the detector of a verified bundle, a folder or a zip.

    `threshold` overrides those of the manifest, `hop_ms` its time between decisions.

    Raises:
        DataError: there is no bundle, it is damaged, or it has no detection settings.
        UsageError: the model cannot decide every `hop_ms`.
    """
    yield opened(bundle, emit, threshold, hop_ms)[0]


def opened(
    bundle: Path, emit: Emit, threshold: float | None = None, hop_ms: float | None = None
) -> tuple[Detector, dict[str, Any]]:
    """Return the detector of a bundle as `detector` does, and the bundle's manifest.

    Raises:
        DataError, UsageError: as `detector`.
    """
    with unpacked(bundle) as folder, errors_named(bundle):
        verified = verify_folder(folder)
        if not detect.model_file(folder, "frontend_stream").is_file():
            raise DataError("packed without settings for detection; run compress again")
        for note in verified.notes:
            emit(Event("warning", f"{bundle}: {note}"))
        try:
            opened_detector = Detector(folder, threshold=threshold, hop_ms=hop_ms)
        except ValueError as error:
            raise UsageError(f"--hop-ms: {error}") from error
        return opened_detector, read_json(folder / "manifest.json")


def listen(detector: StreamDetector, blocks: Blocks) -> Iterator[list[detect.Event]]:
    """Yield the events reported after each block of a stream, and the rest at the end."""
    for block in blocks:
        yield detector.feed(block)
    yield detector.flush()


def source(name: str, sample_rate: int, rate: int | None) -> Blocks:
    """Return the blocks of a file of any format, or of raw PCM at `rate` on standard input (`-`).

    Raises:
        DataError: while reading: the file is missing, not audio or empty, or standard input is
            closed.
    """
    if name == STDIN:
        return _not_empty("standard input", resampled(_piped(), rate or sample_rate, sample_rate))
    return _not_empty(name, read_blocks(Path(name), sample_rate))


def _not_empty(name: str, blocks: Blocks) -> Iterator[NDArray[np.float32]]:
    length = 0
    for block in blocks:
        length += len(block)
        yield block
    if not length:
        raise DataError(f"{name}: holds no samples; record it again, or leave it out")


def _piped() -> Iterator[NDArray[np.float32]]:
    try:
        yield from detect.pcm_blocks(Path(STDIN))
    except (OSError, ValueError) as error:
        raise DataError(f"standard input cannot be read: {error}") from error


def microphone(sample_rate: int, emit: Emit) -> Iterator[NDArray[np.float32]]:
    """Yield blocks from the default microphone until interrupted.

    Raises:
        MissingPartError: sounddevice, PortAudio or the microphone is missing.
    """
    with open_microphone(emit, _NO_MICROPHONE) as opened_microphone:
        blocks = _until_interrupted(opened_microphone.blocks)
        yield from resampled(blocks, opened_microphone.sample_rate, sample_rate)


def _until_interrupted(blocks: Blocks) -> Iterator[NDArray[np.float32]]:
    try:
        yield from blocks
    except KeyboardInterrupt:
        return
