"""A bundle as C: compiled, run on the golden clips, and on a stream beside the Python runtime."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekws.bundle.export import Exported
from edgekws.bundle.export import export as export_as
from edgekws.bundle.settings import write_settings
from edgekws.codegen import compiler, packing
from edgekws.core.contract import Normalization
from edgekws.core.protocols import EXPORTER
from edgekws.errors import ParityError, UnsupportedError, UsageError
from edgekws.lowering import onnx_file
from edgekws.runtime.detect import Detector
from edgekws.runtime.front_end import FrontEnd
from tests.int8_bundle import LABELS, noise, pack_bundle, write_model


def export(bundle: Path, output: Path) -> Exported:
    return export_as(bundle, EXPORTER.validate_python({"kind": "c"}), output)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 network with random weights, in a folder with its streaming form."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return folder


@pytest.fixture(params=[False, True], ids=["windowed", "streaming"])
def bundle(request: pytest.FixtureRequest, model: Path, tmp_path: Path) -> Path:
    return pack_bundle(model, tmp_path / "bundle", streaming=request.param)


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def test_it_is_compiled_and_proven_on_the_golden_clips(bundle: Path, tmp_path: Path) -> None:
    needs("gcc", "make")
    exported = export(bundle, tmp_path / "c")
    assert (exported.verified.clips, exported.verified.notes) == (4, ())
    assert exported.verified.labels == LABELS
    warnings = "-O1 -Wall -Wextra -Wpedantic -Wconversion -Werror"
    sanitized = f"CFLAGS={warnings} -fsanitize=address,undefined -fno-sanitize-recover=all"
    command = ["make", "test", "CC=gcc", sanitized]
    done = subprocess.run(command, cwd=exported.output, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "all golden clips have their labels" in done.stdout
    assert "accumulators" in (exported.output / "README.md").read_text("utf-8")
    assert export(bundle, tmp_path / "c").output == tmp_path / "c"  # replaced


def test_a_stream_has_the_events_of_the_python_runtime(bundle: Path, tmp_path: Path) -> None:
    needs("gcc", "make")
    folder = export(bundle, tmp_path / "c").output
    subprocess.run(["make", "-s", "CC=gcc", "CFLAGS=-O2"], cwd=folder, check=True)
    samples = noise(20).ravel()
    detector = Detector(bundle)
    events = [event for piece in np.split(samples, 50) for event in detector.feed(piece)]
    events += detector.flush()
    program = [str(folder / "kws"), "-"]
    done = subprocess.run(program, input=samples.tobytes(), capture_output=True, check=True)
    expected = [f"-\t{e.keyword}\t{e.start_s:.3f}\t{e.end_s:.3f}\t{e.score:.4f}" for e in events]
    assert done.stdout.decode().splitlines() == expected
    assert len(expected) > 3


def with_front_end(model: Path, folder: Path, front_end: FrontEnd) -> Path:
    """Return the model with another front end, in a new folder."""
    folder.mkdir()
    statistics = Normalization((0.0,) * 40, (2.0,) * 40)
    for name in ("model.onnx", "stream.onnx"):
        network, contract = onnx_file.load(model / name)
        other = replace(contract, front_end=front_end, normalization=statistics)
        onnx_file.save(network, other, folder / name)
    return folder


def test_means_of_bands_follow_a_stream_as_in_the_python_runtime(
    model: Path, tmp_path: Path
) -> None:
    needs("gcc", "make")
    other = with_front_end(model, tmp_path / "model", FrontEnd(mean="running", mean_seconds=0.5))
    bundle = pack_bundle(other, tmp_path / "bundle", streaming=True)
    exported = export(bundle, tmp_path / "c")
    assert (exported.verified.clips, exported.verified.notes) == (4, ())
    subprocess.run(["make", "-s", "CC=gcc", "CFLAGS=-O1"], cwd=exported.output, check=True)
    samples = noise(20).ravel()
    detector = Detector(bundle)
    events = [event for piece in np.split(samples, 50) for event in detector.feed(piece)]
    events += detector.flush()
    program = [str(exported.output / "kws"), "-"]
    done = subprocess.run(program, input=samples.tobytes(), capture_output=True, check=True)
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [keyword for _, keyword, *_ in rows] == [event.keyword for event in events]
    # A feature at the border between two codes may be rounded to the other one.
    numbers = [[float(number) for number in row[2:]] for row in rows]
    expected = [(event.start_s, event.end_s, event.score) for event in events]
    np.testing.assert_allclose(numbers, expected, rtol=0, atol=0.02)
    assert len(expected) > 3


def test_the_mean_of_a_window_is_refused(model: Path, tmp_path: Path) -> None:
    other = with_front_end(model, tmp_path / "model", FrontEnd(mean="clip"))
    bundle = pack_bundle(other, tmp_path / "bundle", streaming=False)
    with pytest.raises(UnsupportedError, match=r'mean = "clip" needs the whole window'):
        export(bundle, tmp_path / "c")


def test_the_same_bundle_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    bundle = pack_bundle(model, tmp_path / "bundle", streaming=True)
    folders = [export(bundle, tmp_path / name).output for name in ("one", "two")]
    first, second = (
        {path.relative_to(f): path.read_bytes() for path in f.rglob("*") if path.is_file()}
        for f in folders
    )
    assert first == second
    assert len(first) > 40


def test_without_a_compiler_it_is_written_with_a_note(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CC", raising=False)
    exported = export(pack_bundle(model, tmp_path / "bundle", streaming=False), tmp_path / "c")
    assert (exported.output / "kws.h").is_file()
    assert exported.verified.clips == 0
    (note,) = exported.verified.notes
    assert note.startswith("there is no C compiler here")


def test_logits_that_differ_in_a_bit_are_no_export(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("cc")
    pack_weights = packing.pack
    monkeypatch.setattr(packing, "pack", lambda weights: pack_weights(weights) ^ 1)
    with pytest.raises(ParityError, match="4 of 4 golden clips have other logits in C"):
        export(pack_bundle(model, tmp_path / "bundle", streaming=False), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_folder_of_something_else_is_not_replaced(model: Path, tmp_path: Path) -> None:
    bundle = pack_bundle(model, tmp_path / "bundle", streaming=False)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"c holds notes\.txt, which is no file of an export to"):
        export(bundle, tmp_path / "c")
    (tmp_path / "c" / "notes.txt").rename(tmp_path / "c" / "main.c")
    with pytest.raises(UsageError, match=r"c is a folder that holds no kws\.h"):
        export(bundle, tmp_path / "c")


def test_a_network_in_fp32_is_refused(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="features of this model are not quantized"):
        export(packed, tmp_path / "c")


def test_a_calibrated_bundle_has_its_settings_in_the_header(model: Path, tmp_path: Path) -> None:
    packed = pack_bundle(model, tmp_path / "bundle", streaming=False)
    detection = json.loads((packed / "manifest.json").read_text("utf-8"))["detection"]
    record = {"keywords": {"да": {"labels": 3, "misses": 1}}, "keyword_free_s": 60.0}
    settings = detection | {"source": "calibrated", "calibration": record, "smoothing_ms": 300.0}
    write_settings(packed, settings, tmp_path / "calibrated")
    header = (export(tmp_path / "calibrated", tmp_path / "c").output / "kws.h").read_text("utf-8")
    assert " *   source: calibrated\n" in header
    assert " *   smoothing_ms: 300\n" in header
    assert "misses" not in header
