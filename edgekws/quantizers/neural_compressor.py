"""Static INT8 quantization with Intel Neural Compressor, from the torch module.

neural-compressor 3.x quantizes exported torch graphs (PT2E, X86InductorQuantizer). This module
does what onnxruntime needs in addition: it lowers the network to Conv2d first (Conv1d would
silently stay in FP32), adds missing observers, and folds the constants of the exported model to
integers.
"""

import copy
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from edgekws.core.contract import Format
from edgekws.core.environment import environ_set
from edgekws.core.fields import Fields
from edgekws.errors import UnsupportedError

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn
    from torch.fx import GraphModule

    from edgekws.quantizers.int8.mixed import QuantizedNetwork

OPSET = 18


class Quantizer(Fields):
    """INT8 with U8 activations (asymmetric, per tensor) and S8 weights (symmetric, per channel)."""

    kind: Literal["neural_compressor"]
    takes: ClassVar[Format] = "checkpoint"
    reduce_range: bool | None = Field(
        default=None,
        description="7-bit weights, for x86 CPUs without VNNI, on which U8 × S8 sums saturate; "
        "default: chosen for the target",
    )

    def calibrations(self) -> tuple[str, ...]:
        """Names of the calibrations, the default first.

        `minmax` spans all values; `kl` is neural-compressor's name for the range that minimizes
        the L2 error over their histogram; `entropy` minimizes the Kullback-Leibler divergence and
        is implemented here.
        """
        return ("minmax", "kl", "entropy")

    def quantize(
        self, network: "nn.Module", clips: np.ndarray, calibration: str
    ) -> "onnx.ModelProto":
        """Return `network` as an ONNX QDQ model with integer constants; see `quantized`."""
        return self.quantized(network, clips, calibration).model()

    def quantized(
        self, network: "nn.Module", clips: np.ndarray, calibration: str
    ) -> "QuantizedNetwork":
        """Return `network` quantized, with layers that can be returned to FP32 one by one.

        Args:
            network: in eval mode, in the 2-D or 3-D representation.
            clips: float32 (N, *input_shape), the features on which the ranges are calibrated, as
                one batch.
            calibration: one of `calibrations()`.

        Raises:
            UnsupportedError: the network cannot be exported, or one of its constants stays in FP32.
        """
        from edgekws.lowering.export import with_fixed_pools
        from edgekws.lowering.graph_passes import pool_instead_of_mean
        from edgekws.lowering.height1 import height1
        from edgekws.quantizers.int8.mixed import QuantizedNetwork

        # height1 copies too; the caller's network is unchanged
        network = height1(network) if clips.ndim == 3 else copy.deepcopy(network)
        with_fixed_pools(network, clips.shape[1:])
        largest_weight = 63 if self.reduce_range else 127
        rounded = _quantized_torch(network, clips, calibration, largest_weight)
        model = pool_instead_of_mean(_to_onnx(rounded, clips))
        return QuantizedNetwork(model, source=model)


def _quantized_torch(
    network: "nn.Module", clips: np.ndarray, calibration: str, largest_weight: int
) -> "GraphModule":
    """Run neural-compressor: export, prepare, calibrate, convert."""
    import torch

    from edgekws.quantizers._log_capture import LOG_SETTINGS, captured_log
    from edgekws.quantizers.int8.batch_norm import replace_batch_norms
    from edgekws.quantizers.int8.entropy import range_of
    from edgekws.quantizers.int8.observers import (
        choose_ranges,
        complete_observers,
        make_weights_symmetric,
    )

    with environ_set(LOG_SETTINGS):
        import neural_compressor.common  # noqa: F401  sets up its log handler: before the capture

    with captured_log():
        from neural_compressor.torch.export import export
        from neural_compressor.torch.quantization import INT8StaticQuantConfig, convert, prepare
    with captured_log() as errors, torch.no_grad():
        dynamic = ({0: torch.export.Dim("batch")},)
        try:
            exported = export(network, example_inputs=_example(clips), dynamic_shapes=dynamic)
        except RuntimeError as error:
            raise UnsupportedError(_unexportable(network, errors)) from error
        replace_batch_norms(exported)
        by_entropy = calibration == "entropy"
        algorithm = "minmax" if by_entropy else calibration
        prepared = prepare(exported, INT8StaticQuantConfig(act_algo=algorithm))
        complete_observers(prepared)
        make_weights_symmetric(prepared, largest_weight)
        if by_entropy:
            choose_ranges(prepared, range_of)
        prepared(torch.from_numpy(clips))
        converted: GraphModule = convert(prepared)
    return converted


def _example(clips: np.ndarray) -> "tuple[torch.Tensor]":
    """Return a batch of two: torch.export treats an axis of size one as constant."""
    import torch

    return (torch.from_numpy(np.concatenate([clips[:1], clips[:1]])),)


def _unexportable(network: "nn.Module", errors: list[str]) -> str:
    reason = errors[-1] if errors else "no reason given"
    return (
        f"{type(network).__name__}: neural-compressor cannot export it ({reason}); use layers "
        "that torch.export supports, or the backend onnxruntime"
    )


def _to_onnx(quantized: "GraphModule", clips: np.ndarray) -> "onnx.ModelProto":
    import torch

    from edgekws.quantizers._log_capture import captured_log

    with captured_log(), torch.no_grad():
        program = torch.onnx.export(
            quantized,
            _example(clips),
            dynamo=True,
            opset_version=OPSET,
            input_names=["features"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto
