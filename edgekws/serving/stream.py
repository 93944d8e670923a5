"""One stream of audio from a client: PCM in, keywords with the client's own times out."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from edgekws.runtime.detect import PCM, Detector, Event
from edgekws.serving.clock import Clock
from edgekws.serving.wire import ProtocolError

RATES = (4_000, 192_000)
"""Lowest and highest sample rate in Hz."""

MAX_CHANNELS = 8

PIECE_S = 0.1
"""Audio that is processed without giving way to other clients."""

_LATEST_MS = float(1 << 53)


class PcmFormat(NamedTuple):
    """Sample rate in Hz, bytes per sample and channels."""

    rate: int
    width: int
    channels: int


class Match(NamedTuple):
    """A detected keyword, and when it ended on the client's clock, in ms."""

    event: Event
    timestamp_ms: int


def pcm_format(data: dict[str, Any]) -> PcmFormat:
    """Return the format stated by an audio event.

    Raises:
        ProtocolError: it is missing or not supported.
    """
    rate, width, channels = (data.get(key) for key in PcmFormat._fields)
    if type(rate) is not int or not RATES[0] <= rate <= RATES[1]:
        raise ProtocolError(f"expected a rate from {RATES[0]} to {RATES[1]} Hz")
    if type(width) is not int or width not in PCM:
        raise ProtocolError(f"expected a width of {', '.join(map(str, PCM))} bytes")
    if type(channels) is not int or not 1 <= channels <= MAX_CHANNELS:
        raise ProtocolError(f"expected 1 to {MAX_CHANNELS} channels")
    return PcmFormat(rate, width, channels)


def timestamp(data: dict[str, Any]) -> float | None:
    """Return the timestamp of an audio event in ms, if it has one.

    Raises:
        ProtocolError: it is not a number.
    """
    value = data.get("timestamp")
    if value is None:
        return None
    if type(value) not in (int, float) or not abs(value) <= _LATEST_MS:  # NaN is not
        raise ProtocolError("a timestamp is not a number of milliseconds")
    return float(value)


class Stream:
    """Detects keywords in the PCM of one client, converted to what the model expects."""

    def __init__(self, detector: Detector, pcm: PcmFormat, start_ms: float | None) -> None:
        """Start a stream on a detector of its own."""
        self.pcm = pcm
        self._detector, self._clock, self._frames = detector, Clock(start_ms), 0
        self._resampler = None
        if pcm.rate != detector.sample_rate:
            self._resampler = soxr.ResampleStream(pcm.rate, detector.sample_rate, 1, "float32")

    @property
    def seconds(self) -> float:
        """Seconds of audio so far."""
        return self._frames / self.pcm.rate

    def add(self, payload: bytes, timestamp_ms: float | None) -> Iterator[list[Match]]:
        """Process a chunk in pieces of `PIECE_S`, and yield the keywords that each completes.

        Raises:
            ProtocolError: the chunk ends in the middle of a sample.
        """
        width, channels = self.pcm.width, self.pcm.channels
        if len(payload) % (width * channels):
            raise ProtocolError(f"a chunk is not a multiple of {width * channels} bytes")
        self._clock.mark(self.seconds, timestamp_ms)
        frames = np.frombuffer(payload, PCM[width][0]).reshape(-1, channels)
        step = math.ceil(PIECE_S * self.pcm.rate)
        for start in range(0, len(frames), step):
            piece = frames[start : start + step]
            self._frames += len(piece)
            yield self._matches(self._detector.feed(self._converted(piece)))

    def end(self) -> list[Match]:
        """Return the keywords still open at the end."""
        events: list[Event] = []
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            events += self._detector.feed(np.clip(rest, -1, 1))
        return self._matches([*events, *self._detector.flush()])

    def _converted(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return samples at the model's rate: channels averaged, resampled by soxr, clipped."""
        if self._resampler is None and self.pcm.channels == 1 and self.pcm.width == 2:
            return frames[:, 0]
        _, offset, scale = PCM[self.pcm.width]
        mono = ((frames.astype(np.float32) - offset) / scale).mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono)
        clipped: NDArray[np.float32] = np.clip(mono, -1, 1)
        return clipped

    def _matches(self, events: list[Event]) -> list[Match]:
        return [Match(event, self._clock.at(event.end_s)) for event in events]
