"""Export torch → ONNX: the naive form (the control) and the lowered form (the one shipped)."""

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
    """Return the network as exported by a plain `torch.onnx.export`: Conv1d stays Conv1d.

    Input `features` `(batch, *contract.input_shape)`, output `logits` `(batch, n_labels)`.

    Raises:
        UnsupportedError: a layer cannot be exported.
    """
    return _export(copy.deepcopy(network).cpu().eval(), contract)


def export_lowered(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    """Return the network in the form that usually runs fastest in onnxruntime.

    A 2-D network becomes Conv2d of height 1, the mean over frequency and time GlobalAveragePool,
    and BatchNorm is folded into the previous layer or, where that is exact, into the next one. A
    BatchNormalization node remains where folding is not exact: after an activation and before a
    padding convolution or a sum, or with statistics per sub-band. Input and output are those of
    `export_naive`.

    Raises:
        UnsupportedError: a layer has no such form, or cannot be exported.
    """
    copied = copy.deepcopy(network).cpu().eval()
    if contract.representation == "2d":
        copied = height1(copied)
    with_fixed_pools(copied, contract.input_shape)
    model = pool_instead_of_mean(_export(copied, contract))
    return with_readable_names(fold_batch_norms(model))


def with_fixed_pools(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Replace, in place, adaptive average pools to more than one value by fixed-window pools.

    Raises:
        UnsupportedError: at this input length, the windows differ in size.
    """
    shapes = _input_shapes(network, input_shape, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d))
    for path, shape in shapes.items():
        pool = network.get_submodule(path)
        sizes = pool.output_size
        axes = 1 if isinstance(pool, nn.AdaptiveAvgPool1d) else 2
        target = sizes if isinstance(sizes, tuple) else (sizes,) * axes
        if target != (1,) * axes:
            windows = [_window(n, out or n, path) for n, out in zip(shape, target, strict=True)]
            kernel, stride = zip(*windows, strict=True)
            fixed = nn.AvgPool1d if axes == 1 else nn.AvgPool2d
            parent, _, name = path.rpartition(".")
            setattr(network.get_submodule(parent), name, fixed(kernel, stride))


def _window(length: int, out: int, path: str) -> tuple[int, int]:
    """Return the kernel and stride equivalent to torch's adaptive pool, `length` → `out`."""
    starts = [i * length // out for i in range(out)]
    ends = [-(-(i + 1) * length // out) for i in range(out)]
    kernel = ends[0]
    stride = starts[1] if out > 1 else length
    if [(i * stride, i * stride + kernel) for i in range(out)] != list(
        zip(starts, ends, strict=True)
    ):
        raise UnsupportedError(
            f"layer {path} averages {length} frames to {out} over windows of different size, for "
            "which ONNX has no operator; choose a pooling or a window length that divides evenly"
        )
    return kernel, stride


def _input_shapes(
    network: nn.Module, input_shape: tuple[int, ...], kinds: tuple[type[nn.Module], ...]
) -> dict[str, tuple[int, ...]]:
    """Return the input shape, after the channels, of each module of `kinds`, by path."""
    shapes: dict[str, tuple[int, ...]] = {}

    def record(path: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            shapes[path] = tuple(inputs[0].shape[2:])

        return hook

    modules = [(p, m) for p, m in network.named_modules() if isinstance(m, kinds)]
    handles = [m.register_forward_pre_hook(record(p)) for p, m in modules]
    if modules:
        with torch.inference_mode():
            network(torch.zeros(1, *input_shape))
    for handle in handles:
        handle.remove()
    return shapes


def _export(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    example = torch.zeros(2, *contract.input_shape)  # a batch of 1 would be treated as fixed
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
            f"the network {kind!r} cannot be exported to ONNX: {_reason(error)}; "
            "use operators that ONNX supports"
        ) from error
    if program is None:
        raise UnsupportedError("the exporter returned no model")
    return onnx_file.strip(program.model_proto)


def _reason(error: BaseException) -> str:
    """Return the first line of the innermost error: the outer ones are for torch's developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0]


def _no_torchvision(record: logging.LogRecord) -> bool:
    return "torchvision is not installed" not in record.getMessage()


@contextmanager
def _silent_exporter() -> Iterator[None]:
    """Suppress two irrelevant warnings that every export prints."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    log.addFilter(_no_torchvision)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            yield
    finally:
        log.removeFilter(_no_torchvision)
