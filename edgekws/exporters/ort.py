"""A folder with the models in onnxruntime's format (.ort)."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from edgekws.bundle.declared import read_json
from edgekws.bundle.delivery import copy_files
from edgekws.bundle.export import check_folder
from edgekws.bundle.members import CARD, MODELS, STREAMING
from edgekws.bundle.pack import identity, seal
from edgekws.bundle.verify import RUNTIME, verify_folder
from edgekws.core.fields import Fields
from edgekws.core.verified import Verified
from edgekws.errors import UsageError

_CARD_NOTE = """
## This form

`frontend.ort`, `model.ort` and any other `.ort` file are the `.onnx` files converted to the format
of onnxruntime {version}, which its minimal builds read without an ONNX parser. The figures above
are those of the original bundle, {sha256}.
"""


class Exporter(Fields):
    """For builds of onnxruntime without an ONNX parser.

    The bytes differ between exports, because onnxruntime does not write them in a fixed order.
    """

    kind: Literal["ort"] = "ort"

    def check_output(self, output: Path) -> None:
        """Reject a folder that is not a bundle.

        Raises:
            UsageError: `output` has other content.
        """
        check_folder(output)

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the bundle with converted models, the installed runtime and new checksums.

        Raises:
            UsageError: the bundle has no ONNX models.
        """
        import onnxruntime

        converted = scratch / "bundle"
        if missing := [name for name in MODELS if not (folder / f"{name}.onnx").is_file()]:
            raise UsageError(
                f"the bundle holds {missing[0]}.ort, not {missing[0]}.onnx; export the bundle that "
                "it was converted from"
            )
        sha256 = identity(folder)
        copy_files(folder, converted)
        present = [name for name in STREAMING if (folder / f"{name}.onnx").is_file()]
        for name in (*MODELS, *present):
            convert_to_ort(folder / f"{name}.onnx", converted / f"{name}.ort")
            (converted / f"{name}.onnx").unlink()
        shutil.copyfile(RUNTIME, converted / RUNTIME.name)
        manifest: dict[str, Any] = read_json(folder / "manifest.json")
        manifest["converted"] = {"from": sha256, "onnxruntime": onnxruntime.__version__}
        text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
        (converted / "manifest.json").write_text(text, encoding="utf-8")
        card = (folder / CARD).read_text("utf-8", "replace")
        note = _CARD_NOTE.format(version=onnxruntime.__version__, sha256=sha256)
        seal(converted, card + note)
        return converted

    def prove(self, written: Path, folder: Path) -> Verified:
        """Verify the converted bundle on its golden clips.

        Raises:
            DataError, ParityError: as `bundle.verify.verify_folder`.
        """
        return verify_folder(written)


def convert_to_ort(model: Path, path: Path) -> None:
    """Write an ONNX model in onnxruntime's format, optimized for any CPU.

    The level is `EXTENDED`, because the blocked layouts of `ALL` are specific to this CPU.
    Source: onnxruntime's `tools/convert_onnx_models_to_ort.py`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
