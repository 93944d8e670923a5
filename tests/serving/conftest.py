"""A server of a bundle whose keywords are tones, and clients from the package wyoming."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("wyoming", reason="wyoming is not installed: pip install '.[serve]'")

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient, AsyncTcpClient
from wyoming.event import Event
from wyoming.wake import Detect

from edgekws.runtime import detect
from edgekws.serving.address import TcpAddress
from edgekws.serving.records import Record
from edgekws.serving.server import Server
from edgekws.serving.spotters import Spotters, spotters
from tests.tone_bundle import RATE, make, track

CLIENTS = 6
SPOKEN = {1.0: "низкий", 4.0: "высокий", 7.0: "низкий"}


@pytest.fixture(scope="package")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("тоны"), streaming=True)


@pytest.fixture(scope="package")
def lent(bundle: Path) -> Spotters:
    return spotters(bundle, lambda event: None, CLIENTS, ["ru"])


@pytest.fixture(scope="package")
def speech() -> np.ndarray:
    """Return 9 s of int16 samples."""
    return (track(9.0, SPOKEN) * 32767).astype(np.int16)


class Setup:
    """A running server, what it reports, and its address."""

    def __init__(self, spotters: Spotters) -> None:
        self.spotters = spotters
        self.records: list[Record] = []
        self.server = Server(spotters, self.records.append)
        self.host, self.port = "127.0.0.1", 0

    def client(self) -> AsyncTcpClient:
        return AsyncTcpClient(self.host, self.port, connect_timeout=5, read_timeout=10)

    def kinds(self) -> list[str]:
        return [record.kind for record in self.records]


@asynccontextmanager
async def serving(spotters: Spotters) -> AsyncIterator[Setup]:
    """Run a server for the block, and check that nothing is left of its clients."""
    setup = Setup(spotters)
    free = len(spotters._free)
    async with setup.server.listening(TcpAddress(setup.host, 0)) as address:
        assert isinstance(address, TcpAddress)
        setup.port = address.port
        yield setup
    assert len(spotters._free) == free
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [record.text for record in setup.records if record.kind == "failed"] == []
    assert setup.kinds().count("connected") == setup.kinds().count("disconnected")


async def send(
    client: AsyncTcpClient,
    samples: np.ndarray,
    chunk: int = 1024,
    rate: int = RATE,
    start_ms: int | None = None,
) -> None:
    """Send a stream from start to stop, `(frames,)` or `(frames, channels)`, with timestamps."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    form = (rate, samples.dtype.itemsize, channels)
    await client.write_event(AudioStart(*form, timestamp=start_ms).event())
    for first in range(0, len(samples), chunk):
        sent_ms = None if start_ms is None else start_ms + round(1000 * first / rate)
        piece = samples[first : first + chunk].tobytes()
        await client.write_event(AudioChunk(*form, piece, timestamp=sent_ms).event())
    await client.write_event(AudioStop().event())


async def answers(client: AsyncClient, until: int) -> list[Event]:
    """Return the next events of the server."""
    events = [await client.read_event() for _ in range(until)]
    return [event for event in events if event is not None]


async def choose(client: AsyncTcpClient, *names: str) -> None:
    await client.write_event(Detect(list(names) or None).event())


def expected(bundle: Path, samples: np.ndarray) -> list[detect.Event]:
    """Return the events of the bundle's own runtime."""
    detector = detect.Detector(bundle)
    return [*detector.feed(samples), *detector.flush()]
