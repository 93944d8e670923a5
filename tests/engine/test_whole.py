"""A bundle as a whole: front end and network, counted, weighed and timed together."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import onnx
import pytest

from edgekws.bundle.device_files import bundle_size_kib, device_files
from edgekws.core.events import quiet
from edgekws.core.fields import Fields
from edgekws.core.footprint import Footprint
from edgekws.core.latency_run import Files, LatencyRun, ModelLatency
from edgekws.core.measurement import BUNDLE_METRICS, FOOTPRINT_METRICS, Measurement
from edgekws.engine.measure import count
from edgekws.engine.whole import time_whole, whole_counts, whole_latencies
from edgekws.metrics import graph, memory

NEEDED = ("detect.py", "labels.txt", "manifest.json")


def kib(bundle: Path, *names: str) -> float:
    return sum((bundle / name).stat().st_size for name in names) / 1024


def test_front_end_and_network_are_added_up(packed: Path) -> None:
    network, half = count(packed / "model.onnx", 0.5), onnx.load(packed / "frontend.onnx")
    result = {m.metric: m.value for m in whole_counts(packed, network, 0.5)}
    own = {m.metric: m.value for m in network}
    assert result["front_end_macs"] == graph.macs(half) / 0.5
    assert result["total_macs"] == (graph.macs(half) + graph.macs(packed / "model.onnx")) / 0.5
    assert result["front_end_size_kib"] == kib(packed, "frontend.onnx")
    assert result["front_end_peak_ram_kib"] == memory.peak_ram_kib(half)
    assert result["total_peak_ram_kib"] == memory.peak_ram_kib(half) + own["peak_ram_kib"]
    assert result["bundle_size_kib"] == bundle_size_kib(packed)


def test_the_size_is_that_of_what_a_device_needs(bundle: Path) -> None:
    clip = kib(bundle, "frontend.onnx", "model.onnx", *NEEDED)
    assert bundle_size_kib(bundle) == clip
    for name in ("MODEL_CARD.md", "SHA256SUMS", "golden/00.wav", "golden/golden.json"):
        (bundle / name).write_bytes(bytes(10_000_000))
    assert bundle_size_kib(bundle) == clip
    with (bundle / "frontend_stream.onnx").open("ab") as file:
        file.write(bytes(100_000))
    assert bundle_size_kib(bundle) == kib(bundle, "frontend_stream.onnx", "model.onnx", *NEEDED)


def test_a_stream_takes_the_streaming_form_where_there_is_one(bundle: Path) -> None:
    assert bundle / "model.onnx" in device_files(bundle)["stream"]
    shutil.copyfile(bundle / "model.onnx", bundle / "stream.onnx")
    streamed = device_files(bundle)["stream"]
    assert bundle / "stream.onnx" in streamed
    assert bundle / "model.onnx" not in streamed
    assert bundle / "stream.onnx" not in device_files(bundle)["clip"]


class Stopwatch(Fields):
    """A target that takes 100 µs a model."""

    kind: Literal["stopwatch"] = "stopwatch"
    threads: int = 1
    seconds: float = 0.0
    has_footprint: bool = False

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def measure(self, models: Mapping[str, Files], control: str) -> LatencyRun:
        result = {}
        for name, files in models.items():
            us = 100.0 * (1 if isinstance(files, Path) else len(files))
            bounds = ((us, us), (2 * us, 2 * us), (3 * us, 3 * us))
            result[name] = ModelLatency(us, 2 * us, 3 * us, *bounds, 10, None, None)
        return LatencyRun(result, control, level=True, control_ratio=1.0,
                          control_ratio_ci95=(1.0, 1.0), attempts=1, fingerprint={})  # fmt: skip

    def footprint(self, bundle: Path) -> Footprint:
        raise NotImplementedError


def test_latency_is_timed_from_audio_to_label(packed: Path, tmp_path: Path) -> None:
    result = {
        m.metric: m.value for m in whole_latencies(time_whole(packed, Stopwatch(), tmp_path, quiet))
    }
    assert result == {
        "front_end_latency_p50_us": 100,
        "front_end_latency_p90_us": 200,
        "total_latency_p50_us": 200,
        "total_latency_p90_us": 400,
        "total_latency_p99_us": 600,
    }


def test_every_metric_of_a_bundle_is_measured(packed: Path, tmp_path: Path) -> None:
    network: tuple[Measurement, ...] = count(packed / "model.onnx", 1.0)
    result = whole_counts(packed, network, 1.0) + whole_latencies(
        time_whole(packed, Stopwatch(), tmp_path, quiet)
    )
    assert sorted(m.metric for m in result) == sorted({*BUNDLE_METRICS} - {*FOOTPRINT_METRICS})
    assert not {m.metric for m in network} & set(BUNDLE_METRICS)


@pytest.mark.parametrize("metric", BUNDLE_METRICS)
def test_each_says_whose_it_is(metric: str) -> None:
    prefixes = ("front_end_", "total_", "bundle_")
    assert metric.startswith(prefixes) or metric in FOOTPRINT_METRICS
