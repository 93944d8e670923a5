"""Announces a server in the local network, so that Home Assistant finds it by itself."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edgekws.errors import MachineError, MissingPartError, UsageError
from edgekws.serving.address import OPEN, Address, TcpAddress

SERVICE = "_wyoming._tcp.local."

_ROUTED = "224.0.0.251"
"""The group of multicast DNS: the address of this machine on the way to it is its own."""


def check_announceable(address: Address) -> TcpAddress:
    """Return an address that can be announced.

    Raises:
        UsageError: the server cannot be reached from the network.
        MissingPartError: zeroconf is not installed.
    """
    if not isinstance(address, TcpAddress) or address.is_private:
        raise UsageError(f"--zeroconf announces to the network what is open to it: --uri {OPEN}")
    try:
        import zeroconf  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPartError(
            "--zeroconf needs the package zeroconf; install it with: pip install "
            "'edgekws[zeroconf]'"
        ) from error
    return address


@asynccontextmanager
async def announced(address: TcpAddress) -> AsyncIterator[str]:
    """Announce a server while the block runs; yield the name.

    Raises:
        MachineError: there is no network.
    """
    from zeroconf import Error
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    host = socket.gethostname().partition(".")[0][:40]
    name = f"edgekws-{host}-{address.port}"
    try:
        info = AsyncServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            addresses=[socket.inet_aton(_own_address(address.host))],
            port=address.port,
            server=f"{host}.local.",
        )
        zeroconf = AsyncZeroconf()
    except OSError as error:
        raise MachineError(f"--zeroconf: cannot reach the network ({error})") from error
    try:
        await zeroconf.async_register_service(info, allow_name_change=True)
        yield info.name
    except Error as error:
        raise MachineError(f"--zeroconf: {error}") from error
    finally:
        await zeroconf.async_close()


def _own_address(host: str) -> str:
    """Return an IPv4 address of this machine under which others can reach `host`."""
    if host not in ("0.0.0.0", "::"):
        return socket.gethostbyname(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((_ROUTED, 1))  # sends nothing
        own: str = probe.getsockname()[0]
        return own
