"""Detection in the engine: only whole bundles, and what is worth knowing is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.bundle import pack
from edgekws.bundle.export import export
from edgekws.core.events import Event, quiet
from edgekws.core.protocols import EXPORTER
from edgekws.errors import DataError
from edgekws.spotting import streams
from tests.tone_bundle import track

AUDIO = track(4.0, {0.6: "низкий", 2.2: "высокий"})


def events(bundle: Path) -> list[tuple[str, float, float, float]]:
    with streams.detector(bundle, quiet) as result:
        detected = [event for events in streams.listen(result, [AUDIO]) for event in events]
    return [(e.keyword, e.start_s, e.end_s, e.score) for e in detected]


@pytest.mark.parametrize("to", ["zip", "ort"])
def test_other_forms_of_a_bundle_hear_the_same(tone_bundle: Path, tmp_path: Path, to: str) -> None:
    expected = events(tone_bundle)
    assert [event[0] for event in expected] == ["низкий", "высокий"]
    built = export(tone_bundle, EXPORTER.validate_python({"kind": to}), tmp_path / "b.zip")
    for result, reported in zip(events(built.output), expected, strict=True):
        assert result[0] == reported[0]
        assert result[1:] == pytest.approx(reported[1:], abs=1e-4)


def test_a_damaged_bundle_is_not_run(tone_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tone_bundle, tmp_path / "b"))
    (bundle / "frontend_stream.onnx").write_bytes(b"")
    with (
        pytest.raises(DataError, match=r"b: frontend_stream\.onnx is not the file that was packed"),
        streams.detector(bundle, quiet),
    ):
        pass


def test_another_runtime_is_told_and_not_run(tone_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tone_bundle, tmp_path / "b"))
    (bundle / "detect.py").write_text("raise SystemExit")
    pack.seal(bundle, "# card\n")
    reported: list[Event] = []
    with streams.detector(bundle, reported.append):
        pass
    assert "detect.py is another runtime version" in reported[0].text


def test_a_recording_without_samples_is_bad_data(tone_bundle: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    with pytest.raises(DataError, match=r"empty\.wav: holds no samples; record it again"):
        list(streams.source(str(tmp_path / "empty.wav"), 16_000, None))
