"""The forms in which one trained network can be shipped."""

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
    """One way to write the network as a graph.

    `parent` names the form whose logits it must reproduce within FP32 parity; `None` where it was
    quantized again or has no predecessor. `why_not` is the reason why it could not be built.
    """

    name: str
    model: onnx.ModelProto | None
    parent: str | None = None
    why_not: str = ""


@dataclass(frozen=True)
class FormInputs:
    """What forms are built from: the input model, the FP32 network, calibration clips.

    `clips` are `(N, *input_shape)`. Channels are padded if the model then has at most `max_params`
    parameters, and never where that is `None`.
    """

    model: onnx.ModelProto
    network: nn.Module
    contract: Contract
    clips: NDArray[np.float32]
    reduce_range: bool
    max_params: int | None


def is_int8(model: onnx.ModelProto) -> bool:
    """Return whether a model quantizes its activations."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def build(inputs: FormInputs) -> Iterator[Form]:
    """Yield every form, the simplest first: of two equally fast ones the first is shipped."""
    yield Form(INPUT, inputs.model)
    lowered = export.export_lowered(inputs.network, inputs.contract)
    if is_int8(inputs.model):
        yield from _int8_forms(inputs, INPUT, "INT8", inputs.model)
    else:
        yield from _float_forms(inputs, INPUT, "input", inputs.model)
        yield from _requantized(inputs, lowered, "INT8", per_channel=True)
    yield from _requantized(inputs, lowered, "INT8 per tensor", per_channel=False)
    yield Form("FP32", lowered, NAIVE)
    yield from _float_forms(inputs, "FP32", "FP32", lowered)
    yield Form(NAIVE, export.export_naive(inputs.network, inputs.contract))


def _requantized(
    inputs: FormInputs, lowered: onnx.ModelProto, name: str, *, per_channel: bool
) -> Iterator[Form]:
    """Quantize the FP32 network with onnxruntime and yield the result in every INT8 form."""
    quantizer = Quantizer(
        kind="onnxruntime", reduce_range=inputs.reduce_range, per_channel=per_channel
    )
    try:
        model = quantizer.quantize(lowered, inputs.clips, quantizer.calibrations()[0])
    except UnsupportedError as error:
        yield Form(name, None, why_not=str(error))
        return
    yield Form(name, model)
    yield from _int8_forms(inputs, name, name, model)


def _int8_forms(
    inputs: FormInputs, parent: str, name: str, model: onnx.ModelProto
) -> Iterator[Form]:
    def conv1d_channels_last(model: onnx.ModelProto) -> onnx.ModelProto:
        return forms.channels_last_end(forms.conv1d(model))

    yield from _rewritten(
        parent,
        model,
        (
            (f"{name}, channels last at the end", forms.channels_last_end),
            (f"{name}, Conv1d", forms.conv1d),
            (f"{name}, Conv1d, channels last at the end", conv1d_channels_last),
        ),
    )
    yield _padded(inputs, parent, f"{name}, padded channels", model)
    # These two round differently: the mean in FP32, and the S8 operators the runtime lacks.
    yield from _rewritten(None, model, ((f"{name}, ReduceMean", forms.mean_instead_of_pool),))
    yield from _rewritten(None, model, ((f"{name}, S8 activations", forms.signed_activations),))


def _float_forms(
    inputs: FormInputs, parent: str, name: str, model: onnx.ModelProto
) -> Iterator[Form]:
    rewrites = ((f"{name}, {label}", rewrite) for label, rewrite in forms.FLOAT.items())
    yield from _rewritten(parent, model, rewrites)
    yield _padded(inputs, parent, f"{name}, padded channels", model)


def _rewritten(
    parent: str | None, model: onnx.ModelProto, rewrites: Iterable[tuple[str, Rewrite]]
) -> Iterator[Form]:
    for name, rewrite in rewrites:
        try:
            yield Form(name, rewrite(model), parent)
        except UnsupportedError as error:
            yield Form(name, None, why_not=str(error))


def _padded(inputs: FormInputs, parent: str, name: str, model: onnx.ModelProto) -> Form:
    from edgekws.metrics.graph import parameters

    if inputs.max_params is None:
        return Form(name, None, why_not="max_params is not set, so no parameters may be added")
    try:
        wide = padded_channels(model)
    except UnsupportedError as error:
        return Form(name, None, why_not=str(error))
    if (count := parameters(wide)) > inputs.max_params:
        reason = f"{count} parameters are more than max_params = {inputs.max_params}"
        return Form(name, None, why_not=reason)
    return Form(name, wide, parent)
