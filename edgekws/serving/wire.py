"""Wyoming events of an untrusted client, read within limits of size and time.

An event is a line of JSON with its `type`, then `data_length` bytes of more JSON and
`payload_length` bytes of audio. `wyoming.event` reads as much as a client announces, and waits for
as long as it likes.
"""

import asyncio
import json
from typing import Any

from wyoming.event import Event, async_write_event

MAX_LINE = 1 << 16
"""Bytes of a header. A `StreamReader` with this limit buffers at most twice as much unasked."""

MAX_DATA = 1 << 16
"""Bytes of JSON after a header."""

MAX_PAYLOAD = 1 << 20
"""Bytes of audio in one event: 32 s at 16 kHz and 16 bits."""

STALL_S = 30.0
"""Longest time for the first event, the rest of an event, and the delivery of an answer."""


class ProtocolError(Exception):
    """A client sent something that is not Wyoming, too large or too slow."""


async def read_event(reader: asyncio.StreamReader, within_s: float | None = None) -> Event | None:
    """Return the next event, or `None` at the end of the connection.

    Its header has to arrive within `within_s`, the rest of it within `STALL_S` after that.

    Raises:
        ProtocolError: the event is malformed or too large, or does not arrive in time.
        OSError: the connection is lost.
    """
    try:
        async with asyncio.timeout(within_s):
            line = await reader.readuntil(b"\n")
        header = _json_object(line, "header")
        more_length = _length(header, "data_length", MAX_DATA)
        length = more_length + _length(header, "payload_length", MAX_PAYLOAD)
        rest = b""
        if length:
            async with asyncio.timeout(STALL_S):
                rest = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        if error.expected is None and not error.partial:
            return None
        raise ProtocolError("the connection ended in the middle of an event") from error
    except asyncio.LimitOverrunError as error:
        raise ProtocolError(f"a header is longer than {MAX_LINE} bytes") from error
    except TimeoutError as error:
        raise ProtocolError("no complete event arrived in time") from error
    return _event(header, rest[:more_length], rest[more_length:])


def _event(header: dict[str, Any], more: bytes, payload: bytes) -> Event:
    kind, data = header.get("type"), header.get("data")
    if not isinstance(kind, str):
        raise ProtocolError("a header has no type")
    if not isinstance(data, dict | None):
        raise ProtocolError("the data of an event is not a JSON object")
    return Event(kind, {**(data or {}), **(_json_object(more, "data") if more else {})}, payload)


def _json_object(text: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the {name} of an event is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"the {name} of an event is not a JSON object")
    return value


def _length(header: dict[str, Any], key: str, most: int) -> int:
    length = header.get(key) or 0
    if type(length) is not int or not 0 <= length <= most:
        raise ProtocolError(f"{key} is not a number of at most {most} bytes")
    return length


async def write_event(event: Event, writer: asyncio.StreamWriter) -> None:
    """Send an event.

    Raises:
        ProtocolError: it repeats half of a UTF-16 pair that the client sent.
        TimeoutError: the client does not read what it is sent.
        OSError: the connection is lost.
    """
    try:
        async with asyncio.timeout(STALL_S):
            await async_write_event(event, writer)
    except UnicodeEncodeError as error:
        raise ProtocolError("a text is not valid Unicode") from error
