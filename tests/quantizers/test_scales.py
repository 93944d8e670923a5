"""What is dead or nearly so: valid scales, nothing lost of the rest."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edgekws.lowering import parity
from edgekws.quantizers import neural_compressor, onnxruntime

BACKENDS = {
    "neural_compressor": neural_compressor.Quantizer(kind="neural_compressor"),
    "onnxruntime": onnxruntime.Quantizer(kind="onnxruntime"),
}
CASES = [
    (kind, backend, calibration)
    for backend, (first, *others) in ((b, q.calibrations()) for b, q in BACKENDS.items())
    for kind, calibration in (
        ("channels", first),
        ("input", first),
        *(("input", o) for o in others),
    )
]


def head():
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)]


def ailing(kind):
    """Two convolutions: channels of the first are dead or small, or all that it gives is zero."""
    torch.manual_seed(1)
    network = nn.Sequential(
        *[nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU6(), *head()]
    )
    with torch.no_grad():
        if kind == "input":
            network[0].bias -= 1000
            network[2].bias += 3
        else:
            for channel, size in enumerate((0, 1e-6, 1e-30)):
                network[0].weight[channel] *= size
                network[0].bias[channel] = 0.7
            network[2].weight[3] *= 0
            network[2].bias[3] = 0.3
    return network


def scales(model: onnx.ModelProto):
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    rounding = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    return [constants[node.input[1]] for node in rounding]


@pytest.mark.parametrize(("kind", "backend", "calibration"), CASES)
def test_the_rest_is_computed_as_ever(case_of, kind, backend, calibration):
    case = case_of("spectrogram", ailing(kind))
    model = BACKENDS[backend].quantize(case.source(backend), case.clips, calibration)
    for scale in scales(model):
        assert np.isfinite(scale).all()
        assert (scale > 1e-20).all()  # far from the denormal numbers, squared too
    found = parity.logits(model, case.unseen[:, 0])
    assert np.isfinite(found).all()
    apart, peak = np.abs(found - case.logits), np.abs(case.logits).max()
    assert apart.mean() < 0.005 * peak
    assert apart.max() < 0.05 * peak
    if kind == "input":  # one that wakes up later is not cut off at once
        assert min(scale.min() for scale in scales(model) if scale.ndim == 0) > 1e-4
    else:
        assert bias_of(model, "2")[3] == pytest.approx(0.3, abs=1e-4)


def bias_of(model, name):
    """The bias of a layer as its integers have it.

    By a weight scale of one, which onnxruntime's tool gives a dead channel, little would be left.
    """
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node}
    layer = next(node for node in model.graph.node if node.name == name)
    integers, scale = (constants[each] for each in made[layer.input[2]].input[:2])
    return integers * scale
