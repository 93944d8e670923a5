"""The conversation with one client: its keywords, its audio, and its events."""

import asyncio

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

from edgekws.core.printable import one_line
from edgekws.runtime.detect import Detector
from edgekws.serving.records import Kind, Log, Record
from edgekws.serving.spotters import Spotters
from edgekws.serving.stream import Match, PcmFormat, Stream, pcm_format, timestamp
from edgekws.serving.wire import MAX_LINE, STALL_S, ProtocolError, read_event, write_event

GOODBYE_S = 1.0
"""How long a client that is refused may take to read why."""


class Client:
    """One connection, served event by event; the next is read when the last is answered.

    So a client that sends faster than it is served is slowed down by its own connection, and after
    every event and piece of audio the others have their turn.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: str,
        spotters: Spotters,
        log: Log,
    ) -> None:
        """Serve the client `name` on an open connection."""
        self._reader, self._writer, self._name = reader, writer, name
        self._spotters, self._log = spotters, log
        self._wanted = spotters.keywords
        self._detector: Detector | None = None
        self._stream: Stream | None = None
        self._detections = self._all_detections = 0
        self._heard_s = 0.0

    async def serve(self) -> None:
        """Answer until the client leaves, is refused, or the server stops."""
        self._report("connected")
        reason = "connection lost"
        try:
            reason = await self._answer_all()
        except ProtocolError as error:
            reason = str(error)
            self._report("refused", reason)
            await self._refuse(reason)
        except TimeoutError:
            reason = "does not read what it is sent"
        except OSError:
            pass  # the client vanished
        except asyncio.CancelledError:
            reason = "the server stops"
            raise
        finally:
            self._end_stream()
            heard = {"audio_s": round(self._heard_s, 3), "detections": self._all_detections}
            self._report("disconnected", reason, reason=reason, **heard)
            self._writer.transport.abort()

    async def _answer_all(self) -> str:
        event = await read_event(self._reader, within_s=STALL_S)
        while event is not None:
            await self._answer(event)
            await asyncio.sleep(0)  # buffered events would be read without a pause
            event = await read_event(self._reader)
        await self._close()
        return "left"

    async def _answer(self, event: Event) -> None:
        if AudioChunk.is_type(event.type):
            await self._hear(event)
        elif AudioStart.is_type(event.type):
            self._start_stream(pcm_format(event.data), timestamp(event.data))
        elif AudioStop.is_type(event.type):
            await self._stop()
        elif Detect.is_type(event.type):
            await self._choose(event.data.get("names"))
        elif Describe.is_type(event.type):
            await self._send(self._spotters.info.event())
        elif Ping.is_type(event.type):
            await self._pong(event.data.get("text"))

    async def _pong(self, text: object) -> None:
        if not isinstance(text, str | None):
            raise ProtocolError("the text of a ping is not a string")
        await self._send(Pong(text).event())

    async def _choose(self, names: object) -> None:
        """Take the keywords of a client; none stands for all."""
        if not isinstance(names, list | None) or not all(isinstance(n, str) for n in names or ()):
            raise ProtocolError("names is not a list of names")
        self._end_stream()
        self._wanted = frozenset(names) if names else self._spotters.keywords
        unknown = sorted(one_line(n[:100]) for n in self._wanted - self._spotters.keywords)[:10]
        self._wanted &= self._spotters.keywords
        chosen = sorted(self._wanted)
        self._report("detect", ", ".join(chosen) or "nothing", names=chosen, unknown=unknown)
        if unknown:
            known = ", ".join(sorted(self._spotters.keywords))
            text = f"no model {', '.join(unknown)}; there are {known}"
            await self._send(Error(text, "unknown-model").event())

    def _start_stream(self, pcm: PcmFormat, start_ms: float | None) -> Stream:
        self._end_stream()
        self._detector = self._spotters.take()
        if self._detector is None:
            raise ProtocolError("all detectors are in use; start the server with more --clients")
        self._stream = Stream(self._detector, pcm, start_ms)
        return self._stream

    def _end_stream(self) -> None:
        """Forget the stream, if there is one, and return its detector."""
        if self._stream is not None:
            self._heard_s += self._stream.seconds
            self._stream = None
        if self._detector is not None:
            self._spotters.give_back(self._detector)
            self._detector = None
        self._detections = 0

    async def _hear(self, event: Event) -> None:
        pcm, sent_ms = pcm_format(event.data), timestamp(event.data)
        stream = self._stream or self._start_stream(pcm, sent_ms)
        if pcm != stream.pcm:
            raise ProtocolError(f"the format changed within a stream, from {stream.pcm} to {pcm}")
        for number, matches in enumerate(stream.add(event.payload or b"", sent_ms)):
            if number:
                await asyncio.sleep(0)
            await self._send_wanted(matches)

    async def _stop(self) -> None:
        if self._stream is not None:
            await self._send_wanted(self._stream.end())
        if not self._detections:
            self._report("not-detected")
            await self._send(NotDetected().event())
        self._end_stream()

    async def _send_wanted(self, matches: list[Match]) -> None:
        for event, timestamp_ms in matches:
            if event.keyword in self._wanted:
                self._detections += 1
                self._all_detections += 1
                text = f"{event.keyword}  {event.score:.2f}  at {timestamp_ms} ms"
                score = round(event.score, 4)
                fields = {"name": event.keyword, "timestamp": timestamp_ms, "score": score}
                self._report("detection", text, **fields)
                await self._send(Detection(event.keyword, timestamp_ms).event())

    async def _send(self, event: Event) -> None:
        await write_event(event, self._writer)

    async def _refuse(self, reason: str) -> None:
        """Say why, and wait for the client to read it: closing at once could discard the answer."""
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._send(Error(reason, "protocol").event())
                self._writer.write_eof()
                while await self._reader.read(MAX_LINE):
                    await asyncio.sleep(0)
        except (TimeoutError, OSError):
            pass  # it does not want to know

    async def _close(self) -> None:
        """Deliver what has been written."""
        self._writer.close()
        async with asyncio.timeout(STALL_S):
            await self._writer.wait_closed()

    def _report(self, kind: Kind, text: str = "", **data: object) -> None:
        self._log(Record(kind, text, self._name, data))
