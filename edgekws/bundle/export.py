"""Give a bundle away: as a folder, as a zip, or with its models in onnxruntime's own format."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import is_zipfile

from edgekws.bundle.archive import unpacked, write_zip
from edgekws.bundle.declared import read_json
from edgekws.bundle.delivery import copy_files, deliver, obstacle
from edgekws.bundle.members import CARD, MODELS, STREAMING, SUMS
from edgekws.bundle.pack import identity, members, seal
from edgekws.bundle.verify import RUNTIME, Verified, named, verify_folder
from edgekws.core.output import OTHER_OUTPUT, is_stream, write_bytes
from edgekws.core.scratch import scratch_folder
from edgekws.errors import UsageError, writing

Form = Literal["folder", "zip", "ort"]

_CARD_NOTE = """
## This form

`frontend.ort`, `model.ort` and any other `.ort` file are the `.onnx` files in the format of
onnxruntime {version}, for which its minimal builds need no ONNX parser. The figures above are those
of the bundle that they were converted from, {sha256}.
"""


@dataclass(frozen=True)
class Exported:
    """What was written where; `verified` is the result of checking the written bundle."""

    output: Path
    form: Form | Literal["waveform"]
    verified: Verified


def export(bundle: Path, to: Form, output: Path) -> Exported:
    """Write a bundle (a folder or a zip) to `output` in another form.

    It is verified before, and what was written is verified again before it gets its name. A
    bundle of that form that is at `output` already is replaced. The same bundle gives the same
    bytes, but with `ort`: onnxruntime writes that in an order of its own every time.

    Raises:
        UsageError: `output` holds something else, or is the bundle, or that has no ONNX models.
        DataError: the bundle is damaged, incomplete or not safe.
        ParityError: the logits on the golden clips are not those written down.
        MachineError: `output` cannot be written.
    """
    check_output(bundle, to, output)
    with unpacked(bundle) as folder, scratch_folder("export") as made:
        with named(bundle):
            before = verify_folder(folder)
        fresh = made / ("bundle.zip" if to == "zip" else "bundle")
        if to == "zip":
            write_zip(folder, [*members(folder), SUMS], fresh)
        elif to == "folder":
            copy_files(folder, fresh)
        else:
            _convert(bundle, folder, fresh)
        with unpacked(fresh) as written, named(output):
            after = verify_folder(written)
        place(fresh, output)
    return Exported(output, to, after if to == "ort" else before)


def check_output(bundle: Path, to: Form, output: Path) -> None:
    """Refuse an output that would harm something.

    Raises:
        UsageError: `output` holds something that is no bundle, or is the bundle or around it.
    """
    here, there = bundle.resolve(), output.resolve()
    if there == here or here in there.parents or there in here.parents:
        raise UsageError(f"{output} is the bundle itself or around it; name another --output")
    if to != "zip":
        if what := obstacle(output):
            text = f"{output} exists and is no bundle to replace: it {what}"
            raise UsageError(f"{text}; name another --output")
    elif not is_stream(output) and there.exists() and not is_zipfile(there):
        raise UsageError(f"{output} exists and is no zip archive; name another --output")


def _convert(bundle: Path, folder: Path, fresh: Path) -> None:
    """Write the bundle with its models as `.ort`, the installed runtime, and new checksums."""
    import onnxruntime

    if missing := [name for name in MODELS if not (folder / f"{name}.onnx").is_file()]:
        raise UsageError(
            f"{bundle}: holds {missing[0]}.ort, not {missing[0]}.onnx; export the bundle that it "
            "was converted from"
        )
    sha256 = identity(folder)
    copy_files(folder, fresh)
    present = [name for name in STREAMING if (folder / f"{name}.onnx").is_file()]
    for name in (*MODELS, *present):
        convert_to_ort(folder / f"{name}.onnx", fresh / f"{name}.ort")
        (fresh / f"{name}.onnx").unlink()
    shutil.copyfile(RUNTIME, fresh / RUNTIME.name)
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    manifest["converted"] = {"from": sha256, "onnxruntime": onnxruntime.__version__}
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    (fresh / "manifest.json").write_text(text, encoding="utf-8")
    card = (folder / CARD).read_text("utf-8", "replace")
    note = _CARD_NOTE.format(version=onnxruntime.__version__, sha256=sha256)
    seal(fresh, card + note)


def convert_to_ort(model: Path, path: Path) -> None:
    """Write an ONNX model in onnxruntime's format, optimized as any CPU can run it.

    The level is `EXTENDED`: the blocked layouts of `ALL` are made for the CPU that made them.
    Source: onnxruntime's `tools/convert_onnx_models_to_ort.py`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def place(fresh: Path, output: Path) -> None:
    """Give what was written its name, in place of what has it.

    Raises:
        MachineError: it cannot be written there.
    """
    if fresh.is_dir():
        with writing(output, OTHER_OUTPUT):
            deliver(fresh, output)
    else:
        write_bytes(output, fresh.read_bytes())
