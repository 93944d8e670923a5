"""Both backends: a model that runs in INT8 throughout and computes the same."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from pydantic import ValidationError
from torch import nn

from edgekws.core import family
from edgekws.core.protocols import QUANTIZER, Quantizer
from edgekws.errors import UnsupportedError
from edgekws.quantizers import neural_compressor
from edgekws.quantizers import onnxruntime as onnxruntime_backend
from tests.cpu import needs_exact_sums
from tests.quantizers.conftest import Case

BACKENDS = family.kinds("Quantizer")
EXECUTED_IN_INT8 = {"QLinearConv", "QGemm"}
LAYERS = {
    "bottleneck": {"neural_compressor": 8, "onnxruntime": 8},
    "plain": {"neural_compressor": 4, "onnxruntime": 4},
    "selu": {"neural_compressor": 4, "onnxruntime": 4},
    # The lowering folds the second BatchNorm into the linear layer after it.
    "relu_before_norm": {"neural_compressor": 5, "onnxruntime": 4},
    "spectrogram": {"neural_compressor": 3, "onnxruntime": 3},
}


def backend_of(name: str, **fields: Any) -> Quantizer:
    return QUANTIZER.validate_python({"kind": name, **fields})


def session(
    model: onnx.ModelProto, optimized_to: Path | None = None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if optimized_to is not None:
        options.optimized_model_filepath = str(optimized_to)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def logits(model: onnx.ModelProto, features: np.ndarray) -> Any:
    return session(model).run(["logits"], {"features": features})[0]


def relative_error(model: onnx.ModelProto, case: Case) -> float:
    return float(np.abs(logits(model, case.unseen) - case.logits).mean() / case.logits.std())


def test_the_members() -> None:
    assert BACKENDS == ("neural_compressor", "onnxruntime")


def test_every_layer_runs_in_int8(
    quantized: tuple[str, Case, onnx.ModelProto], tmp_path: Path
) -> None:
    backend, case, model = quantized
    session(model, tmp_path / "optimized.onnx")
    executed = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    in_int8 = [kind for kind in executed if kind in EXECUTED_IN_INT8]
    multiplying = [kind for kind in executed if re.search("Conv|Gemm|MatMul", kind)]
    assert in_int8 == multiplying
    assert len(in_int8) == LAYERS[case.name][backend]


def test_float_constants_are_scales_only(quantized: tuple[str, Case, onnx.ModelProto]) -> None:
    _, _, model = quantized
    scales = {
        node.input[1]
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    }
    weights = biases = 0
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            assert tensor.name in scales
        elif tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1:
            weights += 1
        biases += tensor.data_type == TensorProto.INT32
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert weights == len(layers)
    assert biases == sum(len(node.input) > 2 for node in layers)
    assert not {"Clip", "Relu"} & {node.op_type for node in model.graph.node}


def test_weights_are_symmetric_per_channel(quantized: tuple[str, Case, onnx.ModelProto]) -> None:
    _, _, model = quantized
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    checked = 0
    for node in model.graph.node:
        weight = constants.get(node.input[0])
        if weight is not None and weight.dtype == np.int8:
            peaks = np.abs(weight.reshape(len(weight), -1).astype(int)).max(axis=1)
            assert constants[node.input[1]].shape == (len(weight),)
            assert not constants[node.input[2]].any()
            assert (peaks == 127).all()
            checked += 1
    assert checked >= 3


@needs_exact_sums
def test_it_computes_what_the_float_network_computes(
    quantized: tuple[str, Case, onnx.ModelProto],
) -> None:
    _, case, model = quantized
    agreement = logits(model, case.unseen).argmax(1) == case.logits.argmax(1)
    assert relative_error(model, case) < 0.08
    assert agreement.mean() >= 0.9


def test_rows_do_not_depend_on_the_batch(quantized: tuple[str, Case, onnx.ModelProto]) -> None:
    _, case, model = quantized
    one_by_one = [logits(model, case.unseen[i : i + 1]) for i in range(8)]
    np.testing.assert_array_equal(np.concatenate(one_by_one), logits(model, case.unseen[:8]))


def test_the_interface(quantized: tuple[str, Case, onnx.ModelProto]) -> None:
    _, case, model = quantized
    (features,), (scores,) = model.graph.input, model.graph.output
    assert (features.name, scores.name) == ("features", "logits")
    for value, sizes in ((features, list(case.clips.shape[1:])), (scores, [5])):
        first, *others = value.type.tensor_type.shape.dim
        assert first.dim_param
        assert [dim.dim_value for dim in others] == sizes
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
    assert next(o.version for o in model.opset_import if not o.domain) >= 17
    onnx.checker.check_model(model, full_check=True)


def test_the_model_holds_no_trace_of_the_machine(
    quantized: tuple[str, Case, onnx.ModelProto],
) -> None:
    _, _, model = quantized
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for tensor in bare.graph.initializer:
        tensor.CopyFrom(TensorProto(name=tensor.name))
    text = str(bare)
    assert '"logits"' in text
    for trace in ("/", ".py", "torch", "Traceback"):
        assert trace not in text
    assert not model.metadata_props
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def test_layers_and_weights_are_named_as_in_the_network(
    quantized: tuple[str, Case, onnx.ModelProto],
) -> None:
    _, case, model = quantized
    modules = dict(case.network.named_modules())
    layers = [node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert layers
    assert len(set(layers)) == len(layers)
    assert all(name in modules for name in layers), layers


def test_it_is_reproducible_and_does_not_change_the_network(
    backend: str, spectrogram_in_minmax: tuple[Case, onnx.ModelProto]
) -> None:
    case, model = spectrogram_in_minmax
    before = {name: value.clone() for name, value in case.network.state_dict().items()}
    again = backend_of(backend).quantize(case.source(backend), case.clips, "minmax")
    assert again.SerializeToString() == model.SerializeToString()
    after = case.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_other_calibrations_are_accurate_distinct_and_quiet(
    backend: str,
    spectrogram_in_minmax: tuple[Case, onnx.ModelProto],
    capfd: pytest.CaptureFixture[str],
) -> None:
    case, minmax = spectrogram_in_minmax
    first, *others = backend_of(backend).calibrations()
    assert first == "minmax"
    models = {minmax.SerializeToString()}
    for other in others:
        capfd.readouterr()
        model = backend_of(backend).quantize(case.source(backend), case.clips, other)
        assert capfd.readouterr() == ("", "")
        assert relative_error(model, case) < 0.05
        models.add(model.SerializeToString())
    assert len(models) == 1 + len(others)


@pytest.mark.parametrize("name", ["bottleneck", "plain"])
def test_both_backends_compute_the_same(
    name: str, in_minmax_of: Callable[[str, str], tuple[Case, onnx.ModelProto]]
) -> None:
    """Two independent tools round the same weights and ranges: only noise remains."""
    (case, a), (_, b) = (in_minmax_of(backend, name) for backend in BACKENDS)
    difference = np.abs(logits(a, case.unseen) - logits(b, case.unseen)).mean()
    assert difference < 0.01 * case.logits.std()


def test_both_backends_find_the_same_ranges_by_entropy(known_case: Callable[[str], Case]) -> None:
    case = known_case("plain")
    a, b = (
        backend_of(backend).quantize(case.source(backend), case.clips, "entropy")
        for backend in BACKENDS
    )
    difference = np.abs(logits(a, case.unseen) - logits(b, case.unseen)).mean()
    assert difference < 0.01 * case.logits.std()


def test_percentile_narrows_the_ranges(known_case: Callable[[str], Case]) -> None:
    case = known_case("spectrogram")
    narrow, wide = (
        backend_of("onnxruntime", percentile=share).quantize(
            case.source("onnxruntime"), case.clips, "percentile"
        )
        for share in (90, 99.999)
    )
    assert relative_error(narrow, case) > 2 * relative_error(wide, case)


def test_reduce_range_keeps_weights_in_seven_bits(
    backend: str, spectrogram_in_minmax: tuple[Case, onnx.ModelProto]
) -> None:
    case, _ = spectrogram_in_minmax
    quantizer = backend_of(backend, reduce_range=True)
    model = quantizer.quantize(case.source(backend), case.clips, "minmax")
    weights = [
        numpy_helper.to_array(tensor).astype(int)
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1
    ]
    assert len(weights) == 3
    assert all(63 <= np.abs(weight).max() <= 64 for weight in weights)
    assert relative_error(model, case) < 0.05


def test_a_dead_channel_keeps_its_bias(case_of: Callable[..., Case]) -> None:
    class Dying(nn.Sequential):
        """Zeroes channel 1 of its convolution whenever it is put in eval mode."""

        def eval(self) -> Self:
            norm: Any = self[1]
            with torch.no_grad():
                norm.weight[1], norm.bias[1] = 1e-20, 40.0
            return super().eval()

    network = Dying(
        *[nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()],
        *[nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)],
    )
    case = case_of("spectrogram", network)
    model = backend_of("neural_compressor").quantize(case.network, case.clips, "minmax")
    error = np.abs(logits(model, case.unseen) - case.logits).max()
    assert error < 0.02 * np.abs(case.logits).max()


def test_a_network_without_layers_is_an_error(case_of: Callable[..., Case]) -> None:
    network = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d((5, 1)), nn.Flatten())
    case = case_of("spectrogram", network)
    with pytest.raises(UnsupportedError, match="found no layer to quantize"):
        backend_of("neural_compressor").quantize(case.network, case.clips, "minmax")


def test_a_network_that_cannot_be_exported_is_an_error(case_of: Callable[..., Case]) -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((1, 2))[:, :5] if x.sum() > 0 else x.amax((1, 2))[:, :5]

    case = case_of("spectrogram", Branching())
    with pytest.raises(UnsupportedError, match=r"Branching: neural-compressor cannot export it \("):
        backend_of("neural_compressor").quantize(case.network, case.clips, "minmax")


def test_fields(backend: str) -> None:
    member: Any = family.load("Quantizer", backend)
    assert member.takes == {"neural_compressor": "checkpoint", "onnxruntime": "onnx"}[backend]
    assert all(f.description for name, f in member.model_fields.items() if name != "kind")
    with pytest.raises(ValidationError, match="extra"):
        member(kind=backend, bits=4)
    with pytest.raises(ValidationError, match="frozen"):
        member(kind=backend).reduce_range = True


def test_parsing_a_recipe_imports_no_library() -> None:
    modules = [neural_compressor.__name__, onnxruntime_backend.__name__]
    heavy = "{'torch', 'onnx', 'onnxruntime', 'neural_compressor'}"
    code = f"import sys, {', '.join(modules)}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_no_variable_of_the_environment_hinders_the_import() -> None:
    variables = {"HOME": "/dev/null/home", "ENABLE_CONSOLE": "yes", "LOGLEVEL": "verbose"}
    program = """
import os
import numpy as np
from torch import nn
from edgekws.quantizers.neural_compressor import Quantizer
network = nn.Sequential(nn.Conv1d(8, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
clips = np.random.default_rng(0).standard_normal((8, 8, 16), dtype=np.float32)
before = dict(os.environ)
Quantizer(kind="neural_compressor").quantize(network.eval(), clips, "minmax")
print(before == os.environ)
"""
    environment = os.environ | variables
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
