"""One graph from waveform to scores: what the bundle gives, in one file."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekws.bundle import pack
from edgekws.bundle.export import Exported, export
from edgekws.bundle.verify import verify
from edgekws.core.protocols import EXPORTER
from edgekws.errors import DataError, ParityError, UsageError
from edgekws.runtime import detect


def export_waveform(bundle: Path, output: Path) -> Exported:
    return export(bundle, EXPORTER.validate_python({"kind": "waveform"}), output)


def test_its_scores_are_those_of_the_bundle(bundle: Path, tmp_path: Path) -> None:
    exported = export_waveform(bundle, tmp_path / "out" / "one.onnx")
    assert (exported.form, exported.verified) == ("waveform", verify(bundle))
    session = onnxruntime.InferenceSession(exported.output, providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape[1:]) for i in session.get_inputs()] == [("waveform", [16_000])]
    assert [(o.name, o.shape[1:]) for o in session.get_outputs()] == [("scores", [4])]
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["labels"]) == ["да", "нет", "_unknown_", "_silence_"]
    assert (metadata["sample_rate"], metadata["window_samples"]) == ("16000", "16000")
    windows = np.random.default_rng(5).standard_normal((3, 16_000)).astype(np.float32) * 0.1
    classifier = detect.Classifier(bundle)
    expected = detect.softmax(np.stack([classifier.logits(window) for window in windows]))
    (scores,) = session.run(None, {"waveform": windows})
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    again = export_waveform(bundle, tmp_path / "two.onnx")
    assert again.output.read_bytes() == exported.output.read_bytes()


@pytest.mark.parametrize("opset", [17, 20])
def test_a_network_of_another_opset_or_with_an_axis_joins(
    tone_bundle: Path, tmp_path: Path, opset: int
) -> None:
    bundle = Path(shutil.copytree(tone_bundle, tmp_path / "b"))
    model = onnx.load(bundle / "model.onnx")
    squeeze = onnx.helper.make_node("Squeeze", ["features", "one"], ["three"])
    model.graph.node[0].input[0] = "three"
    model.graph.node.insert(0, squeeze)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim.insert(1, onnx.TensorShapeProto.Dimension(dim_value=1))
    del model.metadata_props[:]  # the contract of the other shape
    onnx.save(onnx.version_converter.convert_version(model, opset), str(bundle / "model.onnx"))
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["contract"]["input_shape"].insert(0, 1)
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (bundle / "stream.onnx").unlink(missing_ok=True)
    pack.seal(bundle, "# card\n")
    exported = export_waveform(bundle, tmp_path / "one.onnx")
    versions = {entry.domain: entry.version for entry in onnx.load(exported.output).opset_import}
    assert versions[""] == opset


def test_what_cannot_be_exported_is_told(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UsageError, match=r"graph: a graph is one file; name an --output ending in .onnx"
    ):
        export_waveform(bundle, tmp_path / "graph")
    with pytest.raises(UsageError, match=r"model\.onnx is, or overlaps with, the bundle"):
        export_waveform(bundle, bundle / "model.onnx")
    ort = export(bundle, EXPORTER.validate_python({"kind": "ort"}), tmp_path / "ort").output
    with pytest.raises(UsageError, match=r"bundle holds frontend\.ort, not frontend\.onnx; export"):
        export_waveform(ort, tmp_path / "a.onnx")
    monkeypatch.setattr(detect, "softmax", lambda logits: logits * 0)
    with pytest.raises(ParityError, match=r"scores of the graph differ by .* golden clips"):
        export_waveform(bundle, tmp_path / "a.onnx")
    (bundle / "labels.txt").unlink()
    with pytest.raises(DataError, match=r"bundle: labels\.txt is missing"):
        export_waveform(bundle, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
