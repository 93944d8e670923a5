"""What the exports to TFLite share: the package, the folder that they replace, golden clips."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.bundle.declared import read_contract, read_json
from edgekws.errors import MissingPartError, UsageError
from edgekws.runtime import detect


def check_output(output: Path, form: str, record: str, belongs: Callable[[Path], bool]) -> None:
    """Refuse a folder that holds something else than an export to `form`.

    An export holds the file `record`, and only paths that belong to it.

    Raises:
        UsageError: it does.
        MissingPartError: the package that has the schema and the interpreter is missing.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        raise MissingPartError(
            "TFLite models need the package tflite-micro; install it with: "
            "pip install 'edgekws[tflite]'"
        )
    if what := _obstacle(output, form, record, belongs):
        raise UsageError(f"{output} {what}; name another --output")


def _obstacle(output: Path, form: str, record: str, belongs: Callable[[Path], bool]) -> str | None:
    """Return what stands at `output` and is no such export; `None` if nothing."""
    if output.is_symlink():
        return f"is a link to {output.readlink()}"
    if not output.exists():
        return None
    if not output.is_dir():
        return "is a file"
    paths = sorted(output.iterdir())
    for path in paths:
        if not belongs(path):
            return f"holds {path.name}, which is no file of an export to {form}"
    missing = paths and not (output / record).is_file()
    return f"is a folder that holds no {record}" if missing else None


def check_onnx(folder: Path) -> None:
    """Refuse a bundle in the format of onnxruntime.

    Raises:
        UsageError: the bundle has no ONNX models.
    """
    if not (folder / "model.onnx").is_file():
        raise UsageError(
            "the bundle holds model.ort, not model.onnx; export the bundle that it was converted "
            "from"
        )


def golden_features(folder: Path) -> list[NDArray[np.float32]]:
    """Return the features `(n_mels, T)` of the golden clips of a bundle."""
    session = detect.session(folder / "frontend.onnx", threads=1)
    rate = read_contract(folder).front_end.sample_rate
    rows = read_json(folder / "golden" / "golden.json")
    clips = [detect.read_wav(folder / "golden" / row["file"], rate) for row in rows]
    return [session.run(None, {"waveform": clip[None]})[0][0] for clip in clips]
