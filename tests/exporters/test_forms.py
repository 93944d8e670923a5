"""A bundle in its other forms: checked before, and as written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekws.bundle import archive, pack
from edgekws.bundle.export import Exported
from edgekws.bundle.export import export as export_as
from edgekws.bundle.members import SUMS
from edgekws.bundle.verify import RUNTIME, verify
from edgekws.core.protocols import EXPORTER
from edgekws.errors import DataError, MachineError, ParityError, UsageError
from edgekws.exporters import ort


def export(bundle: Path, kind: str, output: Path) -> Exported:
    return export_as(bundle, EXPORTER.validate_python({"kind": kind}), output)


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_zip_and_back_gives_the_same_files(bundle: Path, tmp_path: Path) -> None:
    exported = export(bundle, "zip", tmp_path / "1.zip")
    assert exported.verified == verify(bundle)
    again = export(tmp_path / "1.zip", "zip", tmp_path / "out" / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == again.output.read_bytes()
    export(tmp_path / "1.zip", "folder", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(bundle)


def test_what_is_no_file_of_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "__pycache__").mkdir()
    (bundle / "__pycache__" / "x.pyc").write_bytes(b"x")
    with pytest.raises(DataError, match="__pycache__ is not a file of a bundle; remove it"):
        export(bundle, "folder", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_ort_holds_converted_models_that_its_runtime_runs(bundle: Path, tmp_path: Path) -> None:
    with (bundle / "detect.py").open("a") as file:
        file.write("# an older runtime\n")
    pack.seal(bundle, "# card\n")
    exported = export(bundle, "ort", tmp_path / "ort")
    names = set(contents(exported.output))
    assert {"model.ort", "frontend.ort"} <= names
    assert not {"model.onnx", "frontend.onnx"} & names
    assert (exported.output / "detect.py").read_bytes() == RUNTIME.read_bytes()
    assert exported.verified.max_abs_diff <= 1e-4
    assert exported.verified.notes == ()
    assert exported.verified.sha256 == pack.identity(exported.output) != pack.identity(bundle)
    manifest = json.loads((exported.output / "manifest.json").read_text("utf-8"))
    assert manifest["converted"]["from"] == pack.identity(bundle)
    assert pack.identity(bundle) in (exported.output / "MODEL_CARD.md").read_text("utf-8")
    golden = json.loads((bundle / "golden" / "golden.json").read_text("utf-8"))
    clips = [str(exported.output / "golden" / row["file"]) for row in golden]
    done = subprocess.run(
        [sys.executable, "-I", str(exported.output / "detect.py"), "--clip", *clips],
        capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    labels = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert labels == [row["label"] for row in golden]
    with pytest.raises(UsageError, match=r"holds frontend\.ort, not frontend\.onnx; export the"):
        export(exported.output, "ort", tmp_path / "again")
    export(exported.output, "zip", tmp_path / "ort.zip")
    assert verify(tmp_path / "ort.zip").sha256 == exported.verified.sha256


def test_a_conversion_that_changes_the_logits_is_not_kept(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = ort.convert_to_ort

    def spoil(model: Path, path: Path) -> None:
        proto = onnx.load(model)
        for tensor in proto.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
                tensor.raw_data = (onnx.numpy_helper.to_array(tensor) * np.float32(1.1)).tobytes()
        onnx.save(proto, str(tmp_path / "spoiled.onnx"))
        convert(tmp_path / "spoiled.onnx", path)

    monkeypatch.setattr(ort, "convert_to_ort", spoil)
    with pytest.raises(ParityError, match=r"out: logits on the golden clips differ"):
        export(bundle, "ort", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["folder", "zip", "ort"])
def test_a_damaged_bundle_is_not_exported(bundle: Path, tmp_path: Path, to: str) -> None:
    (bundle / "labels.txt").write_text("x\n")
    with pytest.raises(DataError, match=r"bundle: labels\.txt is not the file that was packed"):
        export(bundle, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tampered_zip_is_refused(bundle: Path, tmp_path: Path) -> None:
    path = export(bundle, "zip", tmp_path / "1.zip").output
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\n_unknown_") + 3] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"1\.zip: not a zip archive, or a damaged one \(Bad CRC"):
        verify(path)
    shutil.copytree(bundle, tmp_path / "other")
    (tmp_path / "other" / "labels.txt").write_text("x\n")
    names = [*pack.members(bundle), SUMS]
    archive.write_zip(tmp_path / "other", names, path)
    with pytest.raises(DataError, match=r"1\.zip: labels\.txt is not the file that was packed"):
        verify(path)


def test_only_a_bundle_of_that_form_is_replaced(bundle: Path, tmp_path: Path) -> None:
    forms = (("folder", "f"), ("zip", "z.zip"))
    for to, name in forms:
        export(bundle, to, tmp_path / name)
        export(bundle, to, tmp_path / name)
        assert verify(tmp_path / name).max_abs_diff == 0
    (tmp_path / "empty").mkdir()
    export(bundle, "folder", tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text").write_text("text")
    with pytest.raises(
        UsageError, match=r"mine exists and is not a bundle to .* holds text, which"
    ):
        export(bundle, "ort", tmp_path / "mine")
    for there in ("mine", "mine/text"):
        with pytest.raises(UsageError, match="exists and is not a zip archive; name another"):
            export(bundle, "zip", tmp_path / there)
    for inside in (bundle, bundle / "x", bundle.parent):
        with pytest.raises(UsageError, match="is, or overlaps with, the bundle"):
            export(bundle, "folder", inside)
    assert (tmp_path / "mine" / "text").read_text() == "text"


@pytest.mark.parametrize("to", ["folder", "zip"])
def test_an_output_that_cannot_be_written(bundle: Path, tmp_path: Path, to: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(MachineError, match=r"out: cannot be written .*; name another --output"):
        export(bundle, to, tmp_path / "file" / "out")
