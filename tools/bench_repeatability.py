"""How far the intervals of a latency can be trusted: the same measurement in separate runs.

    python tools/bench_repeatability.py dist/arabic-5 runs/arabic-5/latest/baseline/naive_fp32.onnx

Each run measures, in one go and as `compress` does, the plain FP32 export as the control, the same
file once more (A/A) and the bundle's model (A/B). Told is how many of the 95 % intervals hold the
median over all runs, and how many of the A/A ratios hold 1. Ratios are there for runs whose control
was level.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from edgekws.core.latency_run import LatencyRun
from edgekws.core.measurement import Measurement
from edgekws.targets.host import Target

CONTROL, SAME, BUNDLE = "plain export", "plain export again", "bundle"


@dataclass(frozen=True)
class Row:
    """One figure over all runs: how many of its intervals hold what they should."""

    figure: str
    held: int
    of: int
    truth: float
    least: float
    most: float
    width: float


def row(figure: str, found: Sequence[Measurement], truth: float | None = None) -> Row:
    """Return how many intervals hold `truth`, by default the median of the values.

    `width` is the median width of the intervals, as a share of the truth.
    """
    values = [one.value for one in found]
    truth = median(values) if truth is None else truth
    intervals = [one.ci95 for one in found if one.ci95]
    held = sum(low <= truth <= high for low, high in intervals)
    width = median((high - low) / truth for low, high in intervals)
    return Row(figure, held, len(intervals), truth, min(values), max(values), width)


def rows(runs: Sequence[LatencyRun]) -> list[Row]:
    """Return A/A, A/B and the percentiles of both models."""
    table = []
    for name, truth in ((SAME, 1.0), (BUNDLE, None)):
        ratios = [m for run in runs for m in run.measurements(name) if m.metric == "latency_ratio"]
        if ratios:
            table.append(row(f"{name} / {CONTROL}", ratios, truth))
    for q in ("p50", "p90", "p99"):
        for name in (CONTROL, BUNDLE):
            found = [m for run in runs for m in run.measurements(name) if f"_{q}_" in m.metric]
            table.append(row(f"{q} of {name}, µs", found))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="folder of a bundle")
    parser.add_argument("naive", type=Path, help="baseline/naive_fp32.onnx of the run it came from")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    models = {CONTROL: options.naive, SAME: options.naive, BUNDLE: options.bundle / "model.onnx"}
    started = time.monotonic()
    runs = [Target().measure(models, CONTROL) for _ in range(options.runs)]
    seconds = (time.monotonic() - started) / len(runs)
    table = rows(runs)
    level = sum(run.level for run in runs)
    if options.json:
        print(json.dumps({"level": level, "rows": [asdict(one) for one in table]}))
        return
    print(f"{len(runs)} runs of {seconds:.1f} s, the control level in {level}")
    print(f"{'figure':<34}{'held':>9}  {'median':>8}  {'least … most':>19}  width")
    for one in table:
        spread = f"{one.least:.4g} … {one.most:.4g}"
        held = f"{one.held} of {one.of}"
        print(f"{one.figure:<34}{held:>9}  {one.truth:>8.4g}  {spread:>19}  {one.width:.1%}")


if __name__ == "__main__":
    main()
