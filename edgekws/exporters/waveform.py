"""One ONNX graph with the front end inside, from waveform to scores."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.verify import GOLDEN_TOLERANCE
from edgekws.core.contract import Contract
from edgekws.core.fields import Fields
from edgekws.errors import ParityError, UsageError
from edgekws.lowering import onnx_file
from edgekws.runtime import detect


class Exporter(Fields):
    """One graph `waveform` `(batch, window_samples)` → `scores` `(batch, n_labels)`.

    Samples are float32 in [-1, 1], scores the softmax of the logits. Its metadata holds `labels`,
    `sample_rate` and `window_samples`. The same bundle gives the same bytes.
    """

    kind: Literal["waveform"] = "waveform"

    def check_output(self, output: Path) -> None:
        """Reject an output that is not an `.onnx` file.

        Raises:
            UsageError: `output` is a folder, or has another suffix.
        """
        if output.suffix.lower() != ".onnx" or output.is_dir():
            raise UsageError(f"{output}: a graph is one file; name an --output ending in .onnx")

    def write(self, folder: Path, scratch: Path) -> Path:
        """Merge the two models of the bundle.

        Raises:
            UsageError: the bundle has no ONNX models.
        """
        model = waveform_model(folder, read_contract(folder))
        written = scratch / "waveform.onnx"
        written.write_bytes(model.SerializeToString(deterministic=True))
        return written

    def prove(self, written: Path, folder: Path) -> None:
        """Compare its scores with those of the bundle's golden logits.

        Raises:
            ParityError: the scores differ.
        """
        rows = read_json(folder / "golden" / "golden.json")
        expected = detect.softmax(np.array([row["logits"] for row in rows]))
        scores = _scores(written, [folder / "golden" / row["file"] for row in rows])
        difference = float(np.abs(scores - expected).max())
        if not difference <= GOLDEN_TOLERANCE:  # including NaN
            raise ParityError(
                f"the scores of the graph differ by {difference:.2g} from the bundle's on its "
                f"golden clips, more than {GOLDEN_TOLERANCE:g}; export the bundle as a folder "
                "instead"
            )


def waveform_model(folder: Path, contract: Contract) -> onnx.ModelProto:
    """Return the merged graph of the bundle in a folder.

    Raises:
        UsageError: the bundle holds `.ort` models.
    """
    front_end, network = (_read(folder, name) for name in ("frontend", "model"))
    target = max(_opset(front_end), _opset(network))
    parts = [_at_opset(part, target) for part in (front_end, network)]
    for part in parts:
        part.ir_version = onnx_file.IR_VERSION
        _declare(part, parts)
    front_end, network = (
        onnx.compose.add_prefix(part, prefix)
        for part, prefix in zip(parts, ("frontend/", "model/"), strict=True)
    )
    if len(contract.input_shape) == 3:
        _add_axis(front_end)
    _to_scores(network)
    joint = [(front_end.graph.output[0].name, "model/features")]
    merged = onnx.compose.merge_models(front_end, network, io_map=joint)
    _rename(merged, {"frontend/waveform": "waveform"})
    clean = onnx_file.strip(merged)
    metadata = {
        "labels": json.dumps(contract.labels, ensure_ascii=False),
        "sample_rate": str(contract.front_end.sample_rate),
        "window_samples": str(contract.front_end.window_samples),
    }
    onnx.helper.set_model_props(clean, metadata)
    onnx.checker.check_model(clean)
    return clean


def _read(folder: Path, name: str) -> onnx.ModelProto:
    path = folder / f"{name}.onnx"
    if not path.is_file():
        raise UsageError(
            f"the bundle holds {name}.ort, not {name}.onnx; export the bundle that it was "
            "converted from"
        )
    return onnx_file.strip(onnx.load(path))


def _opset(model: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in model.opset_import if not entry.domain)


def _at_opset(model: onnx.ModelProto, target: int) -> onnx.ModelProto:
    if _opset(model) == target:
        return model
    return onnx.version_converter.convert_version(model, target)


def _declare(part: onnx.ModelProto, parts: list[onnx.ModelProto]) -> None:
    """Declare the operator sets of all parts, as merging requires."""
    known = {entry.domain for entry in part.opset_import}
    for entry in [entry for other in parts for entry in other.opset_import]:
        if entry.domain not in known:
            part.opset_import.append(entry)
            known.add(entry.domain)


def _add_axis(front_end: onnx.ModelProto) -> None:
    """Reshape the output from `(batch, n_mels, T)` to `(batch, 1, n_mels, T)`."""
    output = front_end.graph.output[0]
    axes = onnx.numpy_helper.from_array(np.array([1], np.int64), "frontend/axes")
    front_end.graph.initializer.append(axes)
    node = onnx.helper.make_node("Unsqueeze", [output.name, axes.name], ["frontend/one_channel"])
    front_end.graph.node.append(node)
    output.name = "frontend/one_channel"
    channel = onnx.TensorShapeProto.Dimension(dim_value=1)
    shape = list(output.type.tensor_type.shape.dim)
    output.type.tensor_type.shape.ClearField("dim")
    output.type.tensor_type.shape.dim.extend([shape[0], channel, *shape[1:]])


def _to_scores(network: onnx.ModelProto) -> None:
    output = network.graph.output[0]
    network.graph.node.append(onnx.helper.make_node("Softmax", [output.name], ["scores"], axis=1))
    output.name = "scores"


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    for value in model.graph.input:
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for number, name in enumerate(node.input):
            node.input[number] = names.get(name, name)


def _scores(model: Path, clips: list[Path]) -> NDArray[np.float32]:
    session = detect.session(model, threads=1)
    rate = int(session.get_modelmeta().custom_metadata_map["sample_rate"])
    windows = np.stack([detect.read_wav(clip, rate) for clip in clips])
    scores: NDArray[np.float32] = session.run(None, {"waveform": windows})[0]
    return scores
