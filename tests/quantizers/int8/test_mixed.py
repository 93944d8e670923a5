"""Layers returned to FP32: nothing else changes, and they do run in FP32."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from torch import nn

from edgekws.lowering import parity
from edgekws.metrics import graph
from edgekws.quantizers.int8.mixed import QuantizedNetwork
from tests.quantizers.conftest import Case


def logits(model: onnx.ModelProto, case: Case) -> np.ndarray:
    features = case.unseen
    return parity.logits(model, features[:, 0] if features.ndim == 4 else features)


def error(model: onnx.ModelProto, case: Case) -> float:
    return float(np.abs(logits(model, case) - case.logits).mean())


def test_all_layers_in_fp32_is_the_float_network(
    quantized_network: tuple[Case, QuantizedNetwork],
) -> None:
    case, network = quantized_network
    model = network.model(network.layers)
    assert parity.check(case.logits, logits(model, case)) < 1e-5
    operators = {node.op_type for node in model.graph.node}
    assert not {"QuantizeLinear", "DequantizeLinear"} & operators
    assert graph.int8_coverage(model) == 0


def test_no_layer_in_fp32_is_the_quantized_model(
    network_of: Callable[[str, str], tuple[Case, QuantizedNetwork]],
    backend: str,
    known_case: Callable[[str], Case],
) -> None:
    _, network = network_of(backend, "spectrogram")
    from tests.quantizers.conftest import BACKENDS

    case = known_case("spectrogram")
    plain = BACKENDS[backend].quantize(case.source(backend), case.clips, "minmax")
    assert network.model().SerializeToString() == plain.SerializeToString()
    assert network.model([]).SerializeToString() == plain.SerializeToString()


def test_a_kept_layer_runs_in_fp32_and_no_other_does(
    quantized_network: tuple[Case, QuantizedNetwork],
) -> None:
    case, network = quantized_network
    macs = {layer.name: layer.macs for layer in graph.layers(network.model())}
    assert set(macs) == set(network.layers)
    for name in network.layers:
        share = macs[name] / sum(macs.values())
        without = network.model([name])
        onnx.checker.check_model(without, full_check=True)
        assert graph.int8_coverage(without) == pytest.approx(1 - share)
        alone = network.model([other for other in network.layers if other != name])
        assert graph.int8_coverage(alone) == pytest.approx(share)
        assert 0 < error(alone, case) < 1.05 * error(network.model(), case)


def test_its_weights_are_those_of_the_network(
    network_of: Callable[[str, str], tuple[Case, QuantizedNetwork]], backend: str
) -> None:
    _, network = network_of(backend, "plain")
    model = network.model(["13"])
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    node = next(node for node in model.graph.node if node.name == "13")
    weight, bias = (constants[name] for name in node.input[1:])
    case, _ = network_of(backend, "plain")
    layer = case.network.get_submodule("13")
    assert isinstance(layer, nn.Linear)
    np.testing.assert_array_equal(weight, layer.weight.detach().numpy())
    np.testing.assert_array_equal(bias, layer.bias.detach().numpy())
    floats = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]
    assert sum(len(t.dims) > 1 for t in floats) == 1


def test_more_fp32_layers_are_closer_to_the_float_network(
    network_of: Callable[[str, str], tuple[Case, QuantizedNetwork]], backend: str
) -> None:
    case, network = network_of(backend, "bottleneck")
    errors = [error(network.model(network.layers[:n]), case) for n in (0, 4, 7, 8)]
    assert errors[0] > errors[2] > errors[3]
    assert errors[3] < 1e-5


def test_the_network_itself_does_not_change(
    network_of: Callable[[str, str], tuple[Case, QuantizedNetwork]], backend: str
) -> None:
    _, network = network_of(backend, "spectrogram")
    before = network.model().SerializeToString()
    network.model(network.layers[:1]).graph.node[0].name = "spoiled"
    network.model().graph.node[0].name = "spoiled"
    assert network.model().SerializeToString() == before


def test_an_unknown_layer_is_an_error(
    network_of: Callable[[str, str], tuple[Case, QuantizedNetwork]], backend: str
) -> None:
    _, network = network_of(backend, "spectrogram")
    with pytest.raises(KeyError, match="no such layer"):
        network.model(["no such layer"])
