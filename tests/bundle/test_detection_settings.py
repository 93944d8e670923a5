"""What a bundle needs for continuous audio: written by default, and checked."""

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgekws.bundle import pack
from edgekws.bundle.verify import verify
from edgekws.core.contract import Contract, Normalization
from edgekws.errors import DataError, ParityError
from edgekws.runtime.front_end import FrontEnd
from tests.tone_bundle import make


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("streaming"), streaming=True)


@pytest.fixture
def bundle(streaming: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(streaming, tmp_path / "bundle"))


def change(bundle: Path, **changes: object) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["detection"] |= changes
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    pack.seal(bundle, "# card\n")


def test_defaults_follow_the_front_end() -> None:
    contract = Contract(
        FrontEnd(8_000, 1.5, 256, 240, 80, 32, 20.0, 4_000.0),
        Normalization((0.0,) * 32, (1.0,) * 32), ("да", "_unknown_"), (32, 147), {},
    )  # fmt: skip
    assert pack.default_detection(contract, None) == {
        "hop_frames": 2, "hop_ms": 100.0, "smoothing_ms": 200.0, "refractory_ms": 500.0,
        "keyword_ms": 600.0, "timing_offset_ms": 450.0, "thresholds": {"да": 0.7},
        "source": "default",
    }  # fmt: skip
    hop = pack.hop_front_end(contract.front_end, 2)
    assert (hop.n_frames, hop.window_samples) == (2, 336)


def test_a_streaming_bundle_is_whole(bundle: Path) -> None:
    verified = verify(bundle)
    assert verified.max_abs_diff == 0
    detection = json.loads((bundle / "manifest.json").read_text("utf-8"))["detection"]
    assert (detection["hop_frames"], detection["hop_ms"]) == (2, 20.0)
    change(bundle, thresholds={"низкий": 0.9, "высокий": 0.3}, source="calibrated", curve=[1, 2])
    verify(bundle)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hop_frames": 0}, r"detection\.hop_frames 0 is not a number of frames within a window"),
        ({"hop_frames": True}, "hop_frames True is not a number of frames"),
        (
            {"hop_ms": 30},
            r"hop_ms: a decision every 30 ms is not possible; use a multiple of 20 ms",
        ),
        ({"hop_ms": 0}, "a decision every 0 ms is not possible"),
        ({"smoothing_ms": -1}, r"smoothing_ms -1 is not from 0 to 60000"),
        ({"smoothing_ms": 1e12}, r"smoothing_ms 1000000000000.0 is not from 0 to 60000"),
        ({"keyword_ms": None}, "keyword_ms None is not from 0"),
        ({"timing_offset_ms": float("nan")}, "timing_offset_ms nan is not from -60000"),
        ({"keyword_lengths_ms": {"низкий": -1}}, r"lengths_ms\.низкий -1 is not from 0 to 60000"),
        ({"timing_offsets_ms": {"высокий": "x"}}, r"offsets_ms\.высокий x is not from -60000"),
        ({"timing_offsets_ms": {"чужой": 1}}, "timing_offsets_ms does not hold values of keywords"),
        ({"keyword_lengths_ms": [1]}, "keyword_lengths_ms does not hold values of keywords"),
        ({"thresholds": {"низкий": 0.5}}, "thresholds does not hold exactly one for every keyword"),
        ({"thresholds": {"низкий": 0.5, "высокий": "x"}}, "thresholds.высокий x is not a number"),
        ({"hop_frames": 4, "hop_ms": 40}, r"frontend_stream\.onnx takes .*672.* it takes .*992"),
    ],
)
def test_settings_that_cannot_be(bundle: Path, changes: dict[str, object], message: str) -> None:
    change(bundle, **changes)
    with pytest.raises(DataError, match=message):
        verify(bundle)


def test_a_manifest_without_a_table(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8")) | {"detection": 3}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    pack.seal(bundle, "# card\n")
    with pytest.raises(DataError, match=r"detection\.\* is not a table; pack it again"):
        verify(bundle)


def test_a_front_end_that_is_missing(bundle: Path) -> None:
    (bundle / "frontend_stream.onnx").unlink()
    pack.seal(bundle, "# card\n")
    with pytest.raises(DataError, match=r"frontend_stream\.onnx is missing; copy"):
        verify(bundle)


def test_a_streaming_form_that_is_fed_otherwise_than_it_tells(bundle: Path) -> None:
    model = onnx.load(bundle / "stream.onnx")
    metadata = json.loads(model.metadata_props[0].value)
    every: tuple[dict[str, Any], ...] = ({"hop_frames": 4}, {"window_frames": 98}, {"states": []})
    for changes in every:
        model.metadata_props[0].value = json.dumps(metadata | changes)
        onnx.save(model, bundle / "stream.onnx")
        pack.seal(bundle, "# card\n")
        with pytest.raises(DataError, match=r"stream\.onnx has other inputs or outputs than its"):
            verify(bundle)
    del model.metadata_props[:]
    onnx.save(model, bundle / "stream.onnx")
    pack.seal(bundle, "# card\n")
    with pytest.raises(DataError, match=r"stream\.onnx has no valid stream metadata"):
        verify(bundle)


def test_a_streaming_form_with_other_weights_breaks_parity(bundle: Path) -> None:
    rows = json.loads((bundle / "golden" / "golden.json").read_text("utf-8"))
    rows[1]["stream_logits"][0] += 0.01
    (bundle / "golden" / "golden.json").write_text(json.dumps(rows))
    pack.seal(bundle, "# card\n")
    with pytest.raises(ParityError, match=r"golden clips differ by 0\.01"):
        verify(bundle)


def test_a_bundle_from_before_is_whole_for_clips(bundle: Path) -> None:
    for name in ("frontend_stream.onnx", "stream.onnx"):
        (bundle / name).unlink()
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    del manifest["detection"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    pack.seal(bundle, "# card\n")
    assert verify(bundle).clips == 2
