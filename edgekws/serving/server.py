"""The server: listens, serves every client in a task of its own, and stops cleanly."""

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from edgekws.errors import MachineError, reason
from edgekws.serving.address import Address, TcpAddress, UnixAddress
from edgekws.serving.client import Client
from edgekws.serving.records import Log, Record
from edgekws.serving.spotters import Spotters
from edgekws.serving.wire import MAX_LINE

CONNECTIONS = 4
"""Open connections for each client that may stream: some only ask what there is."""

KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""How a client that vanished without a word is noticed: after two minutes."""

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Server:
    """Serves the clients of one socket."""

    def __init__(self, spotters: Spotters, log: Log) -> None:
        """Lend the detectors of `spotters` to clients, and report to `log`."""
        self._spotters, self._log = spotters, log
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def listening(self, address: Address) -> AsyncIterator[Address]:
        """Serve while the block runs; yield the address, with its actual port.

        At the end, the socket is closed and every client is disconnected.

        Raises:
            MachineError: the address cannot be used.
        """
        try:
            server = await self._open(address)
        except OSError as error:
            raise MachineError(
                f"cannot listen on {address} ({reason(error)}); end the program that does, or "
                "choose another address with --uri"
            ) from error
        try:
            if isinstance(address, TcpAddress):
                address = TcpAddress(address.host, server.sockets[0].getsockname()[1])
            yield address
        finally:
            server.close()
            await self._disconnect_all()
            if isinstance(address, UnixAddress):
                address.path.unlink(missing_ok=True)

    async def _open(self, address: Address) -> asyncio.Server:
        if isinstance(address, TcpAddress):
            return await asyncio.start_server(
                self._connected, address.host, address.port, limit=MAX_LINE
            )
        await _check_unused(address)
        with _for_the_owner_only():
            return await asyncio.start_unix_server(self._connected, address.path, limit=MAX_LINE)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = self._name(writer)
        if len(self._tasks) >= CONNECTIONS * self._spotters.clients:
            self._log(Record("refused", "too many connections", name))
            writer.transport.abort()
            return
        client = Client(reader, writer, name, self._spotters, self._log)
        task = asyncio.create_task(client.serve(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _name(self, writer: asyncio.StreamWriter) -> str:
        connection: socket.socket = writer.get_extra_info("socket")
        peer = writer.get_extra_info("peername")
        if connection.family == socket.AF_UNIX or not peer:
            return f"client {next(self._numbers)}"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return str(TcpAddress(*peer[:2])).removeprefix("tcp://")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            text = f"a bug: {type(error).__name__}: {error}"
            self._log(Record("failed", text, task.get_name()))

    async def _disconnect_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _check_unused(address: UnixAddress) -> None:
    """Refuse the socket of a living server, which asyncio would replace.

    Raises:
        OSError: a server listens on it.
    """
    try:
        _, writer = await asyncio.open_unix_connection(address.path)
    except (FileNotFoundError, ConnectionRefusedError):
        return
    writer.close()
    raise OSError("another server listens on it")


@contextmanager
def _for_the_owner_only() -> Iterator[None]:
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Yield an event that is set by SIGINT, SIGTERM and SIGHUP, unless those are ignored."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    heeded = [n for n in _STOPPING if signal.getsignal(n) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
