"""A folder of INT8 TFLite models without a front end, for TFLM, LiteRT and Ethos-U."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import onnx

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.core.fields import Fields
from edgekws.core.verified import Verified
from edgekws.exporters import _tflite_folder
from edgekws.exporters._tflite_output import check_onnx, check_output, golden_features


class Exporter(Fields):
    """The network in TFLite, with the INT8 weights and scales of the ONNX model.

    `model.tflite` takes the frames of a window, `stream.tflite` those of a hop, if the bundle has a
    streaming network. How far both differ from the ONNX models, layer by layer, is in `README.md`
    and `tflite.json`. The same bundle gives the same bytes.
    """

    kind: Literal["tflite"] = "tflite"

    def check_output(self, output: Path) -> None:
        """Refuse a folder that holds something else than such an export.

        Raises:
            UsageError: it does.
            MissingPartError: the package that has the schema and the interpreter is missing.
        """
        form, record = _tflite_folder.FORM, _tflite_folder.RECORD
        check_output(output, form, record, _tflite_folder.belongs)

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the models, and how far they differ on the golden clips.

        Raises:
            UsageError: the bundle has no ONNX models.
            UnsupportedError: a layer has no form in TFLite; the message names it.
            ParityError: a layer differs by more than its rounding.
        """
        from edgekws.tflite.export import Form, export

        target = scratch / "tflite"
        target.mkdir()
        contract, origin = read_contract(folder), identity(folder)
        clips = golden_features(folder)
        forms: list[Form] = []
        for path in _models(folder):
            form = export(path.stem, onnx.load(path), clips, f"edgekws bundle {origin}")
            (target / f"{path.stem}.tflite").write_bytes(form.content)
            forms.append(form)
        record = _tflite_folder.record(contract, origin, forms)
        (target / _tflite_folder.RECORD).write_text(record, encoding="utf-8")
        (target / "README.md").write_text(_tflite_folder.readme(contract, forms), encoding="utf-8")
        labels = "".join(f"{label}\n" for label in contract.labels)
        (target / "labels.txt").write_text(labels, encoding="utf-8")
        return target

    def prove(self, written: Path, folder: Path) -> Verified:
        """Return what `write` found by running the models; a note says how far they differ."""
        forms = json.loads((written / _tflite_folder.RECORD).read_text("utf-8"))["models"]
        files = sum(path.is_file() for path in written.rglob("*"))
        worst = max(form["differences"]["largest_logit"] for form in forms.values())
        labels, clips = read_contract(folder).labels, read_json(folder / "golden" / "golden.json")
        notes = tuple(_tflite_folder.note(name, form) for name, form in forms.items())
        return Verified(identity(folder), labels, files, len(clips), worst, notes)


def _models(folder: Path) -> Iterator[Path]:
    check_onnx(folder)
    yield folder / "model.onnx"
    if (folder / "stream.onnx").is_file():
        yield folder / "stream.onnx"
