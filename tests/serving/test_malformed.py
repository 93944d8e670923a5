"""A server outlives what clients do wrong, and keeps nothing of it."""

import asyncio
import json
import time

import numpy as np
import pytest
from wyoming.audio import AudioStart
from wyoming.ping import Ping
from wyoming.wake import Detection

from edgekws.serving import client as client_module
from edgekws.serving import wire
from edgekws.serving.server import CONNECTIONS
from edgekws.serving.spotters import Spotters
from edgekws.serving.wire import MAX_PAYLOAD
from tests.serving.conftest import CLIENTS, Setup, answers, send, serving
from tests.serving.malformed import BROKEN_OFF, ODD, SESSIONS, chunk, event
from tests.tone_bundle import RATE


async def raw(setup: Setup, sent: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes, and return what the server answers until it closes."""
    reader, writer = await asyncio.open_connection(setup.host, setup.port)
    writer.write(sent)
    if half_close:
        writer.write_eof()
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def is_served(setup: Setup, speech: np.ndarray) -> bool:
    async with setup.client() as client:
        await send(client, speech[: 3 * RATE])
        return Detection.is_type((await answers(client, 1))[0].type)


def test_malformed_sessions_are_refused_with_a_reason(lent: Spotters, speech: np.ndarray) -> None:
    async def work() -> dict[str, bytes]:
        async with serving(lent) as setup:
            got = {name: await raw(setup, sent) for name, sent in SESSIONS.items()}
            assert setup.kinds().count("refused") == len(SESSIONS)
            assert await is_served(setup, speech)
            return got

    for name, answer in asyncio.run(work()).items():
        header, _, data = answer.partition(b"\n")
        assert json.loads(header)["type"] == "error", name
        assert json.loads(data)["code"] == "protocol", name
        assert 10 < len(json.loads(data)["text"]) < 200, name


def test_clients_that_leave_in_the_middle_or_behave_oddly_harm_nobody(
    lent: Spotters, speech: np.ndarray
) -> None:
    async def work() -> None:
        async with serving(lent) as setup:
            for sent in (*BROKEN_OFF.values(), *ODD.values()):
                await raw(setup, sent, half_close=True)
            assert setup.kinds().count("refused") == 3
            assert await is_served(setup, speech)

    asyncio.run(work())


def test_clients_that_vanish_give_their_detectors_back(lent: Spotters, speech: np.ndarray) -> None:
    async def work() -> None:
        async with serving(lent) as setup:
            for _ in range(2 * CLIENTS):
                _, writer = await asyncio.open_connection(setup.host, setup.port)
                writer.write(chunk() + chunk()[:-1])
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.transport.abort()
            await asyncio.sleep(0.05)
            assert await is_served(setup, speech)

    asyncio.run(work())


@pytest.mark.parametrize("sent", [b"", BROKEN_OFF["half a header"], BROKEN_OFF["half a payload"]])
def test_a_client_that_stalls_is_refused(
    lent: Spotters, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(wire, "STALL_S", 0.1)
    monkeypatch.setattr(client_module, "STALL_S", 0.1)

    async def work() -> bytes:
        async with serving(lent) as setup:
            return await raw(setup, sent)

    assert b"no complete event arrived in time" in asyncio.run(work())


def test_a_client_that_waits_between_events_is_kept(
    lent: Spotters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "STALL_S", 0.1)
    monkeypatch.setattr(client_module, "STALL_S", 0.1)

    async def work() -> None:
        async with serving(lent) as setup, setup.client() as client:
            for _ in range(2):
                await client.write_event(Ping().event())
                assert len(await answers(client, 1)) == 1
                await asyncio.sleep(0.3)

    asyncio.run(work())


def test_a_client_that_does_not_read_is_disconnected(
    lent: Spotters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "STALL_S", 0.2)

    async def work() -> list[str]:
        async with serving(lent) as setup:
            _, writer = await asyncio.open_connection(setup.host, setup.port, limit=1024)
            writer.write(400 * event("ping", {"text": "x" * 60_000}))  # 24 MB
            async with asyncio.timeout(10):
                while "disconnected" not in setup.kinds():
                    await asyncio.sleep(0.05)
            writer.transport.abort()
            return [r.text for r in setup.records if r.kind == "disconnected"]

    assert asyncio.run(work()) == ["does not read what it is sent"]


def test_connections_are_limited(lent: Spotters, speech: np.ndarray) -> None:
    async def work() -> None:
        async with serving(lent) as setup:
            most = CONNECTIONS * CLIENTS
            opened = [
                await asyncio.open_connection(setup.host, setup.port) for _ in range(most + 3)
            ]
            await asyncio.sleep(0.1)
            assert setup.kinds().count("connected") == most
            assert setup.kinds().count("refused") == 3
            for _, writer in opened:
                writer.transport.abort()
            await asyncio.sleep(0.1)
            assert await is_served(setup, speech)

    asyncio.run(work())


def test_a_client_that_floods_does_not_delay_another(lent: Spotters) -> None:
    """Audio and pings at full speed; another client's ping waits for a piece of each at most."""
    minutes = 4 * chunk(bytes(MAX_PAYLOAD))
    pings = 20_000 * event("ping")

    async def work() -> list[float]:
        async with serving(lent) as setup:
            floods = [asyncio.create_task(raw(setup, sent)) for sent in (minutes, pings)]
            waits: list[float] = []
            async with setup.client() as client:
                while not all(flood.done() for flood in floods) and len(waits) < 30:
                    begun = time.perf_counter()
                    await client.write_event(Ping().event())
                    await answers(client, 1)
                    waits.append(time.perf_counter() - begun)
            for flood in floods:
                flood.cancel()
            await asyncio.gather(*floods, return_exceptions=True)
            return waits

    waits = asyncio.run(work())
    assert len(waits) >= 10
    assert np.median(waits) < 0.1


@pytest.mark.parametrize(
    ("sent", "parts"),
    [(chunk(bytes(MAX_PAYLOAD)), MAX_PAYLOAD // 3200), (2000 * event("ping"), 2000)],
    ids=["audio", "pings"],
)
def test_others_have_their_turn_between_two_parts_of_what_a_client_sends(
    lent: Spotters, sent: bytes, parts: int
) -> None:
    async def work() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with serving(lent) as setup:
            counting = asyncio.create_task(count())
            await raw(setup, sent, half_close=True)
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
        return turns

    assert asyncio.run(work()) > parts


def test_stopping_disconnects_everybody(lent: Spotters) -> None:
    async def work() -> list[str]:
        async with serving(lent) as setup:
            clients = [setup.client() for _ in range(3)]
            for client in clients:
                await client.connect()
                await client.write_event(AudioStart(RATE, 2, 1).event())
                await client.write_event(Ping().event())
                await answers(client, 1)
        left = [await client.read_event() for client in clients]
        for client in clients:
            await client.disconnect()
        assert left == [None] * 3
        return [r.text for r in setup.records if r.kind == "disconnected"]

    assert asyncio.run(work()) == ["the server stops"] * 3
