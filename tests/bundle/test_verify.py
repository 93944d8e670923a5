import json
import wave
from pathlib import Path

import numpy as np
import pytest

from edgekws.bundle import pack
from edgekws.bundle.verify import score, verify
from edgekws.errors import DataError, MachineError, ParityError
from edgekws.runtime.detect import Classifier


def test_a_fresh_bundle_passes(bundle: Path):
    assert verify(bundle) == 0


def test_its_own_runtime_gives_what_the_package_gives(bundle: Path):
    waves = np.random.default_rng(0).integers(-9_000, 9_000, (3, 16_000), dtype=np.int16)
    classifier = Classifier(bundle)
    expected = [classifier.logits(wave.astype(np.float32) / 32768) for wave in waves]
    np.testing.assert_array_equal(score(bundle, waves), np.stack(expected))


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "golden/01.wav", "MODEL_CARD.md"])
def test_a_changed_file_is_named(bundle: Path, name: str):
    with (bundle / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(DataError, match=f"{name} is not the file that was packed"):
        verify(bundle)


def test_a_missing_and_an_added_file_are_named(bundle: Path):
    (bundle / "extra.txt").write_text("x")
    with pytest.raises(DataError, match=r"extra\.txt is not the file that was packed"):
        verify(bundle)
    (bundle / "extra.txt").unlink()
    (bundle / "frontend.onnx").unlink()
    with pytest.raises(DataError, match=r"frontend\.onnx is missing; copy the whole bundle"):
        verify(bundle)


def test_a_folder_that_is_no_bundle(tmp_path: Path):
    with pytest.raises(DataError, match="holds no SHA256SUMS"):
        verify(tmp_path)


def test_other_logits_break_parity(bundle: Path):
    path = bundle / "golden" / "golden.json"
    rows = json.loads(path.read_text("utf-8"))
    rows[0]["logits"][0] += 0.01
    path.write_text(json.dumps(rows))
    pack.seal(bundle, "# card\n")
    with pytest.raises(ParityError, match=r"golden clips differ by 0\.01"):
        verify(bundle)


def test_a_runtime_that_fails_is_an_error_with_its_last_words(bundle: Path):
    (bundle / "detect.py").write_text("raise SystemExit('no such operator')")
    with pytest.raises(MachineError, match="its runtime failed: no such operator"):
        score(bundle, np.zeros((1, 16_000), np.int16))


def test_a_runtime_that_pulls_in_torch_is_refused(bundle: Path):
    with (bundle / "detect.py").open("a") as file:
        file.write("\nimport torch\n")
    with pytest.raises(MachineError, match="the bundle's runtime imports torch"):
        score(bundle, np.zeros((1, 16_000), np.int16))


def test_identity_leaves_out_only_the_card(bundle: Path):
    before = pack.identity(bundle)
    pack.seal(bundle, "# another card\n")
    assert pack.identity(bundle) == before
    (bundle / "labels.txt").write_text("x\n")
    assert pack.identity(bundle) != before


def test_delivery_replaces_a_whole_bundle(bundle: Path, tmp_path: Path):
    destination = tmp_path / "dist" / "имя"
    destination.mkdir(parents=True)
    (destination / "old.txt").write_text("x")
    pack.deliver(bundle, destination)
    assert verify(destination) == 0
    assert [p.name for p in destination.parent.iterdir()] == ["имя"]


def test_golden_clips_are_plain_wav(bundle: Path):
    with wave.open(str(bundle / "golden" / "00.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 16_000)
