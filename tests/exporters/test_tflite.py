"""A bundle as TFLite: written, compared in TFLM, and refused where it cannot be."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tflite_micro import runtime

from edgekws.bundle.export import Exported
from edgekws.bundle.export import export as export_as
from edgekws.core.protocols import EXPORTER
from edgekws.errors import MissingPartError, ParityError, UnsupportedError, UsageError
from edgekws.tflite import comparing, interpreter, reading
from tests.int8_bundle import LABELS, pack_bundle, write_model


def export(bundle: Path, output: Path) -> Exported:
    return export_as(bundle, EXPORTER.validate_python({"kind": "tflite"}), output)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An export of a bundle with a streaming form, which lies beside it."""
    folder = tmp_path_factory.mktemp("tflite")
    write_model(folder)
    return export(pack_bundle(folder, folder / "bundle", streaming=True), folder / "out")


def record(exported: Exported) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((exported.output / "tflite.json").read_text("utf-8"))
    return read


def test_both_networks_are_written_and_compared(exported: Exported) -> None:
    names = {path.name for path in exported.output.iterdir()}
    assert names == {"model.tflite", "stream.tflite", "tflite.json", "labels.txt", "README.md"}
    assert exported.verified.labels == LABELS
    assert [note.partition(" ")[0] for note in exported.verified.notes] == [
        "model.tflite", "stream.tflite",
    ]  # fmt: skip
    models = record(exported)["models"]
    for name, model in models.items():
        assert model["bytes"] == (exported.output / f"{name}.tflite").stat().st_size
        layers = model["differences"]["layers"]
        assert max(layer["own_largest"] for layer in layers) == 1
        assert sum(layer["own_different"] for layer in layers) > 0
    assert models["model"]["input"]["shape"] == [1, 97, 40]
    assert models["stream"]["input"]["shape"] == [1, 2, 40]
    assert models["stream"]["variables"] > 0


def test_weights_and_scales_are_those_of_the_onnx_model(exported: Exported) -> None:
    graph = reading.read(onnx.load(exported.output.parent / "model.onnx"))
    model = onnx.load(exported.output.parent / "model.onnx")
    values = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    given = {v.tobytes() for v in values if v.dtype == np.int8 and v.ndim > 1}
    scales = {float(v) for value in values if value.dtype == np.float32 for v in value.ravel()}
    layouts = [(0, 3, 1, 2), (3, 0, 1, 2)]
    for tensor in graph.tensors.values():
        if tensor.data is not None and tensor.data.ndim == 4 and tensor.data.dtype == np.int8:
            assert tensor.scales is not None
            assert {t.tobytes() for t in (tensor.data.transpose(p) for p in layouts)} & given
            assert set(tensor.scales.values) <= scales


@pytest.mark.parametrize("name", ["model", "stream"])
def test_the_arena_that_is_stated_is_enough(exported: Exported, name: str) -> None:
    model = record(exported)["models"][name]
    content = (exported.output / f"{name}.tflite").read_bytes()
    ran = runtime.Interpreter.from_bytes(content, arena_size=model["arena_bytes"])
    ran.set_input(np.zeros(model["input"]["shape"], np.int8), 0)
    ran.invoke()
    assert ran.get_output(0).shape == (1, len(LABELS))


@pytest.mark.parametrize("name", ["model", "stream"])
def test_litert_computes_what_tflm_does_bit_for_bit_in_plain_kernels(
    exported: Exported, name: str
) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    content = (exported.output / f"{name}.tflite").read_bytes()
    plain = litert.OpResolverType.BUILTIN_REF
    exact = litert.Interpreter(model_content=content, experimental_op_resolver_type=plain)
    other = litert.Interpreter(model_content=content, num_threads=1)
    exact.allocate_tensors()
    other.allocate_tensors()
    given, output = other.get_input_details()[0], other.get_output_details()[0]
    graph = reading.read(onnx.load(exported.output.parent / f"{name}.onnx"))
    tflm, random, largest = interpreter.Interpreter(graph), np.random.default_rng(0), 0.0
    for _ in range(20):
        values = random.integers(-128, 128, given["shape"]).astype(np.int8)
        for each in (exact, other):
            each.set_tensor(given["index"], values)
            each.invoke()
        expected = tflm.run(values)
        np.testing.assert_array_equal(exact.get_tensor(output["index"]), expected)
        apart = other.get_tensor(output["index"]).astype(np.float64) - expected
        largest = max(largest, float(np.abs(apart).max() * output["quantization"][0]))
    assert largest < 0.1  # of a logit, in the optimized kernels


@pytest.mark.parametrize("name", ["model", "stream"])
def test_vela_compiles_it_for_an_ethos(exported: Exported, tmp_path: Path, name: str) -> None:
    pytest.importorskip("ethosu.vela")
    options = ["--accelerator-config", "ethos-u55-128", "--output-dir", str(tmp_path)]
    command = [sys.executable, "-m", "ethosu.vela", str(exported.output / f"{name}.tflite")]
    subprocess.run([*command, *options], check=True, capture_output=True)
    content = (tmp_path / f"{name}_vela.tflite").read_bytes()
    model = runtime.schema_fb.Model.GetRootAsModel(content, 0)
    codes = [model.OperatorCodes(number) for number in range(model.OperatorCodesLength())]
    assert b"ethos-u" in {code.CustomCode() for code in codes}


def test_what_is_equal_is_written_once(exported: Exported) -> None:
    schema = runtime.schema_fb
    content = (exported.output / "stream.tflite").read_bytes()
    graph = schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
    tensors = [graph.Tensors(number) for number in range(graph.TensorsLength())]
    unpacked = [schema.TensorT.InitFromObj(tensor) for tensor in tensors]
    constants = [t for t in unpacked if t.buffer]
    scales = {
        (tuple(q.scale), tuple(q.zeroPoint), q.quantizedDimension)
        for q in (t.quantization for t in unpacked)
        if q is not None
    }
    tables = {t.Quantization()._tab.Pos for t in tensors if t.Quantization() is not None}
    assert len({(t.buffer, tuple(t.shape), t.type) for t in constants}) > 10
    assert len(tables) == len(scales)
    keys = [(t.buffer, tuple(t.shape), t.type, repr(vars(t.quantization or t))) for t in constants]
    assert len(set(keys)) == len(keys)


def test_constants_are_aligned(exported: Exported) -> None:
    schema = runtime.schema_fb
    content = (exported.output / "stream.tflite").read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    starts = []
    for number in range(1, model.BuffersLength()):
        data = model.Buffers(number).DataAsNumpy()
        starts.append(data.__array_interface__["data"][0])
    base = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    assert len(starts) > 10
    assert {(start - base) % 16 for start in starts} == {0}


def test_a_stream_that_forgets_is_no_export(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(exported.output.parent / "stream.onnx")
    graph = reading.read(model)
    clip = np.zeros((40, 8), np.float32)
    compared = comparing.compare(model, graph, [clip])
    assert compared.runs == 4
    tensor = interpreter.Interpreter.tensor

    def forgetful(self: interpreter.Interpreter, name: str) -> Any:
        found = tensor(self, name)
        return found + 1 if name == graph.variables[0].after else found

    monkeypatch.setattr(interpreter.Interpreter, "tensor", forgetful)
    with pytest.raises(ParityError, match=r"TFLite does not keep .*state"):
        comparing.compare(model, graph, [clip])


def test_the_same_bundle_gives_the_same_bytes(exported: Exported) -> None:
    before = {path.name: path.read_bytes() for path in exported.output.iterdir()}
    export(exported.output.parent / "bundle", exported.output)  # replaced
    assert before == {path.name: path.read_bytes() for path in exported.output.iterdir()}


def test_a_folder_of_something_else_is_not_replaced(exported: Exported, tmp_path: Path) -> None:
    bundle = exported.output.parent / "bundle"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"out holds notes\.txt, which is no file of an export to"):
        export(bundle, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").rename(tmp_path / "out" / "labels.txt")
    with pytest.raises(UsageError, match=r"out is a folder that holds no tflite\.json"):
        export(bundle, tmp_path / "out")


def test_a_network_in_fp32_is_refused(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="features of this model are not quantized"):
        export(packed, tmp_path / "out")


def test_without_its_package_the_command_that_installs_it_is_named(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"pip install 'edgekws\[tflite\]'"):
        export(packed, tmp_path / "out")
