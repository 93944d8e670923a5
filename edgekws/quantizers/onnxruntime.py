"""Static INT8 quantization with onnxruntime's own tool, from the FP32 ONNX model."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from edgekws.core.contract import Format
from edgekws.core.fields import Fields
from edgekws.core.scratch import scratch_folder

if TYPE_CHECKING:
    import onnx

    from edgekws.quantizers.int8.mixed import QuantizedNetwork


class Quantizer(Fields):
    """INT8 with U8 activations (asymmetric, per tensor) and S8 weights (symmetric)."""

    kind: Literal["onnxruntime"]
    takes: ClassVar[Format] = "onnx"
    reduce_range: bool | None = Field(
        default=None,
        description="7-bit weights, for x86 CPUs without VNNI, on which U8 × S8 sums saturate; "
        "default: chosen for the target",
    )
    per_channel: bool = Field(
        default=True,
        description="a step per output channel of the weights instead of one per layer",
    )
    percentile: float = Field(
        default=99.99,
        gt=50,
        lt=100,
        description="percentage of the values that the calibration `percentile` spans",
    )

    def calibrations(self) -> tuple[str, ...]:
        """Names of the calibrations, the default first, as in onnxruntime's `CalibrationMethod`.

        `entropy` is implemented here: `quantize_static` runs its own with as many bins as levels,
        so its search has only one candidate, the whole range, as with `MinMax`.
        """
        return ("minmax", "percentile", "entropy")

    def quantize(
        self, network: "onnx.ModelProto", clips: np.ndarray, calibration: str
    ) -> "onnx.ModelProto":
        """Return `network` as an ONNX QDQ model with integer constants; see `quantized`."""
        return self.quantized(network, clips, calibration).model()

    def quantized(
        self, network: "onnx.ModelProto", clips: np.ndarray, calibration: str
    ) -> "QuantizedNetwork":
        """Return `network` quantized, with layers that can be returned to FP32 one by one.

        Args:
            network: FP32, BatchNorm folded where possible, convolutions two-dimensional.
            clips: float32 (N, *input_shape), the features on which the ranges are calibrated.
            calibration: one of `calibrations()`.

        Raises:
            UnsupportedError: a constant of the network stays in FP32; the message names its node.
        """
        from edgekws.lowering.graph_passes import pool_instead_of_mean
        from edgekws.quantizers.int8.batch_norm import without_batch_norms
        from edgekws.quantizers.int8.clamps import with_clamps
        from edgekws.quantizers.int8.logits import with_float_logits
        from edgekws.quantizers.int8.mixed import QuantizedNetwork

        prepared = without_batch_norms(pool_instead_of_mean(network))
        rounded = with_clamps(self._quantize_static(prepared, clips, calibration), prepared)
        return QuantizedNetwork(with_float_logits(rounded), source=prepared)

    def _quantize_static(
        self, model: "onnx.ModelProto", clips: np.ndarray, calibration: str
    ) -> "onnx.ModelProto":
        import onnx

        from edgekws.quantizers._log_capture import captured_log

        printed = redirect_stdout(io.StringIO())  # the calibrators print their progress
        with captured_log(), printed, scratch_folder("quantize") as folder:
            from onnxruntime.quantization import (
                CalibrationMethod,
                QuantFormat,
                QuantType,
                quantize_static,
            )

            methods = {method.name.lower(): method for method in CalibrationMethod}
            ranges = _entropy_ranges(model, clips) if calibration == "entropy" else {}
            float_path, int8_path = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
            onnx.save(onnx.shape_inference.infer_shapes(model), float_path)
            quantize_static(
                float_path,
                int8_path,
                _Reader(model.graph.input[0].name, clips),
                quant_format=QuantFormat.QDQ,
                per_channel=self.per_channel,
                reduce_range=bool(self.reduce_range),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=methods["minmax" if ranges else calibration],
                extra_options={
                    "CalibPercentile": self.percentile,
                    "TensorQuantOverrides": ranges,
                    # Also quantize pooling after an activation that has no INT8 form.
                    "ForceQuantizeNoInputCheck": True,
                    # `int8.integers` rounds the biases, for both backends.
                    "QuantizeBias": False,
                    "QDQDisableWeightAdjustForInt32Bias": True,
                    # Constants get a step small enough for `int8.scales` to detect, not 1.
                    "MinimumRealRange": 1e-9,
                },
            )
            return onnx.load(int8_path)


def _entropy_ranges(
    model: "onnx.ModelProto", clips: np.ndarray
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Return the ranges in the format of `quantize_static`."""
    from edgekws.quantizers.int8.entropy import ranges

    return {
        name: [{"rmin": np.array(low, np.float32), "rmax": np.array(high, np.float32)}]
        for name, (low, high) in ranges(model, clips).items()
    }


class _Reader:
    """Gives out single clips, like onnxruntime's `CalibrationDataReader`.

    The histogram calibrators stack what they collect, so they fail on batches of different size.
    """

    def __init__(self, name: str, clips: np.ndarray) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = ({name: clip[None]} for clip in clips)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)
