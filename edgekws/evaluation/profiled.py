"""What a profile holds: times, operators, memory and ratios."""

from dataclasses import dataclass
from typing import Any, Literal

from edgekws.core import figures
from edgekws.core.measurement import Measurement

What = Literal["network", "front end", "audio → label", "floor"]
How = Literal["session.run", "I/O binding"]


@dataclass(frozen=True)
class Timing:
    """Times of one inference in µs over `n` runs, with 95 % intervals over the processes.

    Of `blocks` of runs, `left_out` were spent waiting for a CPU and do not count. `cpu_us` is the
    median CPU time of all threads, `waited` the share of the time in which a process had to wait
    for a CPU (`None` with several threads). `quantiles_us` are the percentiles 0 to 100,
    `process_us` the median of every process.
    """

    subject: str
    what: What
    how: How
    n: int
    p50_us: float
    p50_ci95: tuple[float, float]
    p90_us: float
    p90_ci95: tuple[float, float]
    p99_us: float
    p99_ci95: tuple[float, float]
    blocks: int
    left_out: int
    cpu_us: float
    waited: float | None
    quantiles_us: tuple[float, ...]
    process_us: tuple[float, ...]


@dataclass(frozen=True)
class Node:
    """One operator of the graph that is executed, `us` an inference, `share` of the median."""

    name: str
    op: str
    us: float
    share: float


@dataclass(frozen=True)
class Operators:
    """Where the median goes: `call_us` is what a call costs before the first node, the floor.

    `profiler_us` is what the profiler itself cost a node, which is taken off.
    """

    subject: str
    what: What
    call_us: float
    profiler_us: float
    runs: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Weight:
    """What a model weighs: its counts, and what it adds to the memory of a process, in KiB."""

    subject: str
    measurements: tuple[Measurement, ...]
    session_kib: float
    runs_kib: float


@dataclass(frozen=True)
class Ratio:
    """How many times as long `of` takes as `to`."""

    of: str
    to: str
    what: What
    ratio: float
    ci95: tuple[float, float]
    verdict: Literal["faster", "slower", "not told apart"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All that was measured. Without a level control, `ratios` is empty: there is no verdict."""

    subjects: tuple[str, ...]
    timings: tuple[Timing, ...]
    operators: tuple[Operators, ...]
    weights: tuple[Weight, ...]
    ratios: tuple[Ratio, ...]
    control: str
    level: bool
    control_ratio: float
    control_ratio_ci95: tuple[float, float]
    processes: int
    attempts: int
    settings: dict[str, Any]
    fingerprint: dict[str, Any]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the ratios say, and what the control: a line each."""
        own = f"{figures.ratio(self.control_ratio)} × itself {_bounds(self.control_ratio_ci95)}"
        if not self.level:
            return (
                f"no verdict: {self.control} measured {own}, whose interval does not lie within "
                "3 % of 1; close other programs, or measure longer with --seconds",
            )
        told = [
            f"{one.what}: {one.of} takes {figures.ratio(one.ratio)} × the time of {one.to} "
            f"{_bounds(one.ci95)}: {one.verdict}"
            for one in self.ratios
        ]
        return *told, f"control: {self.control} measured {own}: level"

    def parts(self, subject: str) -> dict[str, float]:
        """Return the shares of audio → label that front end, network and the rest have.

        Empty where the subject has no front end.
        """
        whole = self.timing(subject, "audio → label")
        ends = self.timing(subject, "front end"), self.timing(subject, "network")
        if whole is None or ends[0] is None or ends[1] is None:
            return {}
        shares = [one.p50_us / whole.p50_us for one in ends if one]
        return {"front end": shares[0], "network": shares[1], "rest": 1 - sum(shares)}

    def timing(self, subject: str, what: What, how: How = "session.run") -> Timing | None:
        """Return the times of one entry, `None` where it was not measured."""
        for one in self.timings:
            if (one.subject, one.what, one.how) == (subject, what, how):
                return one
        return None


def judged(ci95: tuple[float, float]) -> Literal["faster", "slower", "not told apart"]:
    """Say what the interval of a ratio says.

    >>> judged((0.91, 0.97)), judged((0.99, 1.01)), judged((1.002, 1.02))
    ('faster', 'not told apart', 'slower')
    """
    if ci95[1] < 1:
        return "faster"
    return "slower" if ci95[0] > 1 else "not told apart"


def _bounds(ci95: tuple[float, float]) -> str:
    return figures.interval("latency_ratio", ci95)
