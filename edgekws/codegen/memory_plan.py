"""Where each buffer lies in one array of bytes; buffers that are never alive together overlap."""

from dataclasses import dataclass
from itertools import chain

from edgekws.codegen.ir import Buffer, Network, reads, writes

ALIGNMENT = 16
SLACK = 64
"""Bytes behind the last buffer that a kernel may read, but does not use."""


@dataclass(frozen=True)
class MemoryPlan:
    """`offsets` by the names of buffers; `size` of the whole array, `SLACK` included.

    The first `kept` bytes keep their contents between runs.
    """

    offsets: dict[str, int]
    kept: int
    size: int


def plan(network: Network) -> MemoryPlan:
    """Place what is kept first, then the others, the largest first, each as low as it fits."""
    alive = _lifetimes(network)
    offsets: dict[str, int] = {}
    end = 0
    for buffer in (b for b in network.buffers if b.kind != "scratch"):
        offsets[buffer.name] = end
        end += _aligned(buffer.size)
    kept = peak = end
    placed: list[Buffer] = []
    scratch = [b for b in network.buffers if b.kind == "scratch" and b.name in alive]
    for buffer in sorted(scratch, key=lambda b: (-b.size, b.name)):
        neighbours = [b for b in placed if _overlap(alive[b.name], alive[buffer.name])]
        offsets[buffer.name] = _lowest(buffer, neighbours, offsets, kept)
        placed.append(buffer)
        peak = max(peak, offsets[buffer.name] + _aligned(buffer.size))
    return MemoryPlan(offsets, kept, peak + SLACK)


def _lifetimes(network: Network) -> dict[str, tuple[int, int]]:
    """Return the first and the last operator that touches each buffer."""
    alive: dict[str, tuple[int, int]] = {}
    for number, operator in enumerate(network.operators):
        for span in chain(reads(operator), writes(operator)):
            first, _ = alive.get(span.buffer, (number, number))
            alive[span.buffer] = (first, number)
    return alive


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _lowest(buffer: Buffer, neighbours: list[Buffer], offsets: dict[str, int], start: int) -> int:
    for neighbour in sorted(neighbours, key=lambda b: offsets[b.name]):
        if start + buffer.size <= offsets[neighbour.name]:
            break
        start = max(start, offsets[neighbour.name] + _aligned(neighbour.size))
    return start


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
