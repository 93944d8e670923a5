import json
import re
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekws.bundle import pack
from edgekws.bundle.card import latency_section
from edgekws.bundle.delivery import deliver
from edgekws.bundle.export import export
from edgekws.bundle.members import CARD
from edgekws.bundle.settings import write_settings
from edgekws.bundle.verify import score, verify
from edgekws.core.events import Event
from edgekws.core.measurement import Budget
from edgekws.core.protocols import EXPORTER
from edgekws.errors import DataError, MachineError, ParityError
from edgekws.evaluation.check import check
from edgekws.evaluation.predict import predict
from edgekws.runtime.detect import Classifier

ZIP, WAVEFORM = (EXPORTER.validate_python({"kind": kind}) for kind in ("zip", "waveform"))


def test_a_fresh_bundle_passes(bundle: Path) -> None:
    assert verify(bundle).max_abs_diff == 0


def test_its_own_runtime_gives_what_the_package_gives(bundle: Path) -> None:
    waves = np.random.default_rng(0).integers(-9_000, 9_000, (3, 16_000), dtype=np.int16)
    classifier = Classifier(bundle)
    expected = [classifier.logits(wave.astype(np.float32) / 32768) for wave in waves]
    np.testing.assert_array_equal(score(bundle, waves), np.stack(expected))


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "golden/01.wav", "MODEL_CARD.md"])
def test_a_changed_file_is_named(bundle: Path, name: str) -> None:
    with (bundle / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(DataError, match=f"{name} is not the file that was packed"):
        verify(bundle)


def test_a_missing_and_an_added_file_are_named(bundle: Path) -> None:
    (bundle / "extra.txt").write_text("x")
    with pytest.raises(DataError, match=r"extra\.txt is not a file of a bundle; remove it"):
        verify(bundle)
    (bundle / "extra.txt").unlink()
    (bundle / "frontend.onnx").unlink()
    with pytest.raises(DataError, match=r"frontend\.onnx is missing; copy the whole bundle"):
        verify(bundle)


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no SHA256SUMS"):
        verify(tmp_path)


def test_other_logits_break_parity(bundle: Path) -> None:
    path = bundle / "golden" / "golden.json"
    rows = json.loads(path.read_text("utf-8"))
    rows[0]["logits"][0] += 0.01
    path.write_text(json.dumps(rows))
    pack.seal(bundle, "# card\n")
    with pytest.raises(ParityError, match=r"golden clips differ by 0\.01"):
        verify(bundle)


def test_a_runtime_that_fails_is_an_error_with_its_last_words(bundle: Path) -> None:
    (bundle / "detect.py").write_text("raise SystemExit('no such operator')")
    with pytest.raises(MachineError, match="its runtime failed: no such operator"):
        score(bundle, np.zeros((1, 16_000), np.int16))


def test_a_runtime_that_pulls_in_torch_is_refused(bundle: Path) -> None:
    with (bundle / "detect.py").open("a") as file:
        file.write("\nimport torch\n")
    with pytest.raises(MachineError, match="the bundle's runtime imports torch"):
        score(bundle, np.zeros((1, 16_000), np.int16))


def spoil_runtime(bundle: Path, mark: Path) -> None:
    """Let the only code of the bundle leave a mark."""
    with (bundle / "detect.py").open("a") as file:
        file.write(f"open({str(mark)!r}, 'a').write('ran')\n")
    pack.seal(bundle, "# card\n")


def test_no_code_of_a_foreign_bundle_is_run(bundle: Path, tmp_path: Path) -> None:
    mark, events = tmp_path / "mark", list[Event]()
    spoil_runtime(bundle, mark)
    note = verify(bundle).notes[0]
    assert re.match(r"detect\.py is another runtime version \(.*\) and was not run", note)
    check(bundle, Budget(), events.append)
    assert [e.text for e in events if e.kind == "warning"] == [f"{bundle}: {note}"]
    predict(bundle, bundle / "golden", tmp_path / "labels.csv", events.append)
    assert not mark.exists()
    score(bundle, np.zeros((1, 16_000), np.int16))  # what a bundle that was packed here gets
    assert mark.exists()


def reseal(bundle: Path, name: str, content: bytes) -> None:
    (bundle / name).write_bytes(content)
    pack.seal(bundle, "# card\n")


def manifest(bundle: Path, **changes: object) -> bytes:
    """Return the manifest with changes to its contract."""
    declared = json.loads((bundle / "manifest.json").read_text("utf-8"))
    declared["contract"] |= changes
    return json.dumps(declared).encode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["да"]}, r"labels\.txt does not hold the labels of manifest\.json"),
        ({"input_shape": [1, 97]}, r"input_shape \(1, 97\) is not the \(40, 97\) of its front end"),
        ({"input_shape": [1, 40, 97]}, r"model\.onnx takes .*\(40, 97\)}, but by manifest\.json"),
        ({"architecture": {"kind": "x"}}, r"model\.onnx holds another contract than manifest"),
        ({"front_end": {"hop_length": 0}}, r"holds no contract \(integer division"),
        ({"front_end": {"window_s": 1e999}}, "holds no contract"),
        ({"front_end": {"mean": "running", "mean_seconds": 0}}, "mean .* does not fade"),
        ({"front_end": {"mean": "running", "mean_seconds": -1}}, "mean .* does not fade"),
        ({"front_end": 3}, "holds no contract"),
    ],
)
def test_a_manifest_that_does_not_fit(
    bundle: Path, changes: dict[str, object], message: str
) -> None:
    reseal(bundle, "manifest.json", manifest(bundle, **changes))
    with pytest.raises(DataError, match=message):
        verify(bundle)


def test_a_front_end_of_another_length(bundle: Path) -> None:
    front_end = json.loads((bundle / "manifest.json").read_text("utf-8"))["contract"]["front_end"]
    longer = manifest(bundle, front_end=front_end | {"window_s": 1.001})
    reseal(bundle, "manifest.json", longer)
    with pytest.raises(DataError, match=r"frontend\.onnx takes .*16000.* it takes .*16016"):
        verify(bundle)


ENDS_IN_A_CHUNK = b"RIFF\x10\0\0\0WAVELIST\xff\0\0\0" + bytes(8)
"""A chunk that says to be longer than the file around it."""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.json", b"{", r"manifest\.json cannot be read"),
        ("manifest.json", b"[" * 100_000, r"manifest\.json cannot be read"),
        ("manifest.json", b'{"schema": 2}', r"manifest\.json does not have schema 1"),
        ("golden/golden.json", b"[1]", r"golden\.json is not a list of clips and logits"),
        ("golden/golden.json", b"[]", r"golden\.json does not hold a clip"),
        ("golden/00.wav", b"RIFF", r"golden clip 00\.wav is not a WAV file"),
        ("golden/00.wav", ENDS_IN_A_CHUNK, r"golden clip 00\.wav is not a WAV file \(damaged\)"),
        ("model.onnx", b"\xff", r"model\.onnx is not an ONNX model"),
        ("model.onnx", b"", r"model\.onnx: onnxruntime cannot load it"),
    ],
)
def test_content_that_is_not_what_it_should_be(
    bundle: Path, name: str, content: bytes, message: str
) -> None:
    reseal(bundle, name, content)
    with pytest.raises(DataError, match=message):
        verify(bundle)


def test_golden_clips_lie_in_the_bundle_and_are_one_window_long(bundle: Path) -> None:
    path = bundle / "golden" / "golden.json"
    rows = json.loads(path.read_text("utf-8"))
    rows[0]["file"] = "../../x.wav"
    reseal(bundle, "golden/golden.json", json.dumps(rows).encode())
    with pytest.raises(DataError, match=r"names golden/\.\./\.\./x\.wav, which is not among"):
        verify(bundle)
    rows[0]["file"] = "00.wav"
    reseal(bundle, "golden/golden.json", json.dumps(rows).encode())
    with wave.open(str(bundle / "golden" / "00.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 10, "NONE", ""))
        file.writeframes(bytes(20))
    pack.seal(bundle, "# card\n")
    with pytest.raises(DataError, match=r"has \(Hz, .*\) \(16000, 1, 2, 10\); the manifest says"):
        verify(bundle)


def test_logits_that_are_no_numbers_break_parity(bundle: Path) -> None:
    rows = json.loads((bundle / "golden" / "golden.json").read_text("utf-8"))
    rows[0]["logits"][0] = float("nan")
    reseal(bundle, "golden/golden.json", json.dumps(rows).encode())
    with pytest.raises(ParityError, match="golden clips differ by nan"):
        verify(bundle)


def test_links_and_weights_in_other_files_are_refused(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
    reseal(bundle, "model.onnx", model.SerializeToString())
    with pytest.raises(DataError, match=r"model\.onnx stores weights in another file"):
        verify(bundle)
    (bundle / "MODEL_CARD.md").unlink()
    (bundle / "MODEL_CARD.md").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"MODEL_CARD\.md is a link"):
        verify(bundle)


def test_control_characters_do_not_reach_the_terminal(bundle: Path) -> None:
    labels = ["\x1b[2J", "нет", "_unknown_", "_silence_"]
    (bundle / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    reseal(bundle, "manifest.json", manifest(bundle, labels=labels))
    with pytest.raises(DataError, match=r"labels\.txt holds control characters"):
        verify(bundle)


@pytest.mark.parametrize("content", [b"one word\n", b"\xff\n"])
def test_checksums_that_cannot_be_read(bundle: Path, content: bytes) -> None:
    (bundle / "SHA256SUMS").write_bytes(content)
    with pytest.raises(DataError, match="SHA256SUMS cannot be read"):
        verify(bundle)


def test_identity_leaves_out_only_the_card(bundle: Path) -> None:
    before = pack.identity(bundle)
    pack.seal(bundle, "# another card\n")
    assert pack.identity(bundle) == before
    (bundle / "labels.txt").write_text("x\n")
    assert pack.identity(bundle) != before


def test_a_delivered_bundle_may_have_a_card_of_its_own(bundle: Path, tmp_path: Path) -> None:
    destination = tmp_path / "имя"
    deliver(bundle, destination, "# card\n" + latency_section(["26 µs", "1.3 ×"]))
    card = (destination / CARD).read_text("utf-8")
    assert card == "# card\n\n## Latency\n\n- 26 µs\n- 1.3 ×\n"
    assert verify(destination).sha256 == verify(bundle).sha256
    assert "Latency" not in (bundle / CARD).read_text("utf-8")


def test_golden_clips_are_plain_wav(bundle: Path) -> None:
    with wave.open(str(bundle / "golden" / "00.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 16_000)


@pytest.mark.parametrize(
    "use",
    [
        verify,
        lambda bundle: score(bundle, np.zeros((1, 16_000), np.int16)),
        lambda bundle: export(bundle, ZIP, bundle.with_suffix(".zip")),
        lambda bundle: export(bundle, WAVEFORM, bundle.with_suffix(".onnx")),
        lambda bundle: write_settings(bundle, {}, bundle.with_name("other")),
    ],
    ids=["verify", "score", "export", "waveform", "settings"],
)
def test_without_a_temporary_folder_what_to_do_is_said(
    bundle: Path, use: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(MachineError, match=r"no temporary folder: .*point TMPDIR at a folder"):
        use(bundle)


def test_a_zip_without_room_to_unpack_says_what_to_do(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "bundle.zip"
    export(bundle, ZIP, archive)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(MachineError, match=r"no temporary folder: .*point TMPDIR at a folder"):
        verify(archive)
