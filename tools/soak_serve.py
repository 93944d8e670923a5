"""Serve clients at real-time pace for minutes, then malformed sessions, and look for losses.

    python tools/soak_serve.py dist/quickstart --clients 20 --minutes 10 --malformed 1000
        [--audio FOLDER …] [--output FILE.json]

`edgekws serve` runs in a process of its own. Each client sends a track of its own, over and over as
separate streams, in chunks as a microphone gives them: golden clips of the bundle at random times
over recordings of `--audio`, or over noise. What the bundle's runtime detects in the same track,
and after which chunk, is known beforehand: an event that does not come is lost, one that is not
expected is extra, and lateness is the time from the sending of that chunk to the arrival of the
event. It includes the delays of the clients, which share the machine; those of their own event loop
are measured beside it, on a timer. So is the time for which the server was ready to run and had no
core: where other programs take them, events are late, whatever the server does.

Then malformed sessions: those of `tests/serving/malformed.py` and random damage to sound ones, each
ended by the client in one of four ways, beside a client whose events are still checked. Memory,
file descriptors and threads of the server are read before and after, and every connection that the
server reports has to be reported as ended.

The exit code is 1 where an event was lost, extra or more than 100 ms late, or something leaked.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import psutil
import soundfile
from numpy.typing import NDArray
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.wake import Detect, Detection, NotDetected

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from edgekws.audio.reading import AUDIO_SUFFIXES, read_blocks  # noqa: E402
from edgekws.runtime.detect import Detector  # noqa: E402
from tests.serving.malformed import BROKEN_OFF, ODD, SESSIONS, chunk, event  # noqa: E402

LATE_MS = 100.0
CHUNKS = (320, 512, 1024, 1600)
"""Samples per chunk, by client in turn."""

SETTLED_S = 60.0
"""Memory is compared from then on: by then every client has its stream."""

GROWTH_KIB = 2048
"""Growth of the server that is put down to its allocator."""

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Track:
    """What a client sends and gets: for each event its chunk, keyword and timestamp in ms.

    An event of the end of the stream has the number of chunks, which stands for `audio-stop`.
    """

    samples: Samples
    chunk: int
    names: tuple[str, ...]
    expected: tuple[tuple[int, str, int], ...]


@dataclass
class Tally:
    """What the clients got."""

    streams: int = 0
    events: int = 0
    lost: int = 0
    extra: int = 0
    late_ms: list[float] = field(default_factory=list)
    loop_late_ms: list[float] = field(default_factory=list)


def background(folders: list[Path], seconds: float, rate: int, draw: random.Random) -> Samples:
    """Return audio of the folders from a random file on, or noise."""
    files = sorted(p for f in folders for p in f.rglob("*") if p.suffix in AUDIO_SUFFIXES)
    length = round(seconds * rate)
    if not files:
        noise = np.random.default_rng(draw.randrange(1 << 32)).standard_normal(length)
        return (100 * noise).astype(np.int16)
    parts, size = [np.zeros(0, np.float32)], 0
    while size < length:
        for block in read_blocks(draw.choice(files), rate):
            parts.append(block)
            size += len(block)
    return (np.concatenate(parts)[:length] * 32767).astype(np.int16)


def make_track(detector: Detector, bundle: Path, number: int, options: argparse.Namespace) -> Track:
    """Return the track of a client, the same for the same seed."""
    draw, rate = random.Random(f"{options.seed} {number}"), detector.sample_rate
    samples = background(options.audio, options.track_s, rate, draw)
    clips = [soundfile.read(path, dtype="int16")[0] for path in sorted(bundle.glob("golden/*.wav"))]
    place = round(draw.uniform(0.5, 4) * rate)
    while place + rate < len(samples):
        clip = draw.choice(clips)[: len(samples) - place]
        samples[place : place + len(clip)] = clip
        place += round(draw.uniform(3, 8) * rate)
    keywords = detector.trigger.keywords
    names = tuple(draw.sample(keywords, draw.randint(1, len(keywords)))) if number % 2 else ()
    size = CHUNKS[number % len(CHUNKS)]
    starts = range(0, len(samples), size)
    events = [(n, e) for n, at in enumerate(starts) for e in detector.feed(samples[at : at + size])]
    events += [(len(starts), e) for e in detector.flush()]
    wanted = ((n, e.keyword, round(1000 * e.end_s)) for n, e in events)
    return Track(samples, size, names, tuple(w for w in wanted if not names or w[1] in names))


async def stream(client: AsyncTcpClient, track: Track, rate: int, tally: Tally) -> None:
    """Send a track at real-time pace, and compare what comes back."""
    sent_at: list[float] = []
    got: list[tuple[str | None, int | None, float]] = []

    async def receive() -> None:
        while (answer := await client.read_event()) is not None:
            if Detection.is_type(answer.type):
                detection = Detection.from_event(answer)
                got.append((detection.name, detection.timestamp, time.perf_counter()))
            if NotDetected.is_type(answer.type) or len(got) >= len(track.expected):
                return

    receiving = asyncio.create_task(receive())
    await client.write_event(AudioStart(rate, 2, 1).event())
    begun = time.perf_counter()
    for n, first in enumerate(range(0, len(track.samples), track.chunk), 1):
        piece = track.samples[first : first + track.chunk]
        due = begun + n * track.chunk / rate  # when a microphone would have recorded it
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent_at.append(time.perf_counter())
        await client.write_event(AudioChunk(rate, 2, 1, piece.tobytes()).event())
    sent_at.append(time.perf_counter())
    await client.write_event(AudioStop().event())
    await asyncio.wait({receiving}, timeout=5)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    compare(track, sent_at, got, tally)


def compare(
    track: Track,
    sent_at: list[float],
    got: list[tuple[str | None, int | None, float]],
    tally: Tally,
) -> None:
    """Count the events of a stream."""
    wanted: Counter[tuple[str | None, int | None]] = Counter(w[1:] for w in track.expected)
    arrived = Counter(event[:2] for event in got)
    tally.streams += 1
    tally.events += len(got)
    tally.lost += (wanted - arrived).total()
    tally.extra += (arrived - wanted).total()
    for (number, keyword, end_ms), (name, timestamp, at) in zip(track.expected, got, strict=False):
        if (keyword, end_ms) == (name, timestamp):
            tally.late_ms.append(1000 * (at - sent_at[number]))


async def converse(port: int, track: Track, rate: int, until: float, tally: Tally) -> None:
    """Be one client, which sends its track until the time is over."""
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Detect(list(track.names) or None).event())
        while time.monotonic() < until:
            await stream(client, track, rate, tally)


async def watch_loop(tally: Tally) -> None:
    """Note how late a timer of this process is."""
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.05)
        tally.loop_late_ms.append(1000 * (time.perf_counter() - begun - 0.05))


class Served:
    """The server in its process, what it reports, and what it holds."""

    def __init__(self, bundle: Path, clients: int) -> None:
        uri = "tcp://127.0.0.1:0"
        command = [
            sys.executable,
            "-m",
            "edgekws",
            "serve",
            str(bundle.resolve()),
            "--uri",
            uri,
            "--json",
        ]
        self._process = subprocess.Popen(
            [*command, "--uri", uri, "--clients", str(clients)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        self.port = int(json.loads(self._process.stdout.readline())["uri"].rpartition(":")[2])
        self.kinds: Counter[str] = Counter()
        self._reading = Thread(target=self._read)
        self._reading.start()
        self._info = psutil.Process(self._process.pid)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.kinds[json.loads(line)["event"]] += 1

    def held(self) -> dict[str, float]:
        """Return memory, descriptors, threads, and seconds on a core and waiting for one."""
        schedule = Path(f"/proc/{self._process.pid}/schedstat").read_text().split()
        return {
            "rss_kib": self._info.memory_info().rss / 1024,
            "descriptors": self._info.num_fds(),
            "threads": self._info.num_threads(),
            "cpu_s": round(int(schedule[0]) / 1e9, 2),
            "waited_s": round(int(schedule[1]) / 1e9, 2),
        }

    def stop(self) -> int:
        """End the server as systemd does, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=30)
        self._reading.join()
        return code


async def sample(served: Served, every_s: float, samples: list[dict[str, float]]) -> None:
    """Read what the server holds now and then."""
    begun = time.monotonic()
    while True:
        await asyncio.sleep(every_s)
        samples.append({"at_s": round(time.monotonic() - begun, 1), **served.held()})


@asynccontextmanager
async def beside(*work: Any) -> AsyncIterator[None]:
    """Run coroutines beside the block, and cancel them after it."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def summary(values: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the largest."""
    if not values:
        return {"n": 0}
    p50, p99 = np.percentile(values, [50, 99])
    figures = {"p50": float(p50), "p99": float(p99), "max": max(values)}
    return {"n": len(values), **{name: round(value, 2) for name, value in figures.items()}}


def most_waited(samples: list[dict[str, float]]) -> float:
    """Return the largest share of the time between two samples in which a core was waited for."""
    pairs = itertools.pairwise(samples)
    shares = [(b["waited_s"] - a["waited_s"]) / (b["at_s"] - a["at_s"]) for a, b in pairs]
    return max(shares, default=0.0)


async def soak(served: Served, tracks: list[Track], rate: int, minutes: float) -> dict[str, Any]:
    """Serve all clients for some minutes."""
    tally, held = Tally(), [served.held()]
    samples: list[dict[str, float]] = []
    begun = time.monotonic()
    until = begun + 60 * minutes
    async with beside(watch_loop(tally), sample(served, min(10, 6 * minutes), samples)):
        await asyncio.gather(*(converse(served.port, t, rate, until, tally) for t in tracks))
    held.append(served.held())
    passed_s = time.monotonic() - begun
    memory = [s["rss_kib"] for s in samples if s["at_s"] >= min(SETTLED_S, passed_s / 3)]
    return {
        "clients": len(tracks),
        "seconds": round(passed_s, 1),
        "streams": tally.streams,
        "events": tally.events,
        "lost": tally.lost,
        "extra": tally.extra,
        "late_ms": summary(tally.late_ms),
        "later_than_100_ms": sum(late > LATE_MS for late in tally.late_ms),
        "timer_late_ms": summary(tally.loop_late_ms),
        "cpu_share": round((held[1]["cpu_s"] - held[0]["cpu_s"]) / passed_s, 4),
        "waited_share": round((held[1]["waited_s"] - held[0]["waited_s"]) / passed_s, 4),
        "most_waited_share": round(most_waited(samples), 4),
        "rss_kib": {"settled": memory[0], "end": memory[-1], "max": max(memory)},
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def damaged(draw: random.Random) -> bytes:
    """Return a sound session with some bytes changed, left out, doubled or added."""
    names = event("detect", {"names": ["a", "b"]})
    session = bytearray(event("describe") + names + 5 * chunk() + event("audio-stop"))
    for _ in range(draw.randint(1, 5)):
        place, length = draw.randrange(len(session)), draw.randint(1, 40)
        part = session[place : place + length]
        session[place : place + length] = draw.choice(
            (b"", 2 * part, draw.randbytes(length), bytes(len(part)), part[::-1])
        )
    return bytes(session)


async def malformed(port: int, sent: bytes, draw: random.Random) -> None:
    """Send bytes, and leave in one of four ways."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        way = draw.choice(("abort", "half-close", "close", "stall"))
        if way == "half-close":
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 2)
        elif way == "stall":
            await asyncio.sleep(draw.uniform(0, 0.5))
        writer.transport.abort() if way == "abort" else writer.close()
    except (OSError, TimeoutError):
        pass  # refused, as it should be


async def harass(served: Served, track: Track, rate: int, count: int, seed: int) -> dict[str, Any]:
    """Open malformed sessions, eight at a time, while one sound client is served."""
    draw, tally = random.Random(seed), Tally()
    named = [*SESSIONS.values(), *BROKEN_OFF.values(), *ODD.values()]
    drawn = [draw.choice(named) if draw.random() < 0.5 else damaged(draw) for _ in range(count)]
    sessions = [*named, *drawn][:count]
    for sent in sessions[:100]:  # so that every path has been gone once before the first reading
        await malformed(served.port, sent, draw)
    before = await settled(served)
    sound = asyncio.create_task(converse(served.port, track, rate, time.monotonic() + 1, tally))
    for first in range(0, count, 8):
        batch = sessions[first : first + 8]
        await asyncio.gather(*(malformed(served.port, sent, draw) for sent in batch))
    await sound
    after = await settled(served)
    return {
        "sessions": count,
        "refused": served.kinds["refused"],
        "failed": served.kinds["failed"],
        "connections_left": served.kinds["connected"] - served.kinds["disconnected"],
        "events_beside": tally.events,
        "lost_beside": tally.lost + tally.extra,
        "before": before,
        "after": after,
    }


async def settled(served: Served) -> dict[str, float]:
    """Return what the server holds once every connection has ended."""
    for _ in range(100):
        await asyncio.sleep(0.1)
        if served.kinds["connected"] == served.kinds["disconnected"]:
            break
    return served.held()


def faults(result: dict[str, Any]) -> list[str]:
    """Return what should not have happened."""
    steady, rough = result["steady"], result["malformed"]
    grown = {
        "memory at real-time pace": steady["rss_kib"]["end"] - steady["rss_kib"]["settled"],
        "memory after malformed sessions": rough["after"]["rss_kib"] - rough["before"]["rss_kib"],
    }
    counts = {
        "events lost": steady["lost"] + rough["lost_beside"],
        "events extra": steady["extra"],
        "events late": steady["later_than_100_ms"],
        "clients that failed": rough["failed"],
        "connections left": rough["connections_left"],
        "descriptors left": rough["after"]["descriptors"] - rough["before"]["descriptors"],
        "threads left": rough["after"]["threads"] - rough["before"]["threads"],
        "exit code": result["exit_code"],
    }
    return [
        *(f"{name}: {kib:.0f} KiB more" for name, kib in grown.items() if kib > GROWTH_KIB),
        *(f"{name}: {count:g}" for name, count in counts.items() if count > 0),
    ]


def priority() -> dict[str, object]:
    """Return how Linux schedules this process, and the server with it."""
    realtime = os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)
    return {"realtime": realtime, "nice": os.nice(0)}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Soak a server, and return the result."""
    detector = Detector(options.bundle)
    rate = detector.sample_rate
    tracks = [make_track(detector, options.bundle, n, options) for n in range(options.clients)]
    served = Served(options.bundle, options.clients + 9)
    try:
        steady = asyncio.run(soak(served, tracks, rate, options.minutes))
        rough = asyncio.run(harass(served, tracks[0], rate, options.malformed, options.seed))
    finally:
        code = served.stop()
    return {"steady": steady, "malformed": rough, "exit_code": code}


def main() -> int:
    """Run the command line; return 1 where something was lost or leaked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--malformed", type=int, default=1000)
    parser.add_argument("--audio", type=Path, nargs="*", default=[])
    parser.add_argument("--track-s", type=float, default=60, help="length of a client's track")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    result = {"command": " ".join(["python", *sys.argv]), "priority": priority(), **run(options)}
    result["faults"] = faults(result)
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
