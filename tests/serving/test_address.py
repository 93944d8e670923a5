"""URIs, units of systemd, the clock of a client, and the announcement in the network."""

import asyncio
import socket
from pathlib import Path

import pytest

from edgekws.errors import MachineError, UsageError
from edgekws.serving.address import TcpAddress, UnixAddress, parse_address
from edgekws.serving.clock import KEPT_S, STEP_S, Clock
from edgekws.serving.discovery import SERVICE, announced, check_announceable
from edgekws.serving.systemd import unit


@pytest.mark.parametrize(
    ("uri", "address", "private"),
    [
        ("tcp://127.0.0.1:10400", TcpAddress("127.0.0.1", 10400), True),
        ("tcp://localhost:0", TcpAddress("localhost", 0), True),
        ("tcp://0.0.0.0:10400", TcpAddress("0.0.0.0", 10400), False),
        ("tcp://[::1]:5", TcpAddress("::1", 5), True),
        ("tcp://[::]:5", TcpAddress("::", 5), False),
        ("tcp://kitchen.local:5", TcpAddress("kitchen.local", 5), False),
        ("unix:///run/a%20b.sock", UnixAddress(Path("/run/a b.sock")), True),
    ],
)
def test_a_uri_is_an_address(uri: str, address: object, private: bool) -> None:
    parsed = parse_address(uri)
    assert parsed == address
    assert parsed.is_private is private
    assert parse_address(str(parsed).replace(" ", "%20")) == parsed


@pytest.mark.parametrize(
    "uri",
    [
        *("", "0.0.0.0:10400", "tcp://0.0.0.0", "tcp://:10400", "tcp://x:99999", "tcp://x:y"),
        *("tcp://x:1/path", "unix://host/path", "unix://", "stdio://", "tcp://[::1", "http://x:1"),
    ],
)
def test_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(UsageError, match=r"^--uri "):
        parse_address(uri)


def test_a_unit_quotes_what_systemd_would_change(tmp_path: Path) -> None:
    bundle = tmp_path / 'a "b" $c 100%'
    text = unit(bundle, ["--clients", "3"])
    (command,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert command.endswith(f'serve "{tmp_path}/a \\"b\\" $$c 100%%" --clients 3')
    assert "DynamicUser=yes\n" in text


def test_a_clock_without_timestamps_counts_from_the_start() -> None:
    assert Clock(None).at(1.5) == 1500
    assert Clock(1000).at(1.5) == 2500


def test_a_clock_follows_the_timestamps_of_chunks() -> None:
    clock = Clock(0)
    for position_s, timestamp_ms in ((0.0, 100), (1.0, 1100), (2.0, None), (3.0, 9000)):
        clock.mark(position_s, timestamp_ms)
    assert [clock.at(t) for t in (0.0, 0.5, 2.5, 3.0, 3.25)] == [100, 600, 2600, 9000, 9250]


def test_a_clock_keeps_a_bounded_number_of_timestamps() -> None:
    clock = Clock(None)
    for n in range(200_000):
        clock.mark(n / 2000, 7000 + n / 2)
    assert len(clock._marks) <= KEPT_S / STEP_S + 2
    assert clock.at(99.0) == 106_000


def test_what_is_private_is_not_announced() -> None:
    for uri in ("tcp://127.0.0.1:10400", "unix:///run/x.sock"):
        with pytest.raises(UsageError, match=r"--uri tcp://0\.0\.0\.0:10400"):
            check_announceable(parse_address(uri))


def test_an_open_server_is_found_in_the_network() -> None:
    pytest.importorskip("zeroconf", reason="zeroconf is not installed: pip install '.[zeroconf]'")
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    async def find() -> AsyncServiceInfo:
        async with announced(TcpAddress("0.0.0.0", 10_499)) as name, AsyncZeroconf() as browser:
            info = AsyncServiceInfo(SERVICE, name)
            assert await info.async_request(browser.zeroconf, 3000)
            return info

    try:
        info = asyncio.run(find())
    except MachineError as error:
        pytest.skip(f"no network to announce a server in: {error}")
    assert info.port == 10_499
    assert socket.inet_aton(info.parsed_addresses()[0])
    assert info.name.startswith("edgekws-")
