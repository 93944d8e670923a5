"""Measurements of a whole bundle: its front end, and front end and network together."""

from collections.abc import Iterable
from pathlib import Path

from edgekws.bundle.device_files import bundle_size_kib
from edgekws.core.events import Emit
from edgekws.core.latency_run import Files, LatencyRun
from edgekws.core.measurement import Measurement
from edgekws.core.protocols import Target
from edgekws.engine.measure import timed

FRONT_END, NETWORK = "frontend.onnx", "model.onnx"


def whole_counts(
    bundle: Path, network: Iterable[Measurement], window_s: float
) -> tuple[Measurement, ...]:
    """Return the counts of a bundle other than those of its `network`: front end, and both.

    MACs are per second of audio. The buffers of both are added up, as `detect.py` keeps a session
    for each, which does not release its memory between runs.
    """
    import onnx

    from edgekws.metrics import graph, memory

    file = bundle / FRONT_END
    front_end = onnx.load(str(file))
    macs, ram_kib = graph.macs(front_end) / window_s, memory.peak_ram_kib(front_end)
    of_network = {m.metric: m.value for m in network}
    return (
        Measurement("front_end_size_kib", file.stat().st_size / 1024, "KiB"),
        Measurement("front_end_macs", macs, "/s"),
        Measurement("front_end_peak_ram_kib", ram_kib, "KiB"),
        Measurement("bundle_size_kib", bundle_size_kib(bundle), "KiB"),
        Measurement("total_macs", of_network["macs"] + macs, "/s"),
        Measurement("total_peak_ram_kib", of_network["peak_ram_kib"] + ram_kib, "KiB"),
    )


def time_whole(
    bundle: Path, target: Target, cache: Path, emit: Emit, *, fresh: bool = False
) -> LatencyRun:
    """Return the latency of the front end, and of both: from a window of audio to a label.

    Both are timed interleaved, with the front end as the control. `fresh` discards cached results.
    """
    front_end, network = bundle / FRONT_END, bundle / NETWORK
    models: dict[str, Files] = {"model": (front_end, network), "front end": front_end}
    return timed(models, "front end", target, cache, emit, fresh=fresh)


def whole_latencies(run: LatencyRun) -> tuple[Measurement, ...]:
    """Return the latencies of the front end and of both from `time_whole`, without a ratio."""
    return as_whole(run.measurements(run.control), run.measurements("model"))


def as_whole(
    front_end: Iterable[Measurement], both: Iterable[Measurement]
) -> tuple[Measurement, ...]:
    """Return the latencies of two models under their names in a bundle."""
    return (
        *_renamed("front_end_", front_end, ("latency_p50_us", "latency_p90_us")),
        *_renamed("total_", both, ("latency_p50_us", "latency_p90_us", "latency_p99_us")),
    )


def _renamed(
    prefix: str, measurements: Iterable[Measurement], metrics: tuple[str, ...]
) -> Iterable[Measurement]:
    return (
        Measurement(prefix + m.metric, m.value, m.unit, m.n, m.ci95)
        for m in measurements
        if m.metric in metrics
    )
