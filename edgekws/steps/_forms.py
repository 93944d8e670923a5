"""The forms that one trained network can be shipped in."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering import export, forms
from edgekws.lowering.padding import padded_channels
from edgekws.quantizers.onnxruntime import Quantizer

INPUT, NAIVE = "input", forms.PLAIN

Rewrite = Callable[[onnx.ModelProto], onnx.ModelProto]


@dataclass(frozen=True)
class Form:
    """One way to write the network.

    `parent` names the form that it must give the same logits as, within FP32's parity; none where
    it was quantized anew or the form is a beginning. `why_not` says why it could not be built.
    """

    name: str
    model: onnx.ModelProto | None
    parent: str | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Material:
    """What forms are built of: the model as it came, the FP32 network, calibration clips.

    `clips` are `(N, *input_shape)`. Channels are padded as long as the model has no more than
    `max_params` parameters, and not at all where that is `None`.
    """

    model: onnx.ModelProto
    network: nn.Module
    contract: Contract
    clips: NDArray[np.float32]
    reduce_range: bool
    max_params: int | None


def is_int8(model: onnx.ModelProto) -> bool:
    """Tell whether a model rounds its activations."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def build(material: Material) -> Iterator[Form]:
    """Yield every form, the plainest first: of two equally fast ones the first is to be shipped."""
    yield Form(INPUT, material.model)
    lowered = export.export_lowered(material.network, material.contract)
    if is_int8(material.model):
        yield from _int8_forms(material, INPUT, "INT8", material.model)
    else:
        yield from _float_forms(material, INPUT, "input", material.model)
        yield from _rebuilt(material, lowered, "INT8", per_channel=True)
    yield from _rebuilt(material, lowered, "INT8 per tensor", per_channel=False)
    yield Form("FP32", lowered, NAIVE)
    yield from _float_forms(material, "FP32", "FP32", lowered)
    yield Form(NAIVE, export.export_naive(material.network, material.contract))


def _rebuilt(
    material: Material, lowered: onnx.ModelProto, name: str, *, per_channel: bool
) -> Iterator[Form]:
    """Yield what onnxruntime's quantizer makes of the FP32 network, in every INT8 form."""
    quantizer = Quantizer(
        kind="onnxruntime", reduce_range=material.reduce_range, per_channel=per_channel
    )
    try:
        model = quantizer.quantize(lowered, material.clips, quantizer.calibrations()[0])
    except UnsupportedError as error:
        yield Form(name, None, why_not=str(error))
        return
    yield Form(name, model)
    yield from _int8_forms(material, name, name, model)


def _int8_forms(
    material: Material, parent: str, name: str, model: onnx.ModelProto
) -> Iterator[Form]:
    def sequence(model: onnx.ModelProto) -> onnx.ModelProto:
        return forms.channels_last_end(forms.conv1d(model))

    yield from _rewritten(
        parent,
        model,
        (
            (f"{name}, channels last at the end", forms.channels_last_end),
            (f"{name}, Conv1d", forms.conv1d),
            (f"{name}, Conv1d, channels last at the end", sequence),
        ),
    )
    padded = _padded(material, parent, f"{name}, padded channels", model)
    yield padded
    # These two round elsewhere: the mean in FP32, and what S8 operators the runtime lacks.
    rounded = ((f"{name}, ReduceMean", forms.mean_instead_of_pool),)
    yield from _rewritten(None, model, rounded)
    yield from _rewritten(None, model, ((f"{name}, S8 activations", forms.signed_activations),))


def _float_forms(
    material: Material, parent: str, name: str, model: onnx.ModelProto
) -> Iterator[Form]:
    rewrites = ((f"{name}, {what}", rewrite) for what, rewrite in forms.FLOAT.items())
    yield from _rewritten(parent, model, rewrites)
    yield _padded(material, parent, f"{name}, padded channels", model)


def _rewritten(
    parent: str | None, model: onnx.ModelProto, rewrites: Iterable[tuple[str, Rewrite]]
) -> Iterator[Form]:
    for name, rewrite in rewrites:
        try:
            yield Form(name, rewrite(model), parent)
        except UnsupportedError as error:
            yield Form(name, None, why_not=str(error))


def _padded(material: Material, parent: str, name: str, model: onnx.ModelProto) -> Form:
    from edgekws.metrics.graph import parameters

    if material.max_params is None:
        return Form(name, None, why_not="max_params says no room for more parameters")
    try:
        wide = padded_channels(model)
    except UnsupportedError as error:
        return Form(name, None, why_not=str(error))
    if (count := parameters(wide)) > material.max_params:
        told = f"{count} parameters are more than max_params = {material.max_params}"
        return Form(name, None, why_not=told)
    return Form(name, wide, parent)
