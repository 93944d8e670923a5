"""torch → ONNX: the naive form, which is the control, and the lowered form, which is shipped."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import onnx
import torch
from torch import nn

from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering import onnx_file
from edgekws.lowering.graph_passes import (
    fold_batch_norms,
    pool_instead_of_mean,
    with_readable_names,
)
from edgekws.lowering.height1 import height1

OPSET = 18


def export_naive(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    """Return the network as a plain `torch.onnx.export` writes it: Conv1d stays Conv1d.

    Input `features` `(batch, *contract.input_shape)`, output `logits` `(batch, n_labels)`.

    Raises:
        UnsupportedError: the exporter cannot write a layer.
    """
    return _export(copy.deepcopy(network).cpu().eval(), contract)


def export_lowered(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    """Return the network in the form that onnxruntime runs fastest.

    A 2-D network is written as Conv2d of height 1, the mean over frequency and time as
    GlobalAveragePool, and BatchNorm is folded into the layer before it or, where that is exact,
    behind it. What cannot be folded exactly stays as a BatchNormalization node: behind an
    activation and in front of a convolution that pads, or of a sum; or with statistics for each
    sub-band of the frequencies. Input and output are those of `export_naive`.

    Raises:
        UnsupportedError: a layer has no such form, or the exporter cannot write it.
    """
    copied = copy.deepcopy(network).cpu().eval()
    if contract.representation == "2d":
        copied = height1(copied)
    with_fixed_pools(copied, contract.input_shape)
    model = pool_instead_of_mean(_export(copied, contract))
    return with_readable_names(fold_batch_norms(model))


def with_fixed_pools(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Write, in place, adaptive average pools to more than one value as pools of fixed windows.

    Raises:
        UnsupportedError: the windows are not of one size at this length of input.
    """
    shapes = _input_shapes(network, input_shape, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d))
    for path, shape in shapes.items():
        pool = network.get_submodule(path)
        sizes = pool.output_size
        axes = 1 if isinstance(pool, nn.AdaptiveAvgPool1d) else 2
        wanted = sizes if isinstance(sizes, tuple) else (sizes,) * axes
        if wanted != (1,) * axes:
            windows = [_window(n, out or n, path) for n, out in zip(shape, wanted, strict=True)]
            kernel, stride = zip(*windows, strict=True)
            fixed = nn.AvgPool1d if axes == 1 else nn.AvgPool2d
            parent, _, name = path.rpartition(".")
            setattr(network.get_submodule(parent), name, fixed(kernel, stride))


def _window(length: int, out: int, path: str) -> tuple[int, int]:
    """Return kernel and stride that do what torch's adaptive pool does, `length` → `out`."""
    starts = [i * length // out for i in range(out)]
    ends = [-(-(i + 1) * length // out) for i in range(out)]
    kernel = ends[0]
    stride = starts[1] if out > 1 else length
    if [(i * stride, i * stride + kernel) for i in range(out)] != list(
        zip(starts, ends, strict=True)
    ):
        raise UnsupportedError(
            f"layer {path} averages {length} frames to {out} over windows of unequal size, which "
            "ONNX has no operator for; choose a pooling or a window length that divides evenly"
        )
    return kernel, stride


def _input_shapes(
    network: nn.Module, input_shape: tuple[int, ...], kinds: tuple[type[nn.Module], ...]
) -> dict[str, tuple[int, ...]]:
    """Return the shape behind the channels that each module of `kinds` is given, by path."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(path: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            shapes[path] = tuple(inputs[0].shape[2:])

        return hook

    found = [(p, m) for p, m in network.named_modules() if isinstance(m, kinds)]
    handles = [m.register_forward_pre_hook(note(p)) for p, m in found]
    if found:
        with torch.inference_mode():
            network(torch.zeros(1, *input_shape))
    for handle in handles:
        handle.remove()
    return shapes


def _export(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    example = torch.zeros(2, *contract.input_shape)  # a batch of 1 would be taken as fixed
    try:
        with _silent_exporter():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=["features"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except torch.onnx.OnnxExporterError as error:
        kind = contract.architecture.get("kind")
        raise UnsupportedError(
            f"the network {kind!r} cannot be written as ONNX: {_reason(error)}; "
            "build it of operators that ONNX has"
        ) from error
    if program is None:
        raise UnsupportedError("the exporter gave no model")
    return onnx_file.strip(program.model_proto)


def _reason(error: BaseException) -> str:
    """Return the first line of the innermost error: the outer ones speak to torch's developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0]


def _no_torchvision(record: logging.LogRecord) -> bool:
    return "torchvision is not installed" not in record.getMessage()


@contextmanager
def _silent_exporter() -> Iterator[None]:
    """Keep off the terminal the two lines that every export writes and nobody can act on."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    log.addFilter(_no_torchvision)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            yield
    finally:
        log.removeFilter(_no_torchvision)
