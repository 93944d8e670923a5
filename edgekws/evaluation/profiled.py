"""The contents of a profile: times, operators, memory and ratios."""

from dataclasses import dataclass
from typing import Any, Literal

from edgekws.core import figures
from edgekws.core.measurement import Measurement

What = Literal["network", "front end", "audio → label", "floor"]
How = Literal["session.run", "I/O binding", "C"]


@dataclass(frozen=True)
class Timing:
    """Times of one inference in µs over `n` runs, with 95 % intervals over the processes.

    Of `blocks` of runs, `left_out` were spent waiting for a CPU and are excluded. `cpu_us` is the
    median CPU time of all threads, `waited` the share of time that a process waited for a CPU
    (`None` with several threads). `quantiles_us` are the percentiles 0 to 100, `process_us` the
    median of every process.
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
    """One operator of the executed graph: `us` per inference, and its `share` of the median."""

    name: str
    op: str
    us: float
    share: float


@dataclass(frozen=True)
class Operators:
    """A breakdown of the median: `call_us` is the cost of a call before its first node (floor).

    `profiler_us` is the profiler's overhead per node, which is subtracted.
    """

    subject: str
    what: What
    call_us: float
    profiler_us: float
    runs: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Weight:
    """The size of a model: its counts, and the memory that it adds to a process, in KiB."""

    subject: str
    measurements: tuple[Measurement, ...]
    session_kib: float
    runs_kib: float


@dataclass(frozen=True)
class Ratio:
    """The time of `of` as a multiple of the time of `to`."""

    of: str
    to: str
    what: What
    ratio: float
    ci95: tuple[float, float]
    verdict: Literal["faster", "slower", "no measurable difference"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All measurements. Without a level control, `ratios` is empty: there is no verdict."""

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
        """One line for each ratio, and one for the control."""
        bounds = _bounds(self.control_ratio_ci95)
        itself = f"{figures.ratio(self.control_ratio)} × itself {bounds}"
        if not self.level:
            return (
                f"no verdict: {self.control} measured {itself}, whose interval does not lie within "
                "3 % of 1; close other programs, or measure longer with --seconds",
            )
        lines = [
            f"{ratio.what}: {ratio.of} takes {figures.ratio(ratio.ratio)} × the time of {ratio.to} "
            f"{_bounds(ratio.ci95)}: {ratio.verdict}"
            for ratio in self.ratios
        ]
        return *lines, f"control: {self.control} measured {itself}: level"

    def parts(self, subject: str) -> dict[str, float]:
        """Return the shares of front end, network and the rest in audio → label.

        Empty if the subject has no front end.
        """
        whole = self.timing(subject, "audio → label")
        ends = self.timing(subject, "front end"), self.timing(subject, "network")
        if whole is None or ends[0] is None or ends[1] is None:
            return {}
        shares = [timing.p50_us / whole.p50_us for timing in ends if timing]
        return {"front end": shares[0], "network": shares[1], "rest": 1 - sum(shares)}

    def timing(self, subject: str, what: What, how: How = "session.run") -> Timing | None:
        """Return the times of one entry, `None` if it was not measured."""
        for timing in self.timings:
            if (timing.subject, timing.what, timing.how) == (subject, what, how):
                return timing
        return None


def judged(ci95: tuple[float, float]) -> Literal["faster", "slower", "no measurable difference"]:
    """Return the verdict for the interval of a ratio.

    >>> judged((0.91, 0.97)), judged((0.99, 1.01)), judged((1.002, 1.02))
    ('faster', 'no measurable difference', 'slower')
    """
    if ci95[1] < 1:
        return "faster"
    return "slower" if ci95[0] > 1 else "no measurable difference"


def _bounds(ci95: tuple[float, float]) -> str:
    return figures.interval("latency_ratio", ci95)
