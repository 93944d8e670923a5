"""A chain that ends in `stream`: the bundle keeps its model and gets the streaming form too."""

from pathlib import Path

import onnx
import pytest

from edgekws.bundle.verify import verify
from edgekws.core.report import Report
from edgekws.lowering.stream_state import stream_of
from tests.end_to_end.conftest import TINY, Run

STUDENT = """
[[steps]]
kind = "teacher"
backbone = { kind = "inverted_bottleneck", channels = 8, blocks = 1, head = 0, padding = "valid" }
training = { epochs = 2 }

[[steps]]
kind = "export"

[[steps]]
kind = "quantize"
backend = { kind = "onnxruntime" }
calibration_clips = 32

[[steps]]
kind = "stream"
budget = { max_peak_ram_kib = 4 }
"""


@pytest.fixture(scope="module")
def streamed(edgekws: Run, home: Path) -> Path:
    """The home folder after a chain that ends in `stream`."""
    recipe = TINY[: TINY.index("[[steps]]")].replace('"проба"', '"поток"') + STUDENT
    (home / "stream.toml").write_text(recipe, encoding="utf-8")
    done = edgekws("compress", "stream.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_the_bundle_is_that_of_the_windowed_model(streamed: Path) -> None:
    report = Report.load(streamed / "runs" / "поток" / "latest" / "report.json")
    quantized, stream, bundle = report.results[2:]
    assert [quantized.kind, stream.kind, bundle.kind] == ["quantize", "stream", "bundle"]
    assert bundle.value("macs") == quantized.value("macs")
    assert bundle.value("accuracy")
    folder = streamed / "dist" / "поток"
    assert verify(folder).max_abs_diff == 0
    run = streamed / "runs" / "поток" / "latest"
    for packed, made in (("model", "03-quantize/model"), ("stream", "04-stream/stream")):
        assert (folder / f"{packed}.onnx").read_bytes() == (run / f"{made}.onnx").read_bytes()
    assert stream_of(onnx.load(folder / "stream.onnx"))


def test_the_streaming_form_is_measured_by_the_hop(streamed: Path) -> None:
    report = Report.load(streamed / "runs" / "поток" / "latest" / "report.json")
    stream = report.results[3]
    assert stream.parity["label_agreement"] >= 0.995
    assert stream.value("int8_coverage") == 1
    assert stream.value("latency_p50_us")
    assert stream.value("accuracy") is None
    assert [v.limit.key for v in stream.verdicts] == ["max_peak_ram_kib"]
    assert stream.to_go == ()
    assert "поток" in (streamed / "runs" / "поток" / "latest" / "report.html").read_text("utf-8")


def test_the_recipes_budget_judges_the_model(streamed: Path, edgekws: Run) -> None:
    done = edgekws(
        "compress", "stream.toml", "--runs", "r5", "--dist", "d5",
        "--set", "budget.max_latency_p50_us=0.001",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    report = Report.load(streamed / "r5" / "поток" / "latest" / "report.json")
    assert [r.name for r in report.results] == ["teacher", "export", "quantize"]


def test_plan_and_check_know_hops(streamed: Path, edgekws: Run) -> None:
    planned = edgekws("plan", "stream.toml")
    assert planned.returncode == 0, planned.stderr
    assert "per hop" in planned.stdout
    (streamed / "hop.toml").write_text("max_params = 10_000\nmax_macs = 1_000_000\n")
    stream = "dist/поток/stream.onnx"
    checked = edgekws("check", stream, "--budget", "hop.toml")
    assert checked.returncode == 0, checked.stderr
    padded = edgekws("plan", "stream.toml", "--set", "steps.teacher.backbone.padding=same")
    assert padded.returncode == 2
    assert "layer stem.0 (Conv) pads the ends of the window" in padded.stderr
    long = edgekws("plan", "stream.toml", "--set", "steps.teacher.backbone.blocks=9")
    assert long.returncode == 2
    assert "its layers reach over 147 frames without padding" in long.stderr
