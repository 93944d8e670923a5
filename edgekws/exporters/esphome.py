"""Models for ESPHome's micro_wake_word and Home Assistant's satellites: one for each keyword."""

import json
from pathlib import Path
from typing import Literal

import onnx

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.core.contract import Contract
from edgekws.core.fields import Fields
from edgekws.core.verified import Verified
from edgekws.errors import UnsupportedError, UsageError
from edgekws.exporters import _esphome_folder
from edgekws.exporters._tflite_output import check_onnx, check_output, golden_features
from edgekws.runtime.front_end import MICROFRONTEND


class Exporter(Fields):
    """For ESPHome: `NAME.tflite` and its manifest `NAME.json` for each keyword, and a YAML snippet.

    The front end of the recipe has to be `microfrontend`, and its chain needs the step `stream`.
    Cutoff and sliding window are those of the bundle's detection. `README.md` tells how far the
    scores differ from those of the bundle. The same bundle gives the same bytes.
    """

    kind: Literal["esphome"] = "esphome"

    def check_output(self, output: Path) -> None:
        """Refuse a folder that holds something else than such an export.

        Raises:
            UsageError: it does.
            MissingPartError: the package that has the schema and the interpreter is missing.
        """
        form, record = _esphome_folder.FORM, _esphome_folder.RECORD
        check_output(output, form, record, _esphome_folder.belongs)

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the models, and how far their scores differ on the golden clips.

        Raises:
            UsageError: the bundle has no ONNX models, no streaming network, or no settings for
                detection.
            UnsupportedError: ESPHome cannot run the network or its front end.
        """
        from edgekws.tflite.keyword_export import export

        contract, manifest = read_contract(folder), read_json(folder / "manifest.json")
        _check(folder, contract, manifest)
        target, origin = scratch / "esphome", identity(folder)
        target.mkdir()
        model = onnx.load(folder / "stream.onnx")
        settings = manifest["detection"]
        models = export(
            model, contract.labels, settings, golden_features(folder), f"edgekws {origin}"
        )
        for name, keyword in _esphome_folder.names(models).items():
            (target / f"{name}.tflite").write_bytes(models[keyword].content)
            text = _esphome_folder.manifest(name, keyword, models[keyword])
            (target / f"{name}.json").write_text(text, encoding="utf-8")
        texts = {
            "README.md": _esphome_folder.readme(models),
            "esphome.yaml": _esphome_folder.yaml(models),
            _esphome_folder.RECORD: _esphome_folder.record(origin, settings["source"], models),
        }
        for file, text in texts.items():
            (target / file).write_text(text, encoding="utf-8")
        return target

    def prove(self, written: Path, folder: Path) -> Verified:
        """Return what `write` found by running the models; notes say how far they differ."""
        recorded = json.loads((written / _esphome_folder.RECORD).read_text("utf-8"))
        files = sum(path.is_file() for path in written.rglob("*"))
        worst = max(model["largest_difference"] for model in recorded["models"].values())
        labels, clips = read_contract(folder).labels, read_json(folder / "golden" / "golden.json")
        notes = _esphome_folder.notes(recorded)
        return Verified(identity(folder), labels, files, len(clips), worst, notes)


def _check(folder: Path, contract: Contract, manifest: dict[str, object]) -> None:
    if contract.front_end.kind != MICROFRONTEND:
        raise UnsupportedError(
            f"the front end of this bundle is {contract.front_end.kind}, but ESPHome computes "
            f'microfrontend; train it with kind = "{MICROFRONTEND}" in [front_end]'
        )
    check_onnx(folder)
    if not (folder / "stream.onnx").is_file():
        raise UsageError(
            "the bundle has no stream.onnx, the streaming network; add a step stream to its recipe"
        )
    if "detection" not in manifest:
        raise UsageError("the bundle has no settings for detection; pack it again")
