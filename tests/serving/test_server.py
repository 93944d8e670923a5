"""Clients of the package wyoming get what the bundle's own runtime gives."""

import asyncio
import stat
from pathlib import Path

import numpy as np
import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncUnixClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detection, NotDetected

from edgekws.errors import MachineError
from edgekws.serving.address import TcpAddress, UnixAddress
from edgekws.serving.server import Server
from edgekws.serving.spotters import Spotters
from tests.serving.conftest import CLIENTS, answers, choose, expected, send, serving
from tests.tone_bundle import RATE, TONES

LOW, HIGH = TONES


def detections(events: list[Event]) -> list[tuple[str | None, int | None]]:
    found = [Detection.from_event(event) for event in events]
    return [(detection.name, detection.timestamp) for detection in found]


def test_describe_lists_a_model_for_each_keyword(lent: Spotters) -> None:
    async def work() -> Info:
        async with serving(lent) as setup, setup.client() as client:
            await client.write_event(Describe().event())
            return Info.from_event((await answers(client, 1))[0])

    (program,) = asyncio.run(work()).wake
    assert (program.name, program.installed) == ("edgekws", True)
    assert [model.name for model in program.models] == list(TONES)
    for model in program.models:
        assert (model.phrase, model.languages, model.installed) == (model.name, ["ru"], True)
        assert model.attribution.name == "bundle"
        assert len(model.version or "") == 12


@pytest.mark.parametrize("chunk", [160, 1024, 16_000])
def test_events_are_those_of_the_runtime(
    bundle: Path, lent: Spotters, speech: np.ndarray, chunk: int
) -> None:
    async def work() -> list[Event]:
        async with serving(lent) as setup, setup.client() as client:
            await choose(client)
            await send(client, speech, chunk)
            return await answers(client, 3)

    wanted = [(event.keyword, round(1000 * event.end_s)) for event in expected(bundle, speech)]
    assert detections(asyncio.run(work())) == wanted
    assert [name for name, _ in wanted] == [LOW, HIGH, LOW]


def test_clients_at_once_each_get_their_own_keywords(
    bundle: Path, lent: Spotters, speech: np.ndarray
) -> None:
    wanted = {(): [LOW, HIGH, LOW], (LOW,): [LOW, LOW], (HIGH,): [HIGH], (HIGH, LOW): 3 * [""]}

    async def work() -> list[list[Event]]:
        async with serving(lent) as setup:

            async def listen(names: tuple[str, ...], count: int) -> list[Event]:
                async with setup.client() as client:
                    await choose(client, *names)
                    await send(client, speech)
                    return await answers(client, count)

            return await asyncio.gather(*(listen(k, len(v)) for k, v in wanted.items()))

    every = [(event.keyword, round(1000 * event.end_s)) for event in expected(bundle, speech)]
    for names, events in zip(wanted, asyncio.run(work()), strict=True):
        assert detections(events) == [event for event in every if not names or event[0] in names]


def test_timestamps_are_on_the_clock_of_the_client(
    bundle: Path, lent: Spotters, speech: np.ndarray
) -> None:
    async def work() -> list[Event]:
        async with serving(lent) as setup, setup.client() as client:
            await send(client, speech, start_ms=5_000_000)
            return await answers(client, 3)

    ends = [5_000_000 + 1000 * event.end_s for event in expected(bundle, speech)]
    times = [time for _, time in detections(asyncio.run(work()))]
    np.testing.assert_allclose(np.array(times, float), ends, atol=1.0)


def test_a_pause_of_the_client_moves_the_timestamps_after_it(
    bundle: Path, lent: Spotters, speech: np.ndarray
) -> None:
    async def work() -> list[Event]:
        async with serving(lent) as setup, setup.client() as client:
            for first in range(0, len(speech), 1600):
                sent_ms = first // 16 + (60_000 if first >= 3 * RATE else 0)
                piece = speech[first : first + 1600].tobytes()
                await client.write_event(AudioChunk(RATE, 2, 1, piece, timestamp=sent_ms).event())
            await client.write_event(AudioStop().event())
            return await answers(client, 3)

    ends = [1000 * event.end_s for event in expected(bundle, speech)]
    times = [time for _, time in detections(asyncio.run(work()))]
    wanted = [ends[0], ends[1] + 60_000, ends[2] + 60_000]
    np.testing.assert_allclose(np.array(times, float), wanted, atol=1.0)


def test_a_stream_without_a_keyword_is_answered_and_the_next_starts_afresh(
    bundle: Path, lent: Spotters, speech: np.ndarray
) -> None:
    async def work() -> list[Event]:
        async with serving(lent) as setup, setup.client() as client:
            await choose(client, LOW)
            await client.write_event(AudioStop().event())
            await send(client, speech[: RATE // 2])
            await send(client, speech[: 3 * RATE])
            await send(client, speech[: 3 * RATE])
            await client.write_event(AudioStart(RATE, 2, 1).event())
            chunk = AudioChunk(RATE, 2, 1, speech[: RATE + 2000].tobytes())
            await client.write_event(chunk.event())  # half a tone, and then another stream
            await send(client, speech[: RATE // 2])
            return await answers(client, 5)

    events = asyncio.run(work())
    (event,) = expected(bundle, speech[: 3 * RATE])
    assert [NotDetected.is_type(e.type) for e in events] == [True, True, False, False, True]
    assert detections(events[2:4]) == 2 * [(LOW, round(1000 * event.end_s))]


def test_other_formats_are_converted(bundle: Path, lent: Spotters, speech: np.ndarray) -> None:
    longer = speech.astype(np.int32) << 16
    stereo = np.stack([speech, speech], axis=1)
    at_48_khz = np.interp(np.arange(3 * len(speech)) / 3, np.arange(len(speech)), speech)

    async def listen(samples: np.ndarray, rate: int = RATE) -> list[Event]:
        async with serving(lent) as setup, setup.client() as client:
            await send(client, samples, rate=rate)
            return await answers(client, 3)

    wanted = [(event.keyword, round(1000 * event.end_s)) for event in expected(bundle, speech)]
    assert detections(asyncio.run(listen(longer))) == wanted
    assert detections(asyncio.run(listen(stereo))) == wanted
    resampled = detections(asyncio.run(listen(at_48_khz.astype(np.int16), 48_000)))
    for (name, time), (keyword, end_ms) in zip(resampled, wanted, strict=True):
        assert name == keyword
        assert abs((time or 0) - end_ms) <= 10


def test_an_unknown_model_is_named_and_others_are_served(
    lent: Spotters, speech: np.ndarray
) -> None:
    async def work() -> list[Event]:
        async with serving(lent) as setup, setup.client() as client:
            await choose(client, "jarvis", HIGH)
            await send(client, speech)
            return await answers(client, 2)

    error, detection = asyncio.run(work())
    assert error.data["text"] == f"no model jarvis; there are {HIGH}, {LOW}"
    assert detections([detection])[0][0] == HIGH


def test_a_ping_is_answered_and_unknown_events_are_not(lent: Spotters) -> None:
    async def work() -> list[Event]:
        async with serving(lent) as setup, setup.client() as client:
            await client.write_event(Event("transcribe", {"language": "en"}, b"abc"))
            await client.write_event(Ping("a").event())
            return await answers(client, 1)

    (event,) = asyncio.run(work())
    assert Pong.from_event(event).text == "a"


def test_more_clients_than_detectors_are_refused(lent: Spotters, speech: np.ndarray) -> None:
    async def work() -> list[Event]:
        async with serving(lent) as setup:
            clients = [setup.client() for _ in range(CLIENTS + 1)]
            for client in clients:
                await client.connect()
                await client.write_event(AudioStart(RATE, 2, 1).event())
                await client.write_event(Ping().event())
                events = await answers(client, 1)
            for client in clients:
                await client.disconnect()
            await asyncio.sleep(0.05)
            async with setup.client() as client:
                await send(client, speech[: 3 * RATE])
                return events + await answers(client, 1)

    busy, detection = asyncio.run(work())
    assert "all detectors are in use" in busy.data["text"]
    assert detections([detection])[0][0] == LOW


def test_a_unix_socket_is_for_its_owner_and_gone_afterwards(lent: Spotters, tmp_path: Path) -> None:
    address = UnixAddress(tmp_path / "w.sock")

    async def work() -> Event:
        server = Server(lent, lambda record: None)
        async with server.listening(address), AsyncUnixClient(address.path) as client:
            assert stat.S_IMODE(address.path.stat().st_mode) == 0o600
            with pytest.raises(MachineError, match="another server listens on it"):
                async with Server(lent, lambda record: None).listening(address):
                    pass
            await client.write_event(Ping().event())
            return (await answers(client, 1))[0]

    assert asyncio.run(work()).type == "pong"
    assert not address.path.exists()


def test_a_port_in_use_is_refused(lent: Spotters) -> None:
    async def work() -> None:
        async with serving(lent) as setup:
            address = TcpAddress(setup.host, setup.port)
            with pytest.raises(MachineError, match=r"cannot listen on tcp://127\.0\.0\.1:\d+ \("):
                async with Server(lent, lambda record: None).listening(address):
                    pass

    asyncio.run(work())
